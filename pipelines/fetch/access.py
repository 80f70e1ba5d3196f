"""Cookie files and proxies.

From the command line and the environment, never from a recipe, never written anywhere.
"""

import os
from collections.abc import Sequence

from pipelines.fetch.politeness import Access
from shards.errors import AvsError

PROXIES = "AVS_DATA_PROXIES"


class CookieError(AvsError):
    """A cookie file that cannot be used; its content is never told."""


def sessions(cookies: Sequence[str]) -> list[Access]:
    """One session for each cookie file or each proxy, whichever are more; the shorter list is used round.

    Raises:
        CookieError: a cookie file that is missing or not in Netscape's format.
    """
    for path in cookies:
        if fault := cookie_fault(path):
            raise CookieError(fault)
    proxies = os.environ.get(PROXIES, "").split()
    count = max(len(cookies), len(proxies), 1)
    return [
        Access(
            os.path.abspath(cookies[number % len(cookies)]) if cookies else None,
            proxies[number % len(proxies)] if proxies else None,
        )
        for number in range(count)
    ]


def cookie_fault(path: str) -> str | None:
    """What is wrong with a cookie file; its content is never part of the answer."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return f"cookie file {path}: {error.strerror if isinstance(error, OSError) else 'not text'}"
    cookies = [
        line for line in lines if line.strip() and (not line.startswith("#") or line.startswith("#HttpOnly_"))
    ]
    if not cookies:
        return f"cookie file {path} holds no cookie: export it again while signed in"
    if any(line.count("\t") < 6 for line in cookies):
        return f"cookie file {path} is not in Netscape's format (seven columns with tabs between them)"
    return None
