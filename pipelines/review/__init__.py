"""The review of proposed links between sounds and images: queue, impact, agreement, page, application."""
