"""What goes wrong in judging that a person can put right."""

from shards.errors import AvsError


class JudgeError(AvsError, ValueError):
    """Something a person can put right; the text says what and how."""


class Conflict(JudgeError):
    """The answer came too late: the sample is judged."""

    status = 409  # HTTP's
