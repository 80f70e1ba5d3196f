"""Why an attempt failed, and what follows: never again, or again after a wait.

A cause is read from an HTTP status, a network error or the message of yt-dlp. The messages are those of
YouTube as yt-dlp passes them on (its YouTube extractor and its issue threads); a message nobody knows is
EXTRACTOR_ERROR, and its text stays in the ledger.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from shards import guard
from shards.hashing import unit

Result = TypeVar("Result")

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


class Cause(StrEnum):
    """The value is what the ledger holds. OK is the cause of no failure."""

    OK = "ok"
    # permanent: the source will not give it
    REMOVED = "removed"
    PRIVATE = "private"
    GEO_BLOCKED = "geo_blocked"
    AGE_GATED = "age_gated"
    MEMBERS_ONLY = "members_only"
    DRM = "drm"
    NOT_FOUND = "not_found"
    # permanent: what it gives is not usable
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    TOO_LONG = "too_long"  # longer than any clip: its whole video, perhaps
    CLIPPED = "clipped"
    LISTED_OUT = "listed_out"  # an exclusion list of the options names it: a still frame, a wrong modality
    NO_SOURCE = "no_source"  # none of the places that [fetch.media] names has it
    ARCHIVE_CORRUPT = "archive_corrupt"  # from some byte on it cannot be read
    UNSAFE = "unsafe"  # a URL scheme or a file name that is refused
    INTERNAL_ERROR = "internal_error"  # a fault of this program, met at one item: `retry` once it is mended
    # temporary: the source or the way to it
    BOT_CHECK = "bot_check"
    THROTTLED = "throttled"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    TRUNCATED = "truncated"  # the transfer, not the file: that is a decode_error
    NOT_YET = "not_yet"  # a premiere or a running live stream
    # temporary a few times, then permanent
    BAD_CONTENT = "bad_content"  # not what the name promises: a page instead of a photo
    DECODE_ERROR = "decode_error"
    AUDIO_TRUNCATED = "audio_truncated"  # a recording that came complete and yet ends before its sound does
    ARCHIVE_CHANGED = "archive_changed"  # it was replaced while it was read
    EXTRACTOR_ERROR = "extractor_error"
    HTTP_ERROR = "http_error"


@dataclass(frozen=True)
class Rule:
    """`tries`: attempts before the cause counts as permanent (None: no end). `base_s` doubles up to `cap_s`."""

    tries: int | None
    base_s: float = 0.0
    cap_s: float = DAY_S


_ONCE = Rule(tries=1)
RULES = {
    Cause.BOT_CHECK: Rule(
        None, base_s=1.0, cap_s=MINUTE_S
    ),  # the session waits (politeness.py), not the item
    Cause.THROTTLED: Rule(None, base_s=2.0, cap_s=HOUR_S),
    Cause.FORBIDDEN: Rule(6, base_s=MINUTE_S),
    Cause.TIMEOUT: Rule(None, base_s=1.0, cap_s=HOUR_S),
    Cause.CONNECTION: Rule(None, base_s=1.0, cap_s=HOUR_S),
    Cause.SERVER_ERROR: Rule(None, base_s=0.5, cap_s=HOUR_S),
    Cause.TRUNCATED: Rule(None, base_s=0.2, cap_s=HOUR_S),
    Cause.NOT_YET: Rule(10, base_s=6 * HOUR_S),
    Cause.BAD_CONTENT: Rule(3, base_s=1.0, cap_s=HOUR_S),
    Cause.DECODE_ERROR: Rule(3, base_s=1.0, cap_s=HOUR_S),
    Cause.AUDIO_TRUNCATED: Rule(3, base_s=1.0, cap_s=HOUR_S),
    Cause.ARCHIVE_CHANGED: Rule(3, base_s=1.0, cap_s=HOUR_S),
    Cause.EXTRACTOR_ERROR: Rule(4, base_s=MINUTE_S),
    Cause.HTTP_ERROR: Rule(3, base_s=1.0, cap_s=HOUR_S),
}

# The session is suspect, not the item: it is what pauses.
SESSION_CAUSES = frozenset({Cause.BOT_CHECK, Cause.THROTTLED})


def permanent(cause: Cause, attempt: int) -> bool:
    """Whether `cause` at the `attempt`-th try (from 1) ends the item."""
    tries = RULES.get(cause, _ONCE).tries
    return tries is not None and attempt >= tries


def wait_s(cause: Cause, attempt: int, item: str, retry_after_s: float | None = None) -> float:
    """Seconds until the next try: base x 2^(attempt-1), capped, x [0.5, 1.5) by a hash; at least Retry-After."""
    rule = RULES.get(cause, _ONCE)
    backoff = min(rule.cap_s, rule.base_s * 2.0 ** min(attempt - 1, 40)) * (
        0.5 + unit("jitter", item, attempt)
    )
    return max(backoff, retry_after_s or 0.0)


class Failure(Exception):
    """An expected failure of one attempt. `detail` is the raw message; the ledger scrubs it of credentials."""

    def __init__(
        self,
        cause: Cause,
        detail: str,
        retry_after_s: float | None = None,
        final: bool = False,
        passed_on: bool = False,
    ) -> None:
        """`final`: another try cannot help, whatever the cause's rule says. `passed_on`: another source is asked."""
        super().__init__(f"{cause.value}: {scrub(detail)}")
        self.cause, self.detail, self.retry_after_s = cause, detail, retry_after_s
        self.final, self.passed_on = final, passed_on

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.cause, self.detail, self.retry_after_s, self.final, self.passed_on)


def guarded(item: str, step: Callable[[], Result]) -> Result | Failure:
    """What `step` gives, or why it failed; an exception that nobody foresaw is the item's INTERNAL_ERROR.

    Raises:
        AvsError, MemoryError, and an OSError of the system: those are not the item's fault.
    """
    try:
        return step()
    except Failure as failure:
        return failure
    except Exception as error:
        return Failure(Cause.INTERNAL_ERROR, guard.unforeseen(item, error).detail)


def of_status(status: int) -> Cause:
    """The cause of an HTTP status that is not a success (RFC 9110, RFC 6585, RFC 7725)."""
    known = {
        401: Cause.FORBIDDEN,
        403: Cause.FORBIDDEN,
        404: Cause.NOT_FOUND,
        408: Cause.TIMEOUT,
        410: Cause.REMOVED,
        425: Cause.SERVER_ERROR,
        429: Cause.THROTTLED,
        451: Cause.GEO_BLOCKED,
    }
    return known.get(status, Cause.SERVER_ERROR if status >= 500 else Cause.HTTP_ERROR)


# First match wins: "private" is asked before "sign in", a bot check before an age check.
_MESSAGES: tuple[tuple[Cause, str], ...] = (
    (Cause.BOT_CHECK, r"not a bot|captcha|unusual traffic"),
    (Cause.THROTTLED, r"http error 429|too many requests|rate-limited|try again later"),
    (Cause.PRIVATE, r"private video|video is private|granted access"),
    (
        Cause.MEMBERS_ONLY,
        r"members-only|members only|join this channel|music premium|requires payment|must be purchased",
    ),
    (Cause.AGE_GATED, r"confirm your age|age-restricted|age restricted|inappropriate for some users"),
    (Cause.GEO_BLOCKED, r"in your country|in your location|geo.?restrict|http error 451|blocked it (in|on) "),
    (
        Cause.NOT_YET,
        r"premieres in|live event will begin|live stream (is|has not)|not currently live|is_upcoming",
    ),
    (Cause.DRM, r"\bdrm\b"),
    (
        Cause.REMOVED,
        r"has been removed|no longer available|account .{0,40}terminated|been terminated|copyright (claim|infringement)"
        r"|video unavailable|video is unavailable|video is not available|has closed their|http error 410"
        r"|video does not exist",
    ),
    (Cause.NOT_FOUND, r"http error 404"),
    (Cause.FORBIDDEN, r"http error 40[13]"),
    (Cause.TIMEOUT, r"timed out|timeout|http error 408"),
    (Cause.SERVER_ERROR, r"http error 5\d\d"),
    (
        Cause.TRUNCATED,
        r"incompleteread|bytes read, .* more expected|content too short|did not get any data blocks",
    ),
    (
        Cause.CONNECTION,
        r"connection (reset|refused|aborted)|name resolution|name or service not known|getaddrinfo"
        r"|network is unreachable|remote end closed|transporterror|ssl",
    ),
    (Cause.TOO_LARGE, r"larger than max-filesize"),
)


def of_message(message: str) -> Cause:
    """The cause that a message of yt-dlp tells."""
    text = message.replace("’", "'").lower()
    for cause, pattern in _MESSAGES:
        if re.search(pattern, text):
            return cause
    return Cause.EXTRACTOR_ERROR


_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/@\s]+@")
_QUERY = re.compile(r"(?i)(https?://[^\s?#'\"]+)[?#][^\s'\")>]*")
_SECRET = re.compile(
    r"(?i)\b((?:set-)?cookie|authorization|proxy-authorization|x-amz-[a-z-]+|api[-_]?key|access[-_]?token|password|sapisid\w*"
    r"|__secure-[\w-]+|login_info|po_token)\b(\s*[=:]\s*)(?:(?:bearer|basic)\s+)?[^\s,;&'\"]+"
)


def scrub(text: str) -> str:
    """`text` without credentials: user:password@ in URLs, query strings (signatures, tokens), cookie and key values."""
    text = _USERINFO.sub(r"\1***@", text)
    text = _QUERY.sub(r"\1?***", text)
    return _SECRET.sub(r"\1\2***", text)
