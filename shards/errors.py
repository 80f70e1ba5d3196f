"""The one family of errors that a person can act on; both command lines print them in one line, without a traceback."""


class AvsError(Exception):
    """Something asked for cannot be done. The message says the value, the rule and the remedy."""


class StorageError(AvsError, OSError):
    """A disk or store that refuses, fails or is full: never the fault of the item that was asked for.

    A name under which no regular file lies (missing, a link to nothing, a folder, a pipe, a device) is a
    FileNotFoundError instead.
    """


def of_a_store(kind: type) -> bool:
    """Whether errors of this type tell of files and stores; the stores' clients have families of their own."""
    return issubclass(kind, OSError) or any(
        parent.__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "asyncio", "gcsfs")
        for parent in kind.__mro__
    )
