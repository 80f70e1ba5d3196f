"""Start the review page."""

import secrets
import socket
from pathlib import Path

import uvicorn

from pipelines.review.errors import ReviewError
from pipelines.review.server.app import Settings, build_app
from pipelines.review.server.security import is_loopback


def serve(
    queue_path: str, map_path: Path, corpora: str, host: str, port: int, allow_hosts: tuple[str, ...] = ()
) -> None:
    """Listen until interrupted; prints the address, with a token where others than this machine can reach it.

    Raises:
        ReviewError: the address cannot be listened on.
    """
    if not host:
        raise ReviewError("--host is empty: give an address to listen on, such as 127.0.0.1")
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    names = (
        "localhost",
        "127.0.0.1",
        "::1",
        host,
        *allow_hosts,
        *(() if token is None else (socket.gethostname(),)),
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
    print(f"Review page: {address}{'' if token is None else f'?token={token}'}", flush=True)
    if token is not None:
        print(
            "Whoever has this address can decide. It is shown once, and is not encrypted on the way.",
            flush=True,
        )
    app = build_app(Settings(queue_path, map_path, corpora, names, token))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
