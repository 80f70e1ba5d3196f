"""Start the review page."""

import secrets
import socket
from pathlib import Path

import uvicorn

from pipelines.review.errors import ReviewError
from pipelines.review.server.app import Settings, build_app
from pipelines.review.server.security import is_loopback
from shards import terminal


def serve(
    queue_path: str,
    map_path: Path,
    corpora: str,
    host: str,
    port: int,
    allow_hosts: tuple[str, ...] = (),
    with_token: bool = True,
) -> None:
    """Listen until interrupted; prints the address, with the token that every browser has to bring once.

    Args:
        with_token: without, whoever reaches the address may read and decide in any name.

    Raises:
        ReviewError: the address cannot be listened on.
    """
    if not host:
        raise ReviewError("--host is empty: give an address to listen on, such as 127.0.0.1")
    token = secrets.token_urlsafe(24) if with_token else None
    names = (
        "localhost",
        "127.0.0.1",
        "::1",
        host,
        *allow_hosts,
        *(() if is_loopback(host) else (socket.gethostname(),)),
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # before the address is printed: who reads it may connect at once
    except OSError as error:
        raise ReviewError(
            f"cannot listen on {host} port {port}: {error.strerror}; try another --port"
        ) from error
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    terminal.out(f"Review page: {address}{'' if token is None else f'?token={token}'}")
    reached = "users and programs of this machine" if is_loopback(host) else "anybody on the network"
    if token is None:
        terminal.out(f"Without a token: {reached} can read everything here, and decide in any name.")
    else:
        terminal.out(
            "Open that link: whoever has it can decide, and nobody else. It holds until this server ends"
            f"{'' if is_loopback(host) else '; on the way it is not encrypted'}."
        )
    app = build_app(Settings(queue_path, map_path, corpora, names, token))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
