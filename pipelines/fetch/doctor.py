"""Is this machine fit to fetch? Each check answers good or bad, with what it saw and what to do."""

import datetime
import importlib.util
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import av
import yt_dlp

from pipelines.fetch import clips
from pipelines.fetch.access import PROXIES, cookie_fault
from pipelines.fetch.causes import Failure
from pipelines.fetch.http import web_address
from pipelines.fetch.ledger import FOLDER
from pipelines.fetch.options import FetchOptions
from shards import storage
from shards.sound import RATE_HZ

_OLD_DAYS = 60  # YouTube changes often enough that an older yt-dlp usually fails
_LEAST_FREE = 20_000_000_000


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty where all is well."""

    check: str
    seen: str
    remedy: str = ""


def examine(corpora: str, options: FetchOptions, cookies: Sequence[str]) -> list[Finding]:
    return [
        _write_access(corpora),
        _disk(corpora),
        *_names(options),
        _decoder(),
        _yt_dlp(datetime.date.today()),
        _javascript(),
        *(_cookies(path) for path in cookies),
        _proxies(),
    ]


def _write_access(corpora: str) -> Finding:
    url = storage.join(corpora, FOLDER, "doctor")
    try:
        storage.write_atomic(url, b"written by avs-data doctor")
        same = storage.read_bytes(url) == b"written by avs-data doctor"
        storage.remove(url)
    except (OSError, ValueError, ImportError) as error:
        return Finding(
            "write access", f"{corpora}: {error}", "Give a folder or bucket that this user may write to"
        )
    return Finding(
        "write access", corpora, "" if same else "What was written did not come back: check the storage"
    )


def _disk(corpora: str) -> Finding:
    place = storage.local_path(corpora) if storage.is_local(corpora) else tempfile.gettempdir()
    while not os.path.exists(place):
        place = os.path.dirname(os.path.abspath(place))
    free = shutil.disk_usage(place).free
    remedy = (
        f"Make room: the full corpora need more than {_LEAST_FREE / 1e9:.0f} GB" if free < _LEAST_FREE else ""
    )
    return Finding("disk", f"{free / 1e9:,.0f} GB free", remedy)


def _names(options: FetchOptions) -> list[Finding]:
    findings = []
    for host in sorted({_host_of(url) for url in options.addresses.values()}):
        try:
            address = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)[0][4][0]
            findings.append(Finding("DNS", f"{host} is {address}"))
        except OSError as error:
            findings.append(
                Finding("DNS", f"{host}: {error}", "Check the network, or name a mirror in [fetch.sources]")
            )
    return findings


def _host_of(url: str) -> str:
    try:
        return urlsplit(web_address(url)).hostname or url
    except Failure:
        return url


def _decoder() -> Finding:
    """Opus and AAC are what YouTube serves."""
    libavcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    seen = f"PyAV {av.__version__} with libavcodec {libavcodec}"
    missing = [name for name in ("opus", "aac", "vorbis", "mp3") if name not in av.codecs_available]
    if missing:
        return Finding("decoder", seen, f"No decoder for {', '.join(missing)}: install the PyAV wheel")
    return Finding("decoder", f"{seen}, cuts to {RATE_HZ} Hz FLAC")


def _yt_dlp(today: datetime.date) -> Finding:
    version = yt_dlp.version.__version__
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (today - datetime.date(year, month, day)).days
    except ValueError:
        return Finding("yt-dlp", f"version {version}", "A version without a date: install a release")
    remedy = f"Older than {_OLD_DAYS} days: pip install -U yt-dlp" if age > _OLD_DAYS else ""
    return Finding("yt-dlp", f"version {version}, {age} days old", remedy)


def _javascript() -> Finding:
    runtimes = clips.javascript()
    scripts = importlib.util.find_spec("yt_dlp_ejs") is not None
    seen = f"{', '.join(runtimes) or 'no runtime'}; yt-dlp-ejs {'there' if scripts else 'missing'}"
    return Finding(
        "JavaScript", seen, "" if runtimes and scripts else "YouTube needs it: pip install deno yt-dlp-ejs"
    )


def _cookies(path: str) -> Finding:
    fault = cookie_fault(path)
    if fault:
        return Finding("cookies", fault, "Export cookies of a signed-in session in Netscape's format")
    if os.stat(path).st_mode & 0o077:
        return Finding("cookies", f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("cookies", f"{path} is readable by this user alone")


def _proxies() -> Finding:
    count = len(os.environ.get(PROXIES, "").split())
    return Finding("proxies", f"{count} in {PROXIES}")
