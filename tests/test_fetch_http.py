"""The HTTP client against a site that fails on purpose."""

import http.server
import threading
import time
from collections.abc import Iterator

import local_site
import pytest

from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.http import Client, retry_after_s, web_address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    (root / "a.jpg").write_bytes(bytes(range(256)) * 2000)
    return root


def path_with(fault: str, rates: dict[str, float], name: str = "a.jpg") -> str:
    return next(
        f"/@{n}/{name}" for n in range(10_000) if local_site.fault_of(f"/@{n}/{name}", rates, 0) == fault
    )


def failure(client: Client, url: str, limit: int = 10**9) -> Failure:
    with pytest.raises(Failure) as caught:
        client.get(url, limit)
    return caught.value


RATES = dict.fromkeys(local_site.FAULTS, 0.15)


@pytest.fixture(scope="module")
def site(folder) -> Iterator[str]:
    with local_site.start(folder, rates=RATES, stall_s=3.0) as address:
        yield address


def test_each_fault_is_its_cause_and_once_is_once(site, folder) -> None:
    client = Client(stall_s=0.5)
    expected = {
        "once_503": Cause.SERVER_ERROR,
        "once_truncated": Cause.TRUNCATED,
        "stall": Cause.TIMEOUT,
        "gone": Cause.NOT_FOUND,
        "retry_after": Cause.THROTTLED,
    }
    for fault, cause in expected.items():
        url = site + path_with(fault, RATES)
        found = failure(client, url)
        assert found.cause is cause, found
        assert found.retry_after_s == (1.0 if fault == "retry_after" else None)
        if fault != "gone":
            assert client.get(url, 10**9) == ((folder / "a.jpg").read_bytes(), "image/jpeg")
    assert failure(client, site + "/missing.jpg").cause is Cause.NOT_FOUND


def test_size_is_limited_by_header_and_while_streaming(site) -> None:
    url = site + path_with(None, RATES)
    assert failure(Client(), url, limit=511_999).cause is Cause.TOO_LARGE
    assert len(Client().get(url, 512_000)[0]) == 512_000


class Odd(http.server.BaseHTTPRequestHandler):
    """No Content-Length, a redirect to a file, and a drip of one byte a moment."""

    def do_GET(self) -> None:
        if self.path == "/file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x" * 100_000)
            except OSError:
                pass
        elif self.path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b"x" * 10)
                    time.sleep(0.05)
            except OSError:
                pass
        else:
            self.send_response(302)
            self.send_header("Location", "/around")
            self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_endless_answers_stop_at_the_limit(odd) -> None:
    assert failure(Client(), odd + "/endless", limit=1_000_000).cause is Cause.TOO_LARGE


def test_a_drip_is_a_stall(odd) -> None:
    begin = time.monotonic()
    assert failure(Client(stall_s=0.5), odd + "/drip").cause is Cause.TIMEOUT
    assert time.monotonic() - begin < 4


def test_redirects_end_and_never_leave_the_web(odd) -> None:
    assert failure(Client(), odd + "/around").cause is Cause.CONNECTION
    found = failure(Client(), odd + "/file")
    assert found.cause in (Cause.UNSAFE, Cause.CONNECTION)


def test_a_closed_port_is_a_connection_failure() -> None:
    assert failure(Client(), "http://127.0.0.1:9/").cause is Cause.CONNECTION


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a/b", "/etc/passwd", "http://", "javascript:x", "s3://", "http://[bad"],
)
def test_only_web_and_bucket_addresses(url) -> None:
    with pytest.raises(Failure, match="unsafe"):
        web_address(url)


def test_public_buckets_are_read_unsigned_over_https() -> None:
    assert web_address("s3://open-images-dataset/train/a.jpg") == (
        "https://open-images-dataset.s3.amazonaws.com/train/a.jpg"
    )
    assert web_address("gs://openimages/v5/a.csv") == "https://storage.googleapis.com/openimages/v5/a.csv"


def test_retry_after_takes_seconds_and_dates() -> None:
    assert retry_after_s("120", 0.0) == 120.0
    assert retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0 - 30) == 30.0
    assert retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0 + 30) == 0.0
    assert retry_after_s("soon", 0.0) is None
    assert retry_after_s("\u00b2", 0.0) is None
    assert retry_after_s("9" * 400, 0.0) == retry_after_s("Sun, 06 Nov 9994 08:49:37 GMT", 0.0) == 86_400.0
    assert retry_after_s(None, 0.0) is None


def test_a_download_goes_on_where_it_stopped(folder, tmp_path) -> None:
    rates = {"once_truncated": 1.0}
    with local_site.start(folder, rates=rates) as site:
        part, client = str(tmp_path / "part"), Client()
        with pytest.raises(Failure, match="truncated"):
            client.get_file(site + "/a.jpg", part, 10**9)
        begun = (tmp_path / "part").stat().st_size
        assert 0 < begun < 512_000
        client.get_file(site + "/a.jpg", part, 10**9)
        assert (tmp_path / "part").read_bytes() == (folder / "a.jpg").read_bytes()
        client.get_file(site + "/a.jpg", part, 10**9)  # complete: the server has no byte after it
        assert (tmp_path / "part").read_bytes() == (folder / "a.jpg").read_bytes()


def test_another_version_is_not_glued_to_the_first(folder, tmp_path) -> None:
    part = tmp_path / "part"
    with local_site.start(folder) as site:
        part.write_bytes(b"old" * 1000)
        (tmp_path / "part.etag").write_text('"another"')
        Client().get_file(site + "/a.jpg", str(part), 10**9)
    assert part.read_bytes() == (folder / "a.jpg").read_bytes()
