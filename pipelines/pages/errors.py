"""What a page cannot do, and says instead of showing it."""

from shards.errors import AvsError


class PageError(AvsError):
    """Something asked of a page, or of its server, cannot be done. status: HTTP's number for it."""

    status = 400


class Unreadable(PageError):
    """Nothing that the page shows; the text says why."""

    status = 404


class Busy(PageError):
    """More is asked for than can be drawn now."""

    status = 503
