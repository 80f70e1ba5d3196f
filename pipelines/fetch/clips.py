"""One clip: yt-dlp as a library brings the best audio, `audio.py` cuts it, the gates listen, FLAC comes out."""

import errno
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import yt_dlp
from yt_dlp.utils import YoutubeDLError

from pipelines.fetch import audio
from pipelines.fetch.causes import Cause, Failure, of_message
from pipelines.fetch.politeness import Access
from shards import storage
from shards.sound import to_flac

# Faults of this machine, not of the video.
_OURS = (errno.EACCES, errno.EDQUOT, errno.EMFILE, errno.ENOSPC, errno.EROFS)
TOOL = f"yt-dlp {yt_dlp.version.__version__}"


def javascript() -> dict[str, str]:
    """The JavaScript runtimes on this machine, name -> path. YouTube's pages need one, yt-dlp starts it."""
    beside = os.path.dirname(sys.executable)  # where `pip install deno` puts it
    found = {name: shutil.which(name) or shutil.which(name, path=beside) for name in ("deno", "node", "bun")}
    return {name: path for name, path in found.items() if path}


class _Silent:
    """Drops yt-dlp's own log, which could name cookies and signed addresses; its exceptions reach the ledger."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class Recorder:
    """Downloads recordings and makes clips of them.

    Args:
        youtube_dl: yt_dlp.YoutubeDL, or what a test puts in its place.
        extra: more options of yt-dlp, from the recipe (`[fetch.youtube.yt_dlp]`).
    """

    def __init__(
        self,
        rules: audio.ClipRules,
        *,
        youtube_dl: Callable[[dict[str, Any]], Any] = yt_dlp.YoutubeDL,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self._rules, self._youtube_dl, self._extra = rules, youtube_dl, extra or {}
        self._cookies = threading.Lock()

    def clip(self, url: str, start_s: float, access: Access) -> tuple[bytes, np.ndarray]:
        """FLAC bytes of the clip at `start_s`, and its samples: (n,) float32, 16 kHz. Raises Failure."""
        folder = tempfile.mkdtemp(prefix="avs-clip-")
        try:
            recording = self._download(url, folder, access)
            samples = audio.cut(recording, start_s, self._rules.clip_s, self._rules.listening.min_s)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        audio.check(samples, self._rules.listening)
        return to_flac(samples), samples

    def _download(self, url: str, folder: str, access: Access) -> str:
        deadline = time.monotonic() + self._rules.deadline_s

        def watch(progress: dict[str, Any]) -> None:
            done = progress.get("downloaded_bytes") or 0
            if done > self._rules.max_bytes:
                raise Failure(Cause.TOO_LARGE, f"more bytes than the limit of {self._rules.max_bytes}")
            if time.monotonic() > deadline:
                raise Failure(Cause.TIMEOUT, f"{done} bytes in {self._rules.deadline_s:g} s")

        options: dict[str, Any] = {
            "format": "bestaudio/best",
            "outtmpl": {"default": os.path.join(folder, "recording.%(ext)s")},
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "logger": _Silent(),
            "noplaylist": True,
            "playlist_items": "1",
            "cachedir": False,
            "retries": 0,  # the ledger counts every attempt: no hidden ones
            "extractor_retries": 0,
            "fragment_retries": 3,
            "socket_timeout": self._rules.stall_s,
            "max_filesize": self._rules.max_bytes,
            "progress_hooks": [watch],
            "fixup": "never",  # no ffmpeg program: PyAV reads what comes
            "enable_file_urls": False,
            "js_runtimes": {name: {"path": path} for name, path in javascript().items()},
            **self._extra,
        }
        if access.proxy:
            options["proxy"] = access.proxy
        if access.cookies:
            options["cookiefile"] = self._own_cookies(access.cookies, folder)
        try:
            with self._youtube_dl(options) as downloader:
                info = downloader.extract_info(url, download=True)
        except Failure:
            raise
        except OSError as error:
            if error.errno in _OURS:
                raise
            raise self._failure(error) from error
        except (
            Exception
        ) as error:  # yt-dlp passes the bugs of its extractors on: one video must not end the rest
            raise self._failure(error) from error
        finally:
            if access.cookies:
                self._return_cookies(access.cookies, folder)
        names = sorted(os.listdir(folder))
        found = [
            name for name in names if name.startswith("recording.") and not name.endswith((".part", ".ytdl"))
        ]
        if not found:
            over = [name for name in names if name.endswith(".part")]
            live = (info or {}).get("live_status")
            if live in ("is_live", "is_upcoming"):
                raise Failure(Cause.NOT_YET, f"live_status {live}")
            raise Failure(
                Cause.TRUNCATED if over else Cause.TOO_LARGE,
                "yt-dlp ended without a file: larger than max_bytes",
            )
        return os.path.join(folder, found[0])

    def _failure(self, error: Exception) -> Failure:
        """The cause of a Failure that a hook raised, of the HTTP status where yt-dlp keeps one, or of the message."""
        link: BaseException | None = error
        seen: set[int] = set()
        retry_after: float | None = None
        while link is not None and id(link) not in seen:
            seen.add(id(link))
            if isinstance(link, Failure):
                return link
            response = getattr(link, "response", None)
            header = response.headers.get("Retry-After") if response is not None else None
            if header and header.isdigit():
                retry_after = float(header)
            info = getattr(link, "exc_info", None)
            link = (info[1] if info else None) or getattr(link, "cause", None) or link.__cause__
        known = isinstance(error, YoutubeDLError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        return Failure(of_message(message), message, retry_after)

    def _own_cookies(self, path: str, folder: str) -> str:
        """yt-dlp rewrites its cookie file when it closes: concurrent
        downloads each get their own, readable by us alone.
        """
        own = os.path.join(folder, "cookies")
        with self._cookies:
            shutil.copyfile(path, own)
        os.chmod(own, 0o600)
        return own

    def _return_cookies(self, path: str, folder: str) -> None:
        """Keep what the site renewed: YouTube rotates session cookies, and old ones stop working."""
        own = os.path.join(folder, "cookies")
        if os.path.exists(own) and os.path.getsize(own) and os.access(path, os.W_OK):
            with self._cookies:
                os.chmod(path, 0o600)  # which the new file keeps
                storage.write_atomic(path, storage.read_bytes(own))
