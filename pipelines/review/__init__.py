"""The review of proposed links between sounds and sights: queue, impact, agreement, page, application."""
