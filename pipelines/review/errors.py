"""What goes wrong in review that a person can put right."""

from shards.errors import AvsError


class ReviewError(AvsError, ValueError):
    """Something a person can put right; the text says what and how."""
