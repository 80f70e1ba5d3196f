"""Handlers of a page over a queue: each in a worker thread, with the queue opened for it; faults become answers."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipelines.pages import bodies
from shards.errors import AvsError


class Queue(Protocol):
    def reading(self) -> AbstractContextManager[None]:
        """One state of the queue for all reads in the block."""


Q = TypeVar("Q", bound=Queue)
Endpoint = Callable[[Request], Any]


def status_of(error: Exception, unless: int = 400) -> int:
    """HTTP's number for an error: its own `status`, where it has one."""
    found: int = getattr(error, "status", unless)
    return found


def lasting(response: Response) -> Response:
    """Of an address that never names anything else: a browser keeps it for a week."""
    response.headers["cache-control"] = "private, max-age=604800, immutable"
    return response


class Handlers(Generic[Q]):
    """
    Args:
        opened: the queue, open while the block runs.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Q]]) -> None:
        self._opened = opened
        self._threads, self._media_threads = anyio.CapacityLimiter(20), anyio.CapacityLimiter(8)

    def page(self, handler: Callable[[Request, Q], Response]) -> Endpoint:
        """One that reads: it sees one state of the queue."""
        return self._reads(handler, self._threads)

    def media(self, handler: Callable[[Request, Q], Response]) -> Endpoint:
        """One that reads, in threads of their own: pictures that take long hold up no answer."""
        return self._reads(handler, self._media_threads)

    def change(self, handler: Callable[[Request, Q, dict[str, Any]], Response]) -> Endpoint:
        """One that takes the body of a request."""

        async def endpoint(request: Request) -> Response:
            body = await bodies.received(request)
            if isinstance(body, Response):
                return body
            return await self._in_thread(lambda queue: handler(request, queue, body), self._threads)

        return endpoint

    def _reads(self, handler: Callable[[Request, Q], Response], threads: anyio.CapacityLimiter) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            def read(queue: Q) -> Response:
                with queue.reading():
                    return handler(request, queue)

            return await self._in_thread(read, threads)

        return endpoint

    async def _in_thread(self, handler: Callable[[Q], Response], threads: anyio.CapacityLimiter) -> Response:
        return await anyio.to_thread.run_sync(self._answer, handler, limiter=threads)

    def _answer(self, handler: Callable[[Q], Response]) -> Response:
        try:
            with self._opened() as queue:
                return handler(queue)
        except (AvsError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_of(error))
        except (
            sqlite3.OperationalError,
            OSError,
        ) as error:  # a full disk, a lock that stays, a store that is away
            return JSONResponse({"error": f"the queue or data cannot be used: {error}"}, 503)
