"""What stands between a browser and a page: host names, token, origin, headers.

A page listens on loopback, where other users of the machine, other web pages of the same browser and, by DNS
rebinding, other sites can reach it; or on a network, where anybody can. So: the Host header must be a name of this
machine, a request that changes something must come from the page itself, and every request carries a token.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_COOKIE = "avs_token"  # and the port: browsers give a host's cookies to all of its ports
MAX_BODY_BYTES = 16_384
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
# The cookie is SameSite=Strict, so after a click on a link in a chat it is sent only once this page itself
# leads on.
_WELCOME = (
    '<!doctype html><meta charset="utf-8"><title>AVS Data</title><link rel="icon" href="/static/icon.svg">'
    '<meta http-equiv="refresh" content="0;url=/">'
)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Around the whole app, so that no answer lacks the headers. Refuses with 421 (host), 401 (token), 403 (origin),
    413 (size); the text says what to do.

    Args:
        names: host names that are answered. With a token, addresses in digits are answered too: DNS rebinding
            needs a name.
        token: required with every request; None: none is.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], token: str | None) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names)
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, guarded_send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            return PlainTextResponse(
                f"This page does not answer to the host name {host!r}. Name it with --allow-host.", 421
            )
        if self.token is not None:
            cookie_name = f"{TOKEN_COOKIE}_{(scope.get('server') or ('', 0))[1]}"
            if self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]):
                welcome = HTMLResponse(_WELCOME)
                welcome.set_cookie(cookie_name, self.token, httponly=True, samesite="strict", path="/")
                return welcome
            if not any(self._is_token(value) for value in _cookies(headers, cookie_name)):
                return PlainTextResponse(
                    "Open the address with ?token=… that this server printed when it started.",
                    401,
                )
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin", "").partition("://")[2] != host:
                return PlainTextResponse("Refused: this request does not come from the page itself.", 403)
            length = headers.get("content-length", "")
            if not _NUMBER.fullmatch(length) or int(length) > MAX_BODY_BYTES:
                return PlainTextResponse(f"A request has a length of at most {MAX_BODY_BYTES} bytes.", 413)
        return None

    def _is_token(self, given: str) -> bool:
        expected = (self.token or "").encode()
        return bool(given) and hmac.compare_digest(given.encode(errors="replace"), expected)

    def _is_own(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in self.names:
            return True
        if self.token is None:
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _cookies(headers: Headers, name: str) -> Iterator[str]:
    """Every value of a cookie; whatever else the browser sends along, well-formed or not, is nobody's business."""
    for part in headers.get("cookie", "").split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            yield value.strip().strip('"')
