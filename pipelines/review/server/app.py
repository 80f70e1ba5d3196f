"""The routes of the review page. Every answer is computed by `pipelines.review`; this file only wires."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.convertors import register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from label_maps import RELATIONS
from pipelines.browse.app import Browser
from pipelines.browse.catalogue import Catalogue
from pipelines.corpora import registry
from pipelines.pages import bodies, templates
from pipelines.pages.handlers import Handlers, lasting
from pipelines.pages.renderers import Renderers
from pipelines.review import intake, labels, media
from pipelines.review.categories import long_name
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import Answer, QueuedLink, check_reviewer
from pipelines.review.render import Job, Tile, tile
from pipelines.review.server import views
from pipelines.review.server.leases import Leases
from pipelines.review.server.snapshot import Snapshots
from shards import storage

_HERE = Path(__file__).parent
QUESTION_LETTERS = 200  # of what is searched for
REVIEWER_COOKIE = "avs_reviewer"
SAMPLES = "/samples"  # where a dataset is looked at


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        queue_path: the queue's SQLite file.
        map_path: CSV of the label map.
        corpora: folder or URL of photos and clips; '' for none.
        samples: of a dataset, to be looked at beside the links; None: of none.
    """

    queue_path: str
    map_path: Path
    corpora: str
    samples: Catalogue | None = None


class Page:
    """What handlers answer, from a queue that is open."""

    def __init__(self, settings: Settings, renderers: Renderers[Job, Tile]) -> None:
        self.settings = settings
        self.leases = Leases()
        self.media = media.Media(settings.corpora, renderers)
        self.snapshots = Snapshots(settings.map_path)
        self.templates = templates.environment(_HERE / "templates")
        self.templates.globals.update(
            source_name=registry.title, relations=RELATIONS, samples=SAMPLES if settings.samples else ""
        )

    def routes(self) -> list[Route | Mount]:
        register_url_convertor("row", bodies.RowConvertor())
        made = Handlers(lambda: Queue(self.settings.queue_path))
        return [
            Route("/", made.page(self.review)),
            Route("/link/{item_id:row}", made.page(self.review)),
            Route("/map", made.page(self.whole_map)),
            Route("/progress", made.page(self.progress)),
            Route("/api/next", made.page(self.next)),
            Route("/api/link/{item_id:row}", made.page(self.link)),
            Route("/api/search", made.page(self.search)),
            Route("/api/reviewer", made.change(self.name_reviewer), methods=["POST"]),
            Route("/api/link/{item_id:row}/decision", made.change(self.decide), methods=["POST"]),
            Route("/api/link/{item_id:row}/target", made.change(self.target), methods=["POST"]),
            Route("/api/undo", made.change(self.undo), methods=["POST"]),
            Route("/media/photo/{example_id:row}", made.media(self.photo)),
            Route("/media/mask/{example_id:row}", made.media(self.mask)),
            Route("/media/clip/{example_id:row}", made.media(self.clip)),
            Mount("/static", templates.static(_HERE / "static")),
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
        """The link to show after the one that is `on` the screen; where the others' screens hold all, how many."""
        reviewer = _required_reviewer(request)
        holder = (reviewer, request.query_params.get("tab", "")[:40])
        on_screen = bodies.rows(request.query_params.get("on", ""))
        skip = bodies.rows(request.query_params.get("skip", "")) | on_screen
        others = self.leases.of_others(holder)
        strangers = queue.of_one_vote([link for link, other in others.items() if other[0] != reviewer])
        item = queue.next(reviewer, skip | others.keys()) or queue.next(reviewer, skip | strangers)
        self.leases.hold(holder, on_screen | ({item.id} if item else set()))
        if item is not None:
            return self._link_json(queue, item, reviewer)
        held = queue.next(reviewer, skip) is not None
        return JSONResponse({"link": None, "held": held, "progress": self._progress(queue, reviewer)})

    def link(self, request: Request, queue: Queue) -> Response:
        return self._link_json(queue, queue.item(request.path_params["item_id"]), _required_reviewer(request))

    def search(self, request: Request, queue: Queue) -> Response:
        question = request.query_params.get("q", "")
        if len(question) > QUESTION_LETTERS:
            raise ReviewError(f"search for at most {QUESTION_LETTERS} letters")
        found = labels.search(queue, question)
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
        name = check_reviewer(bodies.text(body, "name").strip())
        response = JSONResponse({"reviewer": name, "progress": self._progress(queue, name)})
        response.set_cookie(
            REVIEWER_COOKIE, quote(name), max_age=365 * 86_400, httponly=True, samesite="strict", path="/"
        )
        return response

    def decide(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        reviewer = _required_reviewer(request)
        item_id = request.path_params["item_id"]
        category = bodies.text(body, "category").strip()
        answer = Answer(
            bodies.text(body, "verdict"),
            long_name(category) if category else "",
            bodies.text(body, "relation") or "same",
            bodies.text(body, "note").strip(),
        )
        revision = bodies.number(body, "revision")
        if revision is None:
            raise ReviewError("a decision names the `revision` of the link that was on the screen")
        decision = queue.decide(item_id, reviewer, answer, revision, bodies.text(body, "request_id") or None)
        return JSONResponse({"decision": decision.id, "progress": self._progress(queue, reviewer)})

    def target(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        """The link from this sound to another visual label, to be decided like any other."""
        reviewer = _required_reviewer(request)
        sound = queue.item(request.path_params["item_id"]).key[:2]
        source, source_id = bodies.text(body, "source"), bodies.text(body, "source_id")
        text = labels.label_text(queue, source, source_id, "")
        if not text.name:
            raise ReviewError(f"{source} {source_id!r} is not a label of this queue's vocabularies")
        item = intake.add_target(queue, sound, source, source_id, text.name, reviewer)
        return self._link_json(queue, item, reviewer)

    def undo(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        reviewer = _required_reviewer(request)
        decision = bodies.number(body, "decision")
        if decision is not None and queue.reviewer_of(decision) not in (reviewer, None):
            raise ReviewError(f"decision {decision} is somebody else's: `avs-data review undo` takes it back")
        taken_back = queue.undo(reviewer, decision, bodies.text(body, "request_id") or None)
        return self._link_json(queue, queue.item(taken_back.item_id), reviewer, undone=taken_back.verdict)

    def photo(self, request: Request, queue: Queue) -> Response:
        photo = media.example(queue, request.path_params["example_id"], "photo")
        return lasting(Response(self.media.tile(photo).photo, media_type="image/jpeg"))

    def mask(self, request: Request, queue: Queue) -> Response:
        photo = media.example(queue, request.path_params["example_id"], "photo")
        return lasting(Response(self.media.tile(photo).overlay, media_type="image/png"))

    def clip(self, request: Request, queue: Queue) -> Response:
        clip = media.example(queue, request.path_params["example_id"], "clip")
        url = self.media.locate(clip.path)
        kind = media.content_type(clip.path)
        if storage.is_local(url):
            return lasting(FileResponse(storage.local_path(url), media_type=kind))
        return lasting(Response(self.media.read(clip.path), media_type=kind))

    def _link_json(self, queue: Queue, item: QueuedLink, reviewer: str, **more: Any) -> Response:
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
            "mine": view.mine,
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


def build_app(settings: Settings, renderers: Renderers[Job, Tile] | None = None) -> ASGIApp:
    """The page, to be guarded by `pipelines.pages.security`."""
    routes = Page(settings, renderers or Renderers(tile)).routes()
    if settings.samples is not None:
        routes += Browser(settings.samples, SAMPLES, home=("/", "Review")).routes()
    return Starlette(routes=routes)


def _reviewer(request: Request) -> str:
    return unquote(request.cookies.get(REVIEWER_COOKIE, ""))


def _required_reviewer(request: Request) -> str:
    name = _reviewer(request)
    if not name:
        raise ReviewError("who are you? The page asks for a name before it shows links")
    return check_reviewer(name)
