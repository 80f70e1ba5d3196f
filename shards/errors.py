"""The one family of errors that a person can act on; both command lines print them in one line, without a traceback."""


class AvsError(Exception):
    """Something asked for cannot be done. The message says the value, the rule and the remedy."""
