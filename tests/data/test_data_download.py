"""Downloads from a server on this machine: broken transfers, wrong digests, servers that know no ranges."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_making import read
from test_data_arrays import mnist_like

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import silent
from ficta.data import download

CONTENT = bytes(range(256)) * 400
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "file.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    ranges = True
    break_after: list[int]  # bytes of each answer before the connection drops; then whole
    fail_with: list[int]  # statuses answered first
    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range"))
        content = self.files.get(self.path.rsplit("/", 1)[-1])
        if content is None or self.fail_with:
            self.send_error(self.fail_with.pop(0) if self.fail_with else 404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.ranges else 0
        if wanted and self.ranges and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if self.break_after:
            body = body[: self.break_after.pop(0)]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, type[Handler]]]]:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    servers = []

    def start(**behaviour: object) -> tuple[str, type[Handler]]:
        defaults = {"files": {NAME: CONTENT}, "break_after": [], "fail_with": [], "asked": []}
        handler = type("Local", (Handler,), defaults | behaviour)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/data/", handler

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(folder: Path, *mirrors: str) -> bytes:
    path = download.download(mirrors, NAME, MD5, folder, silent)
    assert not list(folder.glob("*.partial"))
    return path.read_bytes()


def test_a_whole_transfer(tmp_path, serve):
    address, handler = serve()
    told = []
    download.download((address,), NAME, MD5, tmp_path, lambda what, done, total: told.append((what, done, total)))
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert handler.asked == [None]
    assert told[-1] == (f"downloading {address}{NAME} (bytes)", len(CONTENT), len(CONTENT))


def test_a_broken_transfer_goes_on_where_it_broke_off(tmp_path, serve):
    address, handler = serve(break_after=[10_000, 5_000])
    assert fetch(tmp_path, address) == CONTENT
    assert handler.asked == [None, "bytes=10000-", "bytes=15000-"]


def test_what_a_killed_process_left_is_used(tmp_path, serve):
    address, handler = serve()
    (tmp_path / f"{NAME}.partial").write_bytes(CONTENT[:777])
    assert fetch(tmp_path, address) == CONTENT
    assert handler.asked == ["bytes=777-"]


def test_a_server_without_ranges_sends_all_again(tmp_path, serve):
    address, handler = serve(ranges=False, break_after=[10_000])
    assert fetch(tmp_path, address) == CONTENT
    assert handler.asked == [None, "bytes=10000-"]


def test_a_complete_partial_needs_no_more(tmp_path, serve):
    address, handler = serve()
    (tmp_path / f"{NAME}.partial").write_bytes(CONTENT)
    assert fetch(tmp_path, address) == CONTENT
    assert len(handler.asked) == 1


@pytest.mark.parametrize("stale", [b"x" * 100, b"x" * len(CONTENT), b"x" * 2 * len(CONTENT)])
def test_a_stale_beginning_is_thrown_away(tmp_path, serve, stale):
    address, handler = serve()
    (tmp_path / f"{NAME}.partial").write_bytes(stale)
    assert fetch(tmp_path, address) == CONTENT
    assert handler.asked == [f"bytes={len(stale)}-", None]


def test_a_busy_server_is_asked_again(tmp_path, serve):
    address, handler = serve(fail_with=[503])
    assert fetch(tmp_path, address) == CONTENT
    assert len(handler.asked) == 2


def test_the_next_mirror_is_taken_and_goes_on(tmp_path, serve):
    breaking, first = serve(break_after=[1000, 1000, 1000])
    good, second = serve()
    assert fetch(tmp_path, breaking, good) == CONTENT
    assert len(first.asked) == 3
    assert second.asked == ["bytes=3000-"]


def test_every_mirror_that_failed_is_named_with_the_way_out(tmp_path, serve):
    missing, _ = serve(files={})
    wrong, handler = serve(files={NAME: CONTENT[:-1] + b"!"})
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, missing, wrong, "http://127.0.0.1:1/")
    text = str(caught.value)
    assert f"{missing}{NAME} (HTTP 404 Not Found)" in text
    assert re.search(rf"{wrong}{NAME} \(its MD5 is [0-9a-f]{{32}}, published is {MD5}\)", text)
    assert "http://127.0.0.1:1/file.gz (" in text
    assert "--mirror" in text
    assert "FICTA_DATA" in text
    assert "\n" not in text
    assert len(handler.asked) == 1
    assert not list(tmp_path.glob(f"{NAME}*"))


def test_a_silent_server_is_given_up(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    done = threading.Event()
    address, handler = serve()
    monkeypatch.setattr(handler, "do_GET", lambda _: done.wait(5))
    try:
        with pytest.raises(DataError, match="timed out"):
            fetch(tmp_path, address)
    finally:
        done.set()


def test_a_named_data_set_from_a_mirror(tmp_path, serve, cache, monkeypatch):
    files = {path.name: path.read_bytes() for path in mnist_like(tmp_path / "m").iterdir()}
    address, handler = serve(files=files)
    with pytest.raises(DataError, match="its MD5 is"):  # these are not MNIST
        read("mnist", mirror=address)
    digests = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(download, "NAMED", {"mnist": download.Named((address,), digests)})
    for mirror in (address.rstrip("/"), None):
        report = read("mnist", mirror=mirror).report
        assert report["splits"] == {"train": 38, "validation": 2, "test": 10}
    assert len(handler.asked) == 1 + len(files)  # nothing is downloaded twice
    assert sorted(path.name for path in (cache / "downloads" / "mnist").glob("*.gz")) == sorted(files)


def test_a_mirror_must_be_an_address():
    for mirror in ("file:///etc/", "mirror", "ftp://x/"):
        with pytest.raises(UsageError, match=r"data\.mirror"):
            read("mnist", mirror=mirror)


def test_every_named_file_has_a_digest_and_two_mirrors():
    for named in download.NAMED.values():
        assert len(named.mirrors) >= 2
        assert len(named.digests) == 4
        assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in named.digests.values())
