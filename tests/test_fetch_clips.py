"""Clips through the real yt-dlp: its generic extractor on a local site, and one that refuses as YouTube does."""

import os
import stat

import local_site
import media
import numpy as np
import pytest
import soundfile
import yt_dlp
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError

from pipelines.fetch import clips, options
from pipelines.fetch.audio import ClipRules
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.politeness import Access, Job
from pipelines.fetch.run import Fetch


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    media.record(root / "abc.webm", media.sound(20.0, 48_000), 48_000, "libopus")
    media.record(root / "abc.mp4", media.sound(20.0, 44_100), 44_100, "aac", video=True)
    media.record(root / "silent.webm", np.zeros(48_000 * 4, np.float32), 48_000, "libopus")
    media.record(root / "short.webm", media.sound(4.0, 48_000), 48_000, "libopus")
    (root / "page.html").write_text("<html><title>a page</title>no video here</html>")
    with local_site.start(root) as address:
        yield address


def cause(url: str, start_s: float = 0.0, **more: object) -> Failure:
    with pytest.raises(Failure) as caught:
        clips.Recorder(ClipRules(), **more).clip(url, start_s, Access())
    return caught.value


@pytest.mark.parametrize(("extension", "rate"), [("webm", 48_000), ("mp4", 44_100)])
def test_the_generic_extractor_brings_a_clip(site, extension, rate, tmp_path) -> None:
    content, cut = clips.Recorder(ClipRules()).clip(f"{site}/abc.{extension}", 5.0, Access())
    path = tmp_path / "clip.flac"
    path.write_bytes(content)
    samples, found = soundfile.read(path, dtype="float32")
    assert found == 16_000
    assert len(samples) == 160_000 == len(cut)
    truth = media.sound(20.0, rate)[5 * rate : 15 * rate]
    truth = np.interp(np.arange(160_000) / 16_000, np.arange(len(truth)) / rate, truth)
    assert abs(media.lag(samples, truth)) <= 16


def test_failures_of_a_real_site(site) -> None:
    assert cause(f"{site}/missing.webm").cause is Cause.NOT_FOUND
    assert cause(f"{site}/silent.webm").cause is Cause.SILENT
    assert cause(f"{site}/short.webm", 3.5).cause is Cause.TOO_SHORT
    assert cause(f"{site}/page.html").cause is Cause.EXTRACTOR_ERROR
    assert cause("http://127.0.0.1:9/abc.webm").cause is Cause.CONNECTION


def test_a_recording_over_the_limit_is_too_large(site) -> None:
    rules = ClipRules(max_bytes=10_000)
    with pytest.raises(Failure) as caught:
        clips.Recorder(rules).clip(f"{site}/abc.webm", 0.0, Access())
    assert caught.value.cause is Cause.TOO_LARGE


def test_faults_of_the_network(tmp_path_factory) -> None:
    root = tmp_path_factory.mktemp("faulty")
    media.record(root / "abc.webm", media.sound(12.0, 48_000), 48_000, "libopus")
    expected = {"once_503": Cause.SERVER_ERROR, "retry_after": Cause.THROTTLED}
    for fault, wanted in expected.items():
        with local_site.start(root, rates={fault: 1.0}) as address:
            assert cause(f"{address}/abc.webm").cause is wanted
            content, _ = clips.Recorder(ClipRules()).clip(f"{address}/abc.webm", 0.0, Access())
            assert content.startswith(b"fLaC")


class Refusing(InfoExtractor):
    """Raises what yt-dlp's YouTube extractor raises, by the ways it raises it."""

    _VALID_URL = r"https?://refusing\.test/(?P<id>.+)"
    REASONS = {  # noqa: RUF012
        "private": "Private video. Sign in if you've been granted access to this video. Use --cookies",
        "removed": "Video unavailable. This video has been removed by the uploader",
        "terminated": "Video unavailable. This video is no longer available because the YouTube account associated "
        "with this video has been terminated.",
        "age": "Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies",
        "bot": "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies",
        "members": "Join this channel to get access to members-only content like this video.",
        "limited": "Video unavailable. This content isn't available, try again later. The current session has been "
        "rate-limited by YouTube for up to an hour.",
    }

    def _real_extract(self, url: str) -> dict[str, object]:
        name = self._match_id(url)
        if name == "geo":
            self.raise_geo_restricted(
                "The uploader has not made this video available in your country", ["DE"]
            )
        if name == "429":
            response = Response(None, url, {"Retry-After": "90"}, status=429)
            raise yt_dlp.utils.ExtractorError("Unable to download API page", cause=HTTPError(response))
        if name == "upcoming":
            return {"id": name, "title": name, "formats": [], "live_status": "is_upcoming"}
        self.raise_no_formats(self.REASONS[name], expected=True)
        raise AssertionError("raise_no_formats returned")


def refusing(options: dict[str, object]) -> yt_dlp.YoutubeDL:
    downloader = yt_dlp.YoutubeDL(options, auto_init=False)
    downloader.add_info_extractor(Refusing())
    return downloader


@pytest.mark.parametrize(
    ("name", "wanted"),
    {
        "private": Cause.PRIVATE,
        "removed": Cause.REMOVED,
        "terminated": Cause.REMOVED,
        "age": Cause.AGE_GATED,
        "bot": Cause.BOT_CHECK,
        "members": Cause.MEMBERS_ONLY,
        "limited": Cause.THROTTLED,
        "geo": Cause.GEO_BLOCKED,
        "429": Cause.THROTTLED,
    }.items(),
)
def test_each_refusal_is_its_own_cause(name, wanted) -> None:
    found = cause(f"https://refusing.test/{name}", youtube_dl=refusing)
    assert found.cause is wanted
    if name in Refusing.REASONS:
        assert Refusing.REASONS[name][:40] in found.detail  # the raw message is kept
    assert found.retry_after_s == (90.0 if name == "429" else None)


def test_cookies_are_used_and_the_users_file_survives(site, tmp_path) -> None:
    jar = tmp_path / "cookies.txt"
    line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tSID\tverysecret"
    jar.write_text(f"# Netscape HTTP Cookie File\n{line}\n")
    access = Access(cookies=str(jar))
    clips.Recorder(ClipRules()).clip(f"{site}/abc.webm", 0.0, access)
    assert line in jar.read_text()
    assert stat.S_IMODE(jar.stat().st_mode) == 0o600
    assert "verysecret" not in repr(access)
    assert str(jar) not in repr(access)
    with pytest.raises(Failure) as caught:
        clips.Recorder(ClipRules()).clip(f"{site}/missing.webm", 0.0, access)
    assert "verysecret" not in caught.value.detail
    assert sorted(os.listdir(tmp_path)) == ["cookies.txt"]


def test_no_download_leaves_a_folder_behind(site, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    clips.Recorder(ClipRules()).clip(f"{site}/abc.webm", 0.0, Access())
    cause(f"{site}/short.webm", 3.5)
    assert os.listdir(tmp_path) == []


def test_a_proxys_password_reaches_no_file(tmp_path) -> None:
    item = Item("vggsound:a", Kind.CLIP, "http://clips.test/a.webm", "vggsound/clips/a.flac")
    settings = options.parse({"patience_s": 0.0})
    access = [Access(proxy="http://someone:hunter2@127.0.0.1:9")]
    with Ledger(str(tmp_path)) as ledger:
        Fetch(str(tmp_path), settings, ledger, access=access).items([item])
        (row,) = ledger.rows()
    assert row.cause == "connection"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_a_bug_of_an_extractor_is_a_failure_of_one_video() -> None:
    class Broken(Refusing):
        def _real_extract(self, url: str) -> dict[str, object]:
            raise KeyError("playerResponse")

    def broken(settings: dict[str, object]) -> yt_dlp.YoutubeDL:
        downloader = yt_dlp.YoutubeDL(settings, auto_init=False)
        downloader.add_info_extractor(Broken())
        return downloader

    found = cause("https://refusing.test/a", youtube_dl=broken)
    assert found.cause is Cause.EXTRACTOR_ERROR
    assert "playerResponse" in found.detail


def test_starting_again_does_not_renew_the_budget(tmp_path) -> None:
    now = 1_000_000.0
    settings = options.parse({"youtube": {"videos_per_hour": 10.0, "burst": 5}})
    with Ledger(str(tmp_path)) as ledger:
        for number in range(8):
            ledger.append(Attempt(f"vggsound:{number}", 1, "", now - 60.0, "ok", "10.000 s", 0.0, 1, "", "t"))
        ledger.append(
            Attempt("vggsound:x", 1, "", now - 60.0, "ok", "found in the folder and checked", 0.0, 1, "", "t")
        )
        ledger.append(Attempt("lvis:1", 1, "", now - 60.0, "ok", "", 0.0, 1, "", "t"))
        lane = Fetch(str(tmp_path), settings, ledger, clock=lambda: now).clip_lane()
    lane.extend((Item(f"vggsound:new {n}", Kind.CLIP, "http://a/", f"{n}.flac"), 1, 0.0) for n in range(9))
    assert [isinstance(lane.take(now), Job) for _ in range(3)] == [True, True, False]
