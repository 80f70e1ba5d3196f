"""The routes of the review page. Every answer is computed by `pipelines.review`; this file only wires."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from label_maps import LabelMapError
from pipelines.corpora import registry
from pipelines.review import intake, labels, media
from pipelines.review.categories import long_name
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import RELATIONS, Answer, Conflict, Item, check_reviewer
from pipelines.review.server import views
from pipelines.review.server.leases import Leases
from pipelines.review.server.security import Guard
from pipelines.review.server.snapshot import Snapshots
from shards import storage

_HERE = Path(__file__).parent
REVIEWER_COOKIE = "avs_reviewer"


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        queue_path: the queue's SQLite file.
        map_path: CSV of the label map.
        corpora: folder or URL of photos and clips; '' for none.
        names: host names that are answered.
        token: required with every request; None: none is.
    """

    queue_path: str
    map_path: Path
    corpora: str
    names: tuple[str, ...]
    token: str | None


class Page:
    """Handlers. Each opens its own connection, in a worker thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.leases = Leases()
        self.media = media.Media(settings.corpora)
        self.snapshots = Snapshots(settings.map_path)
        self.templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self.templates.globals.update(source_name=registry.title, relations=RELATIONS)
        self.templates.filters["number"] = lambda value: f"{value:,}"

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self._page(self.review)),
            Route("/link/{item_id:int}", self._page(self.review)),
            Route("/map", self._page(self.whole_map)),
            Route("/progress", self._page(self.progress)),
            Route("/api/next", self._page(self.next)),
            Route("/api/link/{item_id:int}", self._page(self.link)),
            Route("/api/search", self._page(self.search)),
            Route("/api/reviewer", self._change(self.name_reviewer), methods=["POST"]),
            Route("/api/link/{item_id:int}/decision", self._change(self.decide), methods=["POST"]),
            Route("/api/link/{item_id:int}/target", self._change(self.target), methods=["POST"]),
            Route("/api/undo", self._change(self.undo), methods=["POST"]),
            Route("/media/photo/{example_id:int}", self._page(self.photo)),
            Route("/media/mask/{example_id:int}", self._page(self.mask)),
            Route("/media/clip/{example_id:int}", self._page(self.clip)),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]

    def review(self, request: Request, queue: Queue) -> Response:
        categories = self.snapshots.take(queue).label_map.categories
        wanted = request.path_params.get("item_id", "")
        return self._html("review.html", request, queue, wanted=wanted, categories=categories)

    def whole_map(self, request: Request, queue: Queue) -> Response:
        snapshot = self.snapshots.take(queue)
        rows = views.map_rows(queue, snapshot)
        return self._html(
            "map.html",
            request,
            queue,
            rows=rows,
            label_map=snapshot.label_map,
            query=request.query_params.get("q", ""),
        )

    def progress(self, request: Request, queue: Queue) -> Response:
        view = views.progress_view(queue, _reviewer(request), self.snapshots.take(queue))
        return self._html("progress.html", request, queue, view=view)

    def next(self, request: Request, queue: Queue) -> Response:
        reviewer = _required_reviewer(request)
        holder = f"{reviewer}\n{request.query_params.get('tab', '')}"
        skip = {int(part) for part in request.query_params.get("skip", "").split(",") if part.isdigit()}
        item = queue.next(reviewer, skip | self.leases.of_others(holder)) or queue.next(reviewer, skip)
        if item is None:
            return JSONResponse({"link": None, "progress": self._progress(queue, reviewer)})
        self.leases.take(item.id, holder)
        return self._link_json(queue, item, reviewer)

    def link(self, request: Request, queue: Queue) -> Response:
        return self._link_json(queue, queue.item(request.path_params["item_id"]), _required_reviewer(request))

    def search(self, request: Request, queue: Queue) -> Response:
        found = labels.search(queue, request.query_params.get("q", ""))
        table = self.snapshots.take(queue).table
        return JSONResponse(
            [
                {
                    "source": label.source,
                    "source_name": registry.title(label.source),
                    "source_id": label.source_id,
                    "name": label.name,
                    "about": label.definition or ", ".join(label.parents),
                    "images": table.of_label((label.source, label.source_id)),
                }
                for label in found
            ]
        )

    def name_reviewer(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        name = check_reviewer(_text(body, "name").strip())
        response = JSONResponse({"reviewer": name, "progress": self._progress(queue, name)})
        response.set_cookie(
            REVIEWER_COOKIE, quote(name), max_age=365 * 86_400, httponly=True, samesite="strict", path="/"
        )
        return response

    def decide(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        reviewer = _required_reviewer(request)
        item_id = request.path_params["item_id"]
        category = _text(body, "category").strip()
        answer = Answer(
            _text(body, "verdict"),
            long_name(category) if category else "",
            _text(body, "relation") or "same",
            _text(body, "note").strip(),
        )
        revision = body.get("revision")
        if not isinstance(revision, int):
            raise ReviewError("a decision names the `revision` of the link that was on the screen")
        decision = queue.decide(item_id, reviewer, answer, revision, _text(body, "request_id") or None)
        self.leases.give_back(item_id)
        return JSONResponse({"decision": decision.id, "progress": self._progress(queue, reviewer)})

    def target(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        """The link from this sound to another image label, to be decided like any other."""
        reviewer = _required_reviewer(request)
        sound = queue.item(request.path_params["item_id"]).key[:2]
        source, source_id = _text(body, "source"), _text(body, "source_id")
        text = labels.label_text(queue, source, source_id, "")
        if not text.name:
            raise ReviewError(f"{source} {source_id!r} is not a label of this queue's vocabularies")
        item = intake.add_target(queue, sound, source, source_id, text.name, reviewer)
        return self._link_json(queue, item, reviewer)

    def undo(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        reviewer = _required_reviewer(request)
        taken_back = queue.undo(reviewer, request_id=_text(body, "request_id") or None)
        return self._link_json(queue, queue.item(taken_back.item_id), reviewer, undone=taken_back.verdict)

    def photo(self, request: Request, queue: Queue) -> Response:
        photo = media.example(queue, request.path_params["example_id"], "photo")
        return _lasting(Response(self.media.photo(photo), media_type="image/jpeg"))

    def mask(self, request: Request, queue: Queue) -> Response:
        photo = media.example(queue, request.path_params["example_id"], "photo")
        return _lasting(Response(self.media.overlay(photo), media_type="image/png"))

    def clip(self, request: Request, queue: Queue) -> Response:
        clip = media.example(queue, request.path_params["example_id"], "clip")
        url = self.media.locate(clip.path)
        kind = media.content_type(clip.path)
        if storage.is_local(url):
            return _lasting(FileResponse(storage.local_path(url), media_type=kind))
        return _lasting(Response(storage.read_bytes(url), media_type=kind))

    def _link_json(self, queue: Queue, item: Item, reviewer: str, **more: Any) -> Response:
        with queue.reading():
            item = queue.item(item.id)
            view = views.link_view(queue, item, reviewer, self.snapshots.take(queue))
        html = self.templates.get_template("link.html").render(view=view)
        link = {
            "id": item.id,
            "revision": item.revision,
            "state": view.state,
            "name": f"{item.proposal.audio_label} = {item.proposal.visual_label}",
            "category": view.impact.category,
            "html": html,
        }
        return JSONResponse({"link": link, "progress": self._progress(queue, reviewer), **more})

    def _progress(self, queue: Queue, reviewer: str) -> dict[str, int]:
        progress = queue.progress(reviewer)
        return {
            "mine": progress.mine,
            "waiting": progress.waiting,
            "decided": progress.decided,
            "asked": progress.asked,
        }

    def _html(self, template: str, request: Request, queue: Queue, **values: Any) -> Response:
        reviewer = _reviewer(request)
        progress = queue.progress(reviewer)
        page = self.templates.get_template(template)
        return HTMLResponse(
            page.render(reviewer=reviewer, progress=progress, path=request.url.path, **values)
        )

    def _page(self, handler: Callable[[Request, Queue], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._answer, lambda queue: self._read(handler, request, queue))

        return endpoint

    def _read(
        self, handler: Callable[[Request, Queue], Response], request: Request, queue: Queue
    ) -> Response:
        with queue.reading():
            return handler(request, queue)

    def _change(
        self, handler: Callable[[Request, Queue, dict[str, Any]], Response]
    ) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                body = json.loads(await request.body())
            except ValueError:
                body = None
            if not isinstance(body, dict):
                return JSONResponse({"error": "the body is one JSON object"}, 400)
            return await run_in_threadpool(self._answer, lambda queue: handler(request, queue, body))

        return endpoint

    def _answer(self, handler: Callable[[Queue], Response]) -> Response:
        try:
            with Queue(self.settings.queue_path) as queue:
                return handler(queue)
        except Conflict as error:
            return JSONResponse({"error": str(error)}, 409)
        except media.MediaMissing as error:
            return JSONResponse({"error": str(error)}, 404)
        except (ReviewError, LabelMapError) as error:
            return JSONResponse({"error": str(error)}, 400)


def build_app(settings: Settings) -> Starlette:
    guard = Middleware(Guard, names=settings.names, token=settings.token)
    return Starlette(routes=Page(settings).routes(), middleware=[guard])


def _reviewer(request: Request) -> str:
    return unquote(request.cookies.get(REVIEWER_COOKIE, ""))


def _required_reviewer(request: Request) -> str:
    name = _reviewer(request)
    if not name:
        raise ReviewError("who are you? The page asks for a name before it shows links")
    return check_reviewer(name)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise ReviewError(f"{name} is {value!r}; it is text")
    return value


def _lasting(response: Response) -> Response:
    """Ids of examples are never used twice, so what they name never changes."""
    response.headers["cache-control"] = "private, max-age=604800, immutable"
    return response
