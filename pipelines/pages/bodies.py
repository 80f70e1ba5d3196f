"""What a browser sends: one JSON object, whose values are of the kinds that a page expects."""

import json
import re
from typing import Any

import anyio
from starlette.convertors import Convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from pipelines.pages.errors import PageError

BODY_S = 20.0  # in which the body of a request is to arrive
_ROW = re.compile(r"\d{1,18}", re.ASCII)  # a number that SQLite can hold


class RowConvertor(Convertor[int]):
    """The number of a row in an address."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


async def received(request: Request) -> dict[str, Any] | Response:
    """The body, or what to answer where there is none."""
    try:
        with anyio.fail_after(BODY_S):
            body = json.loads(await request.body())
    except (TimeoutError, ClientDisconnect):
        return JSONResponse({"error": f"the body did not arrive within {BODY_S:.0f} s"}, 408)
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else JSONResponse({"error": "the body is one JSON object"}, 400)


def text(body: dict[str, Any], name: str) -> str:
    """'' where it is missing. Raises PageError."""
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise PageError(f"{name} is {value!r}; it is text")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise PageError(f"{name} holds half a letter (a lone surrogate): send it as UTF-8")
    return value


def number(body: dict[str, Any], name: str) -> int | None:
    """Of a row; None where it is missing. Raises PageError."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 2**63):
        raise PageError(f"{name} is no number of a row")
    return value


def rows(listed: str) -> set[int]:
    """Numbers in a list with commas; what is none is left out."""
    return {int(part) for part in listed.split(",") if _ROW.fullmatch(part)}
