"""What stands between a browser and the queue: host names, token, origin, headers.

The page listens on loopback, where other web pages of the same browser and, by DNS rebinding, other sites
can reach it; or on a network, where anybody can. So: the Host header must be a name of this machine, a
request that changes something must come from the page itself, and off loopback every request carries a token.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from http.cookies import SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_COOKIE = "avs_review_token"
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
# The cookie is SameSite=Strict, so after a click on a link in a chat it is sent only once this page itself
# leads on.
_WELCOME = (
    '<!doctype html><meta charset="utf-8"><title>Review</title><meta http-equiv="refresh" content="0;url=/">'
)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware. Refuses with 421 (host), 401 (token), 403 (origin), 413 (size); the text says what to do.

    Args:
        names: host names that are answered. Off loopback, addresses in digits are answered too: DNS rebinding
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
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if self.token is not None:
            given = query.get("token", [""])[0]
            if given and hmac.compare_digest(given.encode(), self.token.encode()):
                welcome = HTMLResponse(_WELCOME)
                welcome.set_cookie(TOKEN_COOKIE, self.token, httponly=True, samesite="strict", path="/")
                return welcome
            cookie = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
            if cookie is None or not hmac.compare_digest(cookie.value.encode(), self.token.encode()):
                return PlainTextResponse(
                    "Open the address with ?token=… that `avs-data review serve` printed.", 401
                )
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin", "").partition("://")[2] != host:
                return PlainTextResponse("Refused: this request does not come from the review page.", 403)
            if (
                not headers.get("content-length", "").isdigit()
                or int(headers["content-length"]) > MAX_BODY_BYTES
            ):
                return PlainTextResponse(f"A request has a length of at most {MAX_BODY_BYTES} bytes.", 413)
        return None

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
