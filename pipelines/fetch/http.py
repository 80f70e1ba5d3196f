"""GET over HTTP with limits: scheme, size while streaming, stalls, truncation; every expected failure is a `Failure`.

urllib3 with threads: measured beside aiohttp, httpx and pycurl on the same local server it moved the most
photos a second.
"""

import email.utils
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from pipelines.fetch.causes import HOUR_S, Cause, Failure, of_status

_CHUNK = 1 << 18
_DAY_S = 24 * HOUR_S
_MIN_RATE = 1000.0  # bytes a second: slower than this over a whole answer is a stall
_BUCKETS = {
    "s3": "https://{bucket}.s3.amazonaws.com/{key}",
    "gs": "https://storage.googleapis.com/{bucket}/{key}",
}


def web_address(url: str) -> str:
    """`url` as http(s): a public bucket's s3:// or gs:// object is read unsigned through its HTTPS address."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Failure(Cause.UNSAFE, f"{url!r}: {error}") from error
    if parts.scheme in ("http", "https") and parts.hostname:
        return url
    if parts.scheme in _BUCKETS and parts.netloc:
        return _BUCKETS[parts.scheme].format(bucket=parts.netloc, key=parts.path.lstrip("/"))
    raise Failure(Cause.UNSAFE, f"{url!r}: only http, https, s3 and gs addresses are fetched")


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110, 10.2.3); a day at most."""
    if not value:
        return None
    text = value.strip()
    if _is_number(text):
        return min(float(text), _DAY_S)
    try:
        return min(max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now), _DAY_S)
    except (ValueError, OverflowError):
        return None


# The ledger counts every attempt: no hidden ones.
_ONE_TRY = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=5, respect_retry_after_header=False)


def _is_slow(error: object) -> bool:
    return isinstance(error, (ReadTimeoutError, ConnectTimeoutError)) and not isinstance(
        error, NewConnectionError
    )


class Client:
    """A pool of kept-alive connections. Thread-safe."""

    def __init__(self, *, connections: int = 64, stall_s: float = 20.0, agent: str = "avs-data") -> None:
        self._stall_s = stall_s
        self._pool = urllib3.PoolManager(
            num_pools=16,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=10.0, read=stall_s),
            retries=_ONE_TRY,
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
        )

    @contextmanager
    def _get(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        response = None
        try:
            merged = {**self._pool.headers, **headers}
            response = self._pool.request("GET", web_address(url), headers=merged, preload_content=False)
            if response.status not in (200, 206, 416):
                wait = retry_after_s(response.headers.get("Retry-After"), time.time())
                detail = f"HTTP {response.status} {response.reason or ''}".strip()
                if 0 < _declared(response) < _CHUNK:
                    response.drain_conn()  # keeps the connection alive
                raise Failure(of_status(response.status), detail, wait)
            yield response
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise Failure(Cause.TIMEOUT, str(error)) from error
        except IncompleteRead as error:
            raise Failure(Cause.TRUNCATED, str(error)) from error
        except MaxRetryError as error:
            raise Failure(
                Cause.TIMEOUT if _is_slow(error.reason) else Cause.CONNECTION, str(error.reason)
            ) from error
        except ProtocolError as error:
            cut = any(isinstance(part, IncompleteRead) for part in error.args)
            raise Failure(Cause.TRUNCATED if cut else Cause.CONNECTION, str(error)) from error
        except LocationParseError as error:
            raise Failure(Cause.UNSAFE, str(error)) from error
        except HTTPError as error:
            raise Failure(Cause.CONNECTION, f"{type(error).__name__}: {error}") from error
        finally:
            if response is not None:
                response.close()  # a connection whose answer was read to its end is back in the pool already

    def _stream(self, response: urllib3.BaseHTTPResponse, limit: int, already: int = 0) -> Iterator[bytes]:
        declared = _declared(response)
        if already + declared > limit:
            raise Failure(Cause.TOO_LARGE, f"{already + declared} bytes are more than the limit of {limit}")
        started, total = time.monotonic(), 0
        while chunk := response.read1(_CHUNK, decode_content=False):
            total += len(chunk)
            if already + total > limit:
                raise Failure(Cause.TOO_LARGE, f"more bytes than the limit of {limit}")
            slow = time.monotonic() - started
            if slow > self._stall_s and total < slow * _MIN_RATE:
                raise Failure(
                    Cause.TIMEOUT, f"{total} bytes in {slow:.0f} s: slower than {_MIN_RATE:.0f} bytes/s"
                )
            yield chunk

    def get(self, url: str, limit: int) -> tuple[bytes, str]:
        """The whole content and its content type (lower case, without parameters), up to `limit` bytes."""
        with self._get(url, {}) as response:
            content = b"".join(self._stream(response, limit))
            return content, response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def describe(self, url: str) -> tuple[int, str, bool]:
        """Bytes (0: not told), a text that changes when the content does, and whether ranges are given."""
        with self._get(url, {"Range": "bytes=0-0"}) as response:
            if response.status == 206:
                response.drain_conn()
                return _total(response), _stamp(response), True
            if response.status == 416:  # nothing is there to give
                return 0, "", True
            return _declared(response), _stamp(response), False

    def get_range(self, url: str, start: int, stop: int, stamp: str) -> bytes:
        """Bytes from `start` to before `stop` of the content that `describe` gave the `stamp` of."""
        with self._get(url, {"Range": f"bytes={start}-{stop - 1}"}) as response:
            if response.status == 206 and _stamp(response) == stamp:
                content = b"".join(self._stream(response, stop - start))
                if len(content) == stop - start:
                    return content
                raise Failure(Cause.TRUNCATED, f"{len(content)} bytes of {stop - start} at {start}")
            if _stamp(response) != stamp:
                raise Failure(Cause.ARCHIVE_CHANGED, f"{url} changed while it was read")
            raise Failure(Cause.HTTP_ERROR, f"HTTP {response.status} to a range from {start} to {stop}")

    def chunks(self, url: str, limit: int) -> Iterator[bytes]:
        """The whole content, piece by piece."""
        with self._get(url, {}) as response:
            yield from self._stream(response, limit)

    def get_file(
        self, url: str, path: str, limit: int, told: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        """Download to a local `path`, resuming where an earlier try stopped if the content is still the same.

        The content's ETag lies beside it in `path.etag`; without one a download starts again from nothing.

        Args:
            told: the bytes that are there, those of earlier tries included, and of how many (0: not stated).
        """
        have, etag = _begun(path)
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        with self._get(url, headers) as response:
            if response.status == 416:  # the server has no byte there: it was complete, or it changed
                if response.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                    response.drain_conn()
                    return
                os.remove(path)
                raise Failure(Cause.TRUNCATED, f"the server has other content than the {have} bytes begun")
            if response.status == 200:
                have = 0
            if have == 0:
                _write(path + ".etag", response.headers.get("ETag", ""))
            total = have + declared if (declared := _declared(response)) else 0
            told(have, total)
            with open(path, "ab" if have else "wb") as file:
                for chunk in self._stream(response, limit, have):
                    file.write(chunk)
                    told(file.tell(), total)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _declared(response: urllib3.BaseHTTPResponse) -> int:
    """Bytes that the answer says it has; 0 where it does not."""
    length = response.headers.get("Content-Length", "")
    return int(length) if _is_number(length) else 0


def _total(response: urllib3.BaseHTTPResponse) -> int:
    """Bytes of the whole content that a part of it is an answer of."""
    told = response.headers.get("Content-Range", "").rpartition("/")[2]
    if not _is_number(told):
        raise Failure(Cause.HTTP_ERROR, f"Content-Range {told!r} does not tell how many bytes there are")
    return int(told)


def _stamp(response: urllib3.BaseHTTPResponse) -> str:
    size = _total(response) if response.status == 206 else _declared(response)
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return f"{size}:{tag}"


def _begun(path: str) -> tuple[int, str]:
    if not os.path.exists(path) or not os.path.exists(path + ".etag"):
        return 0, ""
    with open(path + ".etag") as file:
        etag = file.read()
    return (os.path.getsize(path), etag) if etag and not etag.startswith("W/") else (0, "")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
