"""Listen, print the address, and serve an app until interrupted."""

import secrets
import socket
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

from pipelines.pages.errors import PageError
from pipelines.pages.security import Guard, is_loopback
from shards import terminal


def serve(
    app: Callable[[], ASGIApp],
    *,
    name: str,
    may: str,
    host: str,
    port: int,
    allow_hosts: Sequence[str] = (),
    with_token: bool = True,
) -> None:
    """Listen until interrupted; prints the address, with the token that every browser has to bring once.

    Args:
        app: makes what is served, once the address is taken; it is guarded here.
        name: of the page, before its address. may: what whoever reaches the address can do where it takes no token.

    Raises:
        PageError: the address cannot be listened on.
    """
    if not host:
        raise PageError("--host is empty: give an address to listen on, such as 127.0.0.1")
    token = secrets.token_urlsafe(24) if with_token else None
    names = (
        *("localhost", "127.0.0.1", "::1", host, *allow_hosts),
        *(() if is_loopback(host) else (socket.gethostname(),)),
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)  # before the address is printed: who reads it may connect at once
        except OSError as error:
            raise PageError(
                f"cannot listen on {host} port {port}: {error.strerror}; try another --port"
            ) from error
        guarded = Guard(app(), names, token)
        shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
        shown = f"[{shown}]" if ":" in shown else shown
        address = f"http://{shown}:{listener.getsockname()[1]}/"
        terminal.out(f"{name}: {address}{'' if token is None else f'?token={token}'}")
        reached = "users and programs of this machine" if is_loopback(host) else "anybody on the network"
        if token is None:
            terminal.out(f"Without a token: {reached} can {may}.")
        else:
            terminal.out(
                "Open that link: whoever has it gets in, and nobody else. It holds until this server ends"
                f"{'' if is_loopback(host) else '; on the way it is not encrypted'}."
            )
        config = uvicorn.Config(
            guarded, log_level="warning", access_log=False, server_header=False, lifespan="off"
        )
        uvicorn.Server(config).run(sockets=[listener])
