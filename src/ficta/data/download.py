"""Data sets by name: from ``$FICTA_DATA``, or downloaded once, resumably, and checked."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress
from ficta.data.cache import cache_folder, writing

ATTEMPTS = 3  # at one mirror; each goes on where the last one broke off
PAUSE_SECONDS = 1.0  # before the second attempt, twice that before the third
TIMEOUT_SECONDS = 30.0
BLOCK_BYTES = 1 << 18
LARGEST_BYTES = 1_000_000_000
FOLDER_VARIABLE = "FICTA_DATA"


@dataclasses.dataclass(frozen=True)
class Named:
    """A data set that can be downloaded.

    Attributes:
        mirrors: addresses that hold the files.
        digests: MD5 of each file, as published (each with its source below). They tell a broken transfer, not an
            attack: MD5 is what was published.
    """

    mirrors: tuple[str, ...]
    digests: Mapping[str, str]


NAMED: Mapping[str, Named] = {
    "mnist": Named(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        # github.com/pytorch/vision, torchvision/datasets/mnist.py, MNIST.resources
        digests={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": Named(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        # github.com/zalandoresearch/fashion-mnist, README.md, "Get the Data"
        digests={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


class Broken(Exception):  # noqa: N818 - one attempt's failure, collected into the error that names all of them
    """Why a file did not come from an address."""


def obtain(name: str, mirror: str | None, progress: Progress) -> Path:
    """The folder that holds a named data set: ``$FICTA_DATA/<name>`` if it is there, else downloaded.

    Args:
        name: a key of ``NAMED``.
        mirror: address to download from instead of the listed ones.
        progress: told of bytes.

    Raises:
        DataError: ``$FICTA_DATA/<name>`` lacks files, or no mirror gave them.
        UsageError: ``mirror`` is not an address.
    """
    if mirror is not None and not re.match(r"https?://.", mirror):
        raise UsageError(f"setting data.mirror = {mirror!r}: give an address that begins with http:// or https://")
    named = NAMED[name]
    given = os.environ.get(FOLDER_VARIABLE)
    if given and (Path(given) / name).is_dir():
        return _check(Path(given) / name, named)
    folder = cache_folder() / "downloads" / name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            for file, digest in named.digests.items():
                if not (folder / file).is_file():
                    download((mirror,) if mirror else named.mirrors, file, digest, folder, progress)
    return folder


def download(mirrors: tuple[str, ...], file: str, digest: str, folder: Path, progress: Progress) -> Path:
    """Fetch ``file`` from the first mirror that gives it whole; a broken transfer goes on where it broke off.

    Args:
        mirrors: addresses of the folders that hold it.
        file: its name there and here.
        digest: its MD5 in hexadecimal.
        folder: where to; while it is incomplete it is called ``file.partial``.
        progress: told of bytes.

    Raises:
        DataError: no mirror gave it; each is listed with the reason.
    """
    partial, path = folder / f"{file}.partial", folder / file
    failures = []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{file}"
        try:
            _fetch(address, partial, digest, progress)
        except Broken as error:
            failures.append(f"{address} ({error})")
            continue
        partial.replace(path)
        return path
    raise DataError(
        f"{file} could not be downloaded: {'; '.join(failures)}. Name another address with --mirror, "
        f"or put the files into a folder {folder.name}/ and name the folder above it in {FOLDER_VARIABLE}"
    )


def _fetch(address: str, partial: Path, digest: str, progress: Progress) -> None:
    """Complete ``partial`` from ``address`` and check its digest; a stale beginning is thrown away once."""
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt * PAUSE_SECONDS)
        resumed = partial.stat().st_size if partial.exists() else 0
        try:
            _transfer(address, partial, resumed, progress)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and resumed:
                if _md5(partial) == digest:  # it broke off after the last byte
                    return
                partial.unlink()  # as long as the file there, or longer: of another version
            elif error.code < 500:
                raise Broken(reason) from None
            continue
        except Broken as error:
            reason = str(error)
            continue
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            continue
        found = _md5(partial)
        if found == digest:
            return
        partial.unlink()
        reason = f"its MD5 is {found}, published is {digest}"
        if not resumed:
            break
    raise Broken(reason)


def _transfer(address: str, partial: Path, start: int, progress: Progress) -> None:
    """Append to ``partial`` what follows its first ``start`` bytes; from the start if the server knows no ranges."""
    request = urllib.request.Request(address, headers={"User-Agent": "ficta", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        if start and not _continues(response, start):
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        with partial.open("ab" if start else "wb") as file:
            done = _copy(response, file, start, total, address, progress)
    if total is not None and done != total:
        raise Broken(f"broke off after {done} of {total} bytes")


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Whether the server sends the part that was asked for."""
    if response.status != http.client.PARTIAL_CONTENT:
        return False
    if re.match(rf"bytes {start}-", response.headers.get("Content-Range", "")):
        return True
    raise Broken("answered with another part of the file than was asked for")


def _copy(response: BinaryIO, file: BinaryIO, done: int, total: int | None, address: str, progress: Progress) -> int:
    while block := response.read(BLOCK_BYTES):
        done += len(block)
        if done > LARGEST_BYTES:
            raise Broken(f"is larger than {LARGEST_BYTES} bytes")
        file.write(block)
        progress(f"downloading {address} (bytes)", done, total)
    return done


def _check(folder: Path, named: Named) -> Path:
    """That the files are there, packed or not; their format is checked when they are read."""
    missing = [
        file for file in named.digests if not (folder / file).is_file() and not (folder / file[: -len(".gz")]).is_file()
    ]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; add them, or unset {FOLDER_VARIABLE} to download them")
    return folder


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process download into ``folder``; the others wait for it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
