"""The bytes of a text file: their encoding, and the file as UTF-8 whatever it is."""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import BinaryIO

from ficta.base.errors import DataError
from ficta.base.words import size

CHUNK_BYTES = 1_000_000
LONGEST_LINE = 16_000_000  # bytes
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NAMES = {"cp1252": "Windows-1252", "latin-1": "Latin-1", "utf-16": "UTF-16"}
SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}"
)  # a character in UTF-8, hardly ever in others
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in Windows-1252
DAMAGED = (OSError, EOFError, zlib.error)


@dataclasses.dataclass(frozen=True)
class Text:
    """What a text file is, once it was read through.

    Attributes:
        path: the file, compressed by gzip if it ends in .gz.
        encoding: its encoding.
        lines: how many it has, the last one included if it is not ended.
        quotes: how many double quotes it has.
        longest: no line is longer than this, or a million, in characters.
        start: its first million characters, or all of it.
        whole: whether that is all.
    """

    path: Path
    encoding: str
    lines: int
    quotes: int
    longest: int
    start: str
    whole: bool

    @property
    def note(self) -> str:
        """What to say about the encoding; empty for UTF-8."""
        return f"read as {NAMES[self.encoding]}, since it is not UTF-8" if self.encoding in NAMES else ""

    def open(self, skip: int) -> Utf8:
        """The file as UTF-8 from this character of its ``start`` on."""
        return Utf8(opened(self.path), self.encoding, self.start[:skip])


class Utf8(io.RawIOBase):
    """A file of any encoding, as UTF-8 bytes."""

    def __init__(self, file: BinaryIO, encoding: str, skipped: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""
        self._skip = len(skipped.encode())

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, all that are left if negative; fewer only at the end."""
        parts, missing = [self._rest], size - len(self._rest)
        while size < 0 or missing > 0:
            content = self._file.read(CHUNK_BYTES)
            piece = self._decoder.decode(content, not content).encode()
            if not content and not piece:
                break
            dropped = min(self._skip, len(piece))
            self._skip -= dropped
            parts.append(piece[dropped:])
            missing -= len(piece) - dropped
        found = b"".join(parts)
        cut = len(found) if size < 0 else size
        self._rest = found[cut:]
        return found[:cut]

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()


def opened(path: Path) -> BinaryIO:
    """Open a file, compressed by gzip or not."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_through(path: Path) -> Text:
    """Find out the encoding of a text file and whether it keeps to it, in bounded memory.

    It is UTF-8 or UTF-16 if its first bytes say so or it can be read as UTF-8. If not, it is Windows-1252, or Latin-1
    where it has bytes that this lacks, unless some of it is UTF-8.

    Raises:
        DataError: an empty file, a damaged one, one with zero bytes, a line of more than 16 MB, or two encodings.
    """
    try:
        with opened(path) as file:
            mark = file.read(3)
        if not mark:
            raise DataError(f"{path} is empty; name another file")
        marked = [encoding for bytes_, encoding in MARKS if mark.startswith(bytes_)]
        encoding = marked[0] if marked else "utf-8"
        try:
            return _read_as(path, encoding)
        except _BrokenError as broken:
            other = None if marked else _other_encoding(path)
            if other is None:
                raise DataError(
                    f"{path}, line {broken.line}: not in {encoding.upper().removesuffix('-SIG')}, as the rest of the "
                    "file is; save all of it as UTF-8"
                ) from None
            return _read_as(path, other)
    except DAMAGED as error:
        raise DataError(f"{path} cannot be read: {error}; fetch it again") from None


class _BrokenError(Exception):
    """A line that is not of the encoding."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _read_as(path: Path, encoding: str) -> Text:
    decoder = codecs.getincrementaldecoder(encoding)()
    counts = dict.fromkeys(("\n", "\r", '"'), 0)
    start, whole, since, longest = "", True, 0, 0
    with opened(path) as file:
        while True:
            content = file.read(CHUNK_BYTES)
            line = (counts["\n"] or counts["\r"]) + 1
            try:
                text = decoder.decode(content, not content)
            except UnicodeDecodeError as error:
                raise _BrokenError(line + error.object[: error.start].decode(encoding, "replace").count("\n")) from None
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise DataError(f"{path}, line {line}: zero bytes, so it is no text in UTF-8; save it as CSV in UTF-8")
            ends = [place for place in (text.find("\n"), text.find("\r")) if place >= 0]
            since += min(ends, default=len(text))
            longest = max(longest, since)
            if since > LONGEST_LINE:
                raise DataError(f"{path}, line {line} is longer than {size(LONGEST_LINE)}; is this a table of rows?")
            if ends:
                since = len(text) - 1 - max(text.rfind("\n"), text.rfind("\r"))
            for sign in counts:
                counts[sign] += text.count(sign)
            start, whole = (text, whole) if not start else (start, whole and not text)
            if not content:
                break
    lines = (counts["\n"] or counts["\r"]) + bool(since)
    return Text(path, encoding, lines, counts['"'], longest, start, whole)


def _other_encoding(path: Path) -> str | None:
    """The encoding of a file that is not UTF-8; None if parts of it are."""
    encoding = "cp1252"
    with opened(path) as file:
        while content := file.read(CHUNK_BYTES):
            if not content.isascii():
                if SEQUENCE.search(content):
                    return None
                if UNDEFINED.search(content):
                    encoding = "latin-1"
    return encoding
