"""The judging page."""
