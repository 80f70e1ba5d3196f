"""The routes of the browser. Every answer is computed elsewhere in this package; this file only wires."""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pipelines.browse import BROWSE, dropped
from pipelines.browse.addresses import Addresses
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.media import Gone, Media, Pictures
from pipelines.browse.query import ORDERS, Query, values
from pipelines.browse.views import SampleView, Views, chips, label_names
from pipelines.pages import templates
from pipelines.pages.errors import PageError
from pipelines.pages.handlers import lasting, status_of
from shards import format, storage
from shards.errors import AvsError

_HERE = Path(__file__).parent
_RANGE = re.compile(r"bytes=(\d{1,9})-(\d{0,9})", re.ASCII)
_KINDS = {"drawn": "image/jpeg", "plain": "image/jpeg", "photo": "image/jpeg", "mask": "image/png"}


class _KeyConvertor(Convertor[str]):
    regex = "[0-9a-f]{20}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class Browser:
    """Handlers, each in a worker thread; pictures have threads of their own, so that they hold up no page.

    Args:
        root: what stands before all paths, where this is a part of another page. home: that page's address and name.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        root: str = "",
        pictures: Pictures | None = None,
        home: tuple[str, str] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.media = Media(catalogue, pictures)
        self.views = Views(catalogue, self.media, label_names(catalogue))
        manifest = storage.join(catalogue.dataset.url, format.MANIFEST)
        self.at = Addresses(root, storage.sha256(manifest)[:12])
        self.templates = templates.environment(BROWSE)
        self.templates.globals.update(at=self.at, made=catalogue.dataset.manifest, exported=False, home=home)
        self._threads, self._media_threads = anyio.CapacityLimiter(16), anyio.CapacityLimiter(8)

    def routes(self) -> list[Route | Mount]:
        register_url_convertor("key", _KeyConvertor())
        root = self.at.root
        return [
            Route(f"{root}/", self._page(self.grid)),
            Route(f"{root}/cards", self._page(self.cards)),
            Route(f"{root}/sample/{{key:key}}", self._page(self.sample_page)),
            Route(f"{root}/dropped", self._page(self.dropped)),
            Route(f"{root}/media/{{key:key}}/sound", self._page(self.sound, self._media_threads)),
            Route(f"{root}/media/{{key:key}}/heard", self._page(self.heard, self._media_threads)),
            Route(f"{root}/media/{{key:key}}/{{what}}", self._page(self.picture, self._media_threads)),
            Route(f"{root}/clip/{{key:key}}", self._page(self.clip, self._media_threads)),
            Mount(f"{root}/static", templates.static(_HERE / "static")),
        ]

    def warm(self) -> None:
        """Start what draws pictures, and compile the templates, before somebody waits for it."""

        def first() -> None:
            for name in self.templates.list_templates():
                self.templates.get_template(name)
            with suppress(PageError, IndexError):
                self.media.picture(self.catalogue.key(0), "drawn")
            with suppress(AvsError, OSError):
                _ = self.catalogue.pools

        threading.Thread(target=first, daemon=True).start()

    def grid(self, request: Request) -> Response:
        query = _query(request)
        return self._html(
            "grid.html",
            view="grid",
            grid=self.views.grid(query),
            query=query,
            facets=list(self.views.facets(query)),
            ranges=list(self.views.ranges(query)),
            chips=list(chips(self.views, query)),
            orders=ORDERS,
        )

    def cards(self, request: Request) -> Response:
        query = _query(request)
        return self._html("cards.html", grid=self.views.grid(query), query=query)

    def sample(self, key: str, query: Query) -> SampleView:
        """Of a key, among what a query lets through. Raises Gone."""
        row = self.catalogue.find(key)
        if row is None:
            raise Gone(f"no sample {key!r} is in this dataset")
        return self.views.sample(row, query)

    def sample_page(self, request: Request) -> Response:
        query = _query(request)
        view = self.sample(request.path_params["key"], query)
        return self._html("sample.html", view="sample", sample=view, query=view.query)

    def dropped(self, request: Request) -> Response:
        given = request.query_params
        asked = {name: values(given, name) for name in ("stage", "unit", "reason", "q")}
        start = Query.read(given.multi_items()).start
        chosen = any(asked.values())
        found, more = (
            dropped.items(
                self.media, asked["stage"], asked["unit"], asked["reason"], asked["q"].strip(), start
            )
            if chosen
            else ([], False)
        )
        return self._html(
            "dropped.html",
            view="dropped",
            query=Query(),
            groups=dropped.groups(self.catalogue.dataset.manifest),
            asked=asked,
            items=found,
            start=start,
            after=start + dropped.PAGE if more else None,
        )

    def picture(self, request: Request) -> Response:
        what = request.path_params["what"]
        if what not in _KINDS:
            raise Gone(f"no picture {what!r}; there are {', '.join(_KINDS)}")
        content = self.media.picture(request.path_params["key"], what)
        return lasting(Response(content, media_type=_KINDS[what]))

    def heard(self, request: Request) -> Response:
        picture = self.media.heard(request.path_params["key"]).picture
        return lasting(Response(picture, media_type="image/png"))

    def sound(self, request: Request) -> Response:
        return ranged(self.media.sound(request.path_params["key"]), request)

    def clip(self, request: Request) -> Response:
        return ranged(self.media.clip(request.path_params["key"]), request)

    def _html(self, template: str, status: int = 200, **shown: Any) -> Response:
        return HTMLResponse(self.templates.get_template(template).render(**shown), status)

    def _fault(self, request: Request, error: Exception) -> Response:
        """A page for a person, JSON for a script."""
        status = status_of(error, 500)
        if "text/html" in request.headers.get("accept", ""):
            return self._html("fault.html", status, view="fault", query=Query(), told=str(error))
        return JSONResponse({"error": str(error)}, status)

    def _page(
        self, handler: Callable[[Request], Response], threads: anyio.CapacityLimiter | None = None
    ) -> Callable[[Request], Any]:
        def answer(request: Request) -> Response:
            try:
                return handler(request)
            except (AvsError, OSError) as error:
                return self._fault(request, error)

        async def endpoint(request: Request) -> Response:
            return await anyio.to_thread.run_sync(answer, request, limiter=threads or self._threads)

        return endpoint


def build_app(catalogue: Catalogue, pictures: Pictures | None = None) -> ASGIApp:
    """The browser, to be guarded by `pipelines.pages.security`."""
    browser = Browser(catalogue, pictures=pictures)
    browser.warm()
    return Starlette(routes=browser.routes())


def _query(request: Request) -> Query:
    return Query.read(request.query_params.multi_items())


def ranged(content: bytes, request: Request) -> Response:
    """A sound, or the part that a player asks for."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    headers = {"accept-ranges": "bytes"}
    if not found:
        return lasting(Response(content, media_type="audio/flac", headers=headers))
    first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(content)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
    return lasting(Response(content[first : last + 1], 206, media_type="audio/flac", headers=headers))
