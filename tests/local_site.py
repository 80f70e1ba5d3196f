"""A local web site for tests and benchmarks: serves folders over HTTP/1.1 and fails on purpose, by a seeded plan.

Run as a program; it prints `PORT <n>` and serves 127.0.0.1 until it is stopped or its parent closes its standard input.
Which fault a path gets is a hash of (seed, path), so the truth of a faulty run can be computed outside: `fault_of`.
`/@7/a.jpg` has the content of `/a.jpg` and a fault of its own: a few files can stand for many.
One-time faults happen at a path's first request only; with `--by-range` every range of a path has a fault of its own.
`/__stats__` answers JSON.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FAULTS = ("once_503", "once_truncated", "stall", "gone", "retry_after")
TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".zip": "application/zip",
    ".json": "application/json",
    ".csv": "text/csv",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".wav": "audio/x-wav",
    ".html": "text/html",
}


def fault_of(path: str, rates: dict[str, float], seed: int) -> str | None:
    """The fault of a URL path, or None: `rates` maps names of FAULTS to shares in [0, 1]."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}{path}".encode()).digest()[:6], "big") / 2**48
    for name in FAULTS:
        draw -= rates.get(name, 0.0)
        if draw < 0:
            return name
    return None


@contextmanager
def start(root: object, **options: object) -> Iterator[str]:
    """Run this program over a folder; the site's address. Options as on the command line, `stall_s=1.0`."""
    words = [f"--{name.replace('_', '-')}={json.dumps(value)}" for name, value in options.items()]
    command = [sys.executable, __file__, str(root), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().split()[1]  # type: ignore[union-attr]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def stats(address: str) -> dict[str, Any]:
    """`requests`: path -> how often it was asked for; `peak`: requests under way at once, at most;
    `busy_s`: from the first request to the last answer.
    """
    with urllib.request.urlopen(f"{address}/__stats__") as answer:
        return json.load(answer)


class Site:
    def __init__(self, root: str, options: argparse.Namespace) -> None:
        self.root, self.rates, self.seed = root, options.rates, options.seed
        self.stall_s, self.latency_s = options.stall_s, options.latency_s
        self.by_range, self.no_ranges, self.changes = options.by_range, options.no_ranges, options.changes
        self.bytes_per_s = options.bytes_per_s
        self.bytes: dict[str, int] = {}
        self.cache: dict[str, bytes | None] = {}
        self.seen: dict[str, int] = {}
        self.ranges: dict[str, int] = {}
        self.open = self.peak = 0
        self.first = self.last = 0.0

    def content(self, path: str) -> bytes | None:
        path = re.sub(r"^/@\w+/", "/", path)
        if path not in self.cache:
            name = os.path.normpath(os.path.join(self.root, path.lstrip("/")))
            inside = name.startswith(self.root + os.sep) and os.path.isfile(name)
            with open(name if inside else os.devnull, "rb") as file:
                self.cache[path] = file.read() if inside else None
        return self.cache[path]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not await self.request(head.decode("latin-1"), writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def request(self, head: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False to close the connection."""
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in lines if h)}
        path = urllib.parse.unquote(target.partition("?")[0])
        if path == "/__stats__":
            told = {
                "requests": self.seen,
                "peak": self.peak,
                "busy_s": self.last - self.first,
                "bytes": self.bytes,
            }
            body = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return True
        self.first = self.first or time.monotonic()
        order = self.seen[path] = self.seen.get(path, 0) + 1
        wanted = "" if self.no_ranges else headers.get("range", "")
        key = path + wanted if self.by_range else path
        if self.by_range and wanted:
            order = self.ranges[key] = self.ranges.get(key, 0) + 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            fault = fault_of(key, self.rates, self.seed)
            body = self.content(path)
            if body is None or fault == "gone":
                return self.plain(writer, "404 Not Found")
            if order == 1 and fault == "once_503":
                return self.plain(writer, "503 Service Unavailable")
            if order == 1 and fault == "retry_after":
                return self.plain(writer, "429 Too Many Requests", "Retry-After: 1\r\n")
            if order == 1 and fault == "stall":
                writer.write(self.head("200 OK", path, len(body)) + body[: len(body) // 2])
                await asyncio.sleep(self.stall_s)
                return False
            status, extra = "200 OK", ""
            etag = self.tag(path)
            if wanted.startswith("bytes=") and headers.get("if-range", f'"{etag}"') == f'"{etag}"':
                first, _, last = wanted[6:].partition("-")
                if int(first) >= len(body):
                    return self.plain(
                        writer, "416 Range Not Satisfiable", f"Content-Range: bytes */{len(body)}\r\n"
                    )
                start, stop = int(first), int(last or len(body) - 1) + 1
                status, extra = (
                    "206 Partial Content",
                    f"Content-Range: bytes {start}-{stop - 1}/{len(body)}\r\n",
                )
                body = body[start:stop]
            writer.write(self.head(status, path, len(body), extra))
            if method != "HEAD":
                cut = order == 1 and fault == "once_truncated"
                sent = body[: len(body) // 2] if cut else body
                self.bytes[path] = self.bytes.get(path, 0) + len(sent)
                at_once = int(self.bytes_per_s / 10) or len(sent) or 1
                for at in range(0, len(sent), at_once):
                    writer.write(sent[at : at + at_once])
                    await writer.drain()
                    await asyncio.sleep(0.1 if self.bytes_per_s else 0)
                return not cut
            return True
        finally:
            self.open -= 1
            self.last = time.monotonic()

    def tag(self, path: str) -> str:
        changed = bool(self.changes) and self.seen.get(path, 0) > self.changes
        return hashlib.md5(f"{re.sub(r'^/@[0-9a-z]+/', '/', path)} {changed}".encode()).hexdigest()

    def head(self, status: str, path: str, length: int, extra: str = "") -> bytes:
        kind = TYPES.get(os.path.splitext(path)[1], "application/octet-stream")
        etag = self.tag(path)
        return (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
            f'Accept-Ranges: bytes\r\nETag: "{etag}"\r\n{extra}\r\n'
        ).encode()

    def plain(self, writer: asyncio.StreamWriter, status: str, extra: str = "") -> bool:
        body = status.encode()
        writer.write(self.head(status, ".html", len(body), extra) + body)
        return True


async def serve(site: Site, port: int) -> None:
    server = await asyncio.start_server(site.answer, "127.0.0.1", port, backlog=512)
    print(f"PORT {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="the folder to serve")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rates", type=json.loads, default={}, help='JSON: {"once_503": 0.1, ...}')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--stall-s", type=float, default=60.0, help="how long a stalled answer hangs before it is cut"
    )
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--bytes-per-s", type=float, default=0.0, help="of each connection; 0: no limit")
    parser.add_argument("--by-range", type=json.loads, default=False, help="JSON: true or false")
    parser.add_argument("--no-ranges", type=json.loads, default=False, help="JSON: true to ignore ranges")
    parser.add_argument(
        "--changes", type=int, default=0, help="requests to a path after which its content counts as another"
    )
    parser.add_argument("--keep", action="store_true", help="stay when standard input closes")
    options = parser.parse_args()
    if not options.keep:  # a test that dies takes its site with it
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    asyncio.run(serve(Site(os.path.realpath(options.root), options), options.port))


if __name__ == "__main__":
    main()
