"""The routes of the judging page, with those that look at samples below `/samples`. This file only wires."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.convertors import register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pipelines.browse import BROWSE
from pipelines.browse.app import Browser, ranged
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.media import Gone, Pictures
from pipelines.judge import quality, results
from pipelines.judge.errors import JudgeError
from pipelines.judge.queue import Queue
from pipelines.judge.records import Item, Order
from pipelines.judge.verdicts import VERDICTS, words
from pipelines.pages import bodies, templates
from pipelines.pages.errors import PageError
from pipelines.pages.handlers import Handlers, lasting
from pipelines.review.records import check_reviewer
from pipelines.review.server.leases import Leases
from shards import hashing
from shards.reader import Dataset
from shards.records import NEGATIVES

_HERE = Path(__file__).parent
JUDGE_COOKIE = "avs_judge"
SAMPLES = "/samples"  # below which samples are looked at
_ON_BUTTONS = ("Right", "Other sound", "Other object", "Bad mask", "Silent object", "Cannot tell")
_VIEWS: dict[Order, tuple[str, str]] = {"random": ("/", "/sample"), "active": ("/active", "/active")}


class Page:
    """What handlers answer, from a queue that is open."""

    def __init__(self, queue_path: str, browser: Browser) -> None:
        self.queue_path, self.browser = queue_path, browser
        self.leases = Leases()
        self.templates = templates.environment(_HERE / "templates", BROWSE)
        self.templates.globals.update(
            name=browser.catalogue.dataset.manifest.name,
            verdicts=VERDICTS,
            short=dict(zip(VERDICTS, _ON_BUTTONS, strict=True)),
            negatives=NEGATIVES,
            interval=quality.interval,
        )

    def routes(self) -> list[Route | Mount]:
        register_url_convertor("row", bodies.RowConvertor())
        made = Handlers(lambda: Queue(self.queue_path))
        return [
            Route("/", made.page(self.random)),
            Route("/sample/{item_id:row}", made.page(self.random)),
            Route("/active", made.page(self.active)),
            Route("/active/{item_id:row}", made.page(self.active)),
            Route("/quality", made.page(self.quality)),
            Route("/api/next", made.page(self.next)),
            Route("/api/sample/{item_id:row}", made.page(self.sample)),
            Route("/api/judge", made.change(self.name_judge), methods=["POST"]),
            Route("/api/sample/{item_id:row}/judgement", made.change(self.judge), methods=["POST"]),
            Route("/api/undo", made.change(self.undo), methods=["POST"]),
            Route("/media/{item_id:row}/photo", made.media(self.photo)),
            Route("/media/{item_id:row}/mask", made.media(self.mask)),
            Route("/media/{item_id:row}/sound", made.media(self.sound)),
            Mount("/static", templates.static(_HERE / "static")),
            *self.browser.routes(),
        ]

    def random(self, request: Request, queue: Queue) -> Response:
        return self._judging(request, queue, "random")

    def active(self, request: Request, queue: Queue) -> Response:
        return self._judging(request, queue, "active")

    def _judging(self, request: Request, queue: Queue, order: Order) -> Response:
        view, folder = _VIEWS[order]
        wanted = request.path_params.get("item_id", "")
        return self._html("judge.html", request, queue, order=order, view=view, folder=folder, wanted=wanted)

    def quality(self, request: Request, queue: Queue) -> Response:
        found = quality.quality(results.of_queue(queue))
        told = {"found": found, "sentences": quality.sentences(found)}
        return self._html("quality.html", request, queue, view="/quality", **told)

    def next(self, request: Request, queue: Queue) -> Response:
        """The sample to show after the one that is `on` the screen; where others' screens hold all, that they do."""
        judge, order = _required_judge(request), _order(request.query_params.get("order", "random"))
        holder = (judge, request.query_params.get("tab", "")[:40])
        on_screen = bodies.rows(request.query_params.get("on", ""))
        skip = bodies.rows(request.query_params.get("skip", "")) | on_screen
        others = self.leases.of_others(holder)
        strangers = queue.of_one_judge([item for item, other in others.items() if other[0] != judge])
        item = queue.next(judge, order, skip | others.keys()) or queue.next(judge, order, skip | strangers)
        self.leases.hold(holder, on_screen | ({item.id} if item else set()))
        if item is not None:
            return self._item_json(queue, item, judge, order)
        held = queue.next(judge, order, skip) is not None
        return JSONResponse({"sample": None, "held": held, "progress": _progress(queue, judge, order)})

    def sample(self, request: Request, queue: Queue) -> Response:
        item = queue.item(request.path_params["item_id"])
        return self._item_json(queue, item, _required_judge(request), _order_of(item))

    def name_judge(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        name = check_reviewer(bodies.text(body, "name").strip())
        response = JSONResponse({"judge": name})
        response.set_cookie(
            JUDGE_COOKIE, quote(name), max_age=365 * 86_400, httponly=True, samesite="strict", path="/"
        )
        return response

    def judge(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        judge, item = _required_judge(request), queue.item(request.path_params["item_id"])
        verdict, note = bodies.text(body, "verdict"), bodies.text(body, "note").strip()
        found = queue.judge(item.id, judge, verdict, note, bodies.text(body, "request_id") or None)
        return JSONResponse({"judgement": found.id, "progress": _progress(queue, judge, _order_of(item))})

    def undo(self, request: Request, queue: Queue, body: dict[str, Any]) -> Response:
        judge = _required_judge(request)
        back = queue.undo(judge, bodies.number(body, "decision"), bodies.text(body, "request_id") or None)
        item = queue.item(back.item_id)
        return self._item_json(queue, item, judge, _order_of(item), undone=words(back.verdict))

    def photo(self, request: Request, queue: Queue) -> Response:
        key = queue.item(request.path_params["item_id"]).key
        return lasting(Response(self.browser.media.picture(key, "photo"), media_type="image/jpeg"))

    def mask(self, request: Request, queue: Queue) -> Response:
        key = queue.item(request.path_params["item_id"]).key
        return lasting(Response(self.browser.media.picture(key, "mask"), media_type="image/png"))

    def sound(self, request: Request, queue: Queue) -> Response:
        item = queue.item(request.path_params["item_id"])
        media = self.browser.media
        return ranged(media.clip(item.gold) if item.gold else media.sound(item.key), request)

    def _item_json(self, queue: Queue, item: Item, judge: str, order: Order, **more: Any) -> Response:
        """As this judge may see it: nobody sees what others said."""
        with queue.reading():
            item = queue.item(item.id)
            given = [one for one in queue.judgements(item.id) if not one.undone and one.verdict != "undo"]
        mine = next((one for one in given if one.judge == judge), None)
        row = self.browser.catalogue.find(item.key)
        if row is None:
            raise Gone(f"sample {item.key} is not in the dataset: it is not the one that was drawn from")
        card = self.browser.views.card(row)
        full = self.browser.catalogue.row(row)
        closed = mine is not None or (item.state == "done" and item.gold is None)
        html = self.templates.get_template("item.html").render(
            item=item,
            at=f"/media/{item.id}",
            version=f"{hashing.hash64(self.browser.at.version, item.key, item.gold):x}",
            card=card,
            size=(full["width"], full["height"]),
            mine=words(mine.verdict) if mine else "",
        )
        shown = {
            "id": item.id,
            "state": "answered" if closed else "open",
            "name": card.name or item.kind.replace("_", " "),
            "mine": mine.id if mine else None,
            "html": html,
        }
        return JSONResponse({"sample": shown, "progress": _progress(queue, judge, order), **more})

    def _html(self, template: str, request: Request, queue: Queue, **values: Any) -> Response:
        judge, order = _judge(request), values.get("order", "random")
        page = self.templates.get_template(template)
        return HTMLResponse(page.render(judge=judge, progress=_progress(queue, judge, order), **values))


def build_app(queue_path: str, dataset: Dataset, pictures: Pictures | None = None) -> ASGIApp:
    """The page, to be guarded by `pipelines.pages.security`.

    Raises:
        JudgeError: the dataset is not the one that the queue was drawn from.
    """
    with Queue(queue_path) as queue:
        known, here = queue.meta("manifest_sha256"), results.manifest_sha256(dataset.url)
    if known != here:
        raise JudgeError(
            f"{dataset.url} is another version (manifest {here[:12]}) than {queue_path} was drawn from ({known[:12]}): "
            "put that one back, or draw from this one into another --queue"
        )
    browser = Browser(Catalogue(dataset), SAMPLES, pictures, home=("/", "Judge"))
    browser.warm()
    return Starlette(routes=Page(queue_path, browser).routes())


def _order(given: str) -> Order:
    if given not in _VIEWS:
        raise PageError(f"order {given!r}: there are {', '.join(_VIEWS)}")
    return "active" if given == "active" else "random"


def _order_of(item: Item) -> Order:
    return "active" if item.order == "active" else "random"


def _progress(queue: Queue, judge: str, order: Order) -> dict[str, int]:
    progress = queue.progress(judge, order)
    return {"mine": progress.mine, "waiting": progress.waiting}


def _judge(request: Request) -> str:
    return unquote(request.cookies.get(JUDGE_COOKIE, ""))


def _required_judge(request: Request) -> str:
    name = _judge(request)
    if not name:
        raise JudgeError("who are you? The page asks for a name before it shows samples")
    return check_reviewer(name)
