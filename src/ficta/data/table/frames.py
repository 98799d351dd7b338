"""Tables as sources: text files, Parquet, Excel, and data frames of pandas."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from ficta.base.errors import DataError
from ficta.base.files import replacing
from ficta.base.progress import Progress, silent
from ficta.data.listing import Listing, Manifest, Source
from ficta.data.table.blocks import BLOCK_BYTES, BLOCK_ROWS, Block, arrow
from ficta.data.table.delimited import Delimited, check_names
from ficta.data.table.workbooks import Excel

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TEXT_SUFFIXES = (".csv", ".tsv", ".tab")


class Reader(Protocol):
    """What reads one kind of table."""

    def listing(self) -> Listing:
        """How many rows there are, or about, and notes."""

    def blocks(self) -> Iterator[Block]:
        """All rows, in bounded memory."""


@final
class TableSource(Source):
    """A table: rows of mixed columns."""

    codec = "table"

    def __init__(self, kind: str, place: str, manifest: Manifest, progress: Progress, reader: Reader) -> None:
        super().__init__(kind, place, manifest, progress)
        self._reader = reader

    def blocks(self, what: str | None = None) -> Iterator[Block]:
        """All rows, some at a time; can be asked for again.

        Args:
            what: what they are read for, told to ``progress``.

        Raises:
            UsageError: a package that is needed is not installed.
            DataError: the table is damaged, or no table.
        """
        for block in self._reader.blocks():
            yield block
            if what is not None and len(block.numbers):
                self.progress(what, int(block.numbers[-1]), self.listing().count)

    def _list(self) -> Listing:
        return self._reader.listing()


def is_table(path: Path) -> bool:
    """Whether a path names a table, by its ending."""
    return _suffix(path) in (*TEXT_SUFFIXES, ".parquet", ".xlsx")


def open_table(path: Path, progress: Progress = silent) -> TableSource:
    """Open a file whose ending says that it is a table; cheap.

    Raises:
        UsageError: pyarrow, or what reads Excel, is not installed.
    """
    arrow()
    stat = path.stat()
    manifest: Manifest = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns)]
    suffix = _suffix(path)
    if suffix in TEXT_SUFFIXES:
        return TableSource("csv", str(path), manifest, progress, Delimited(path))
    if suffix == ".parquet":
        return TableSource("parquet", str(path), manifest, progress, Parquet(path))
    return TableSource("excel", str(path), manifest, progress, Excel(path))


def open_frame(frame: pd.DataFrame, progress: Progress = silent) -> TableSource:
    """Open a data frame of pandas; its index is left out, and its content decides whether the cache knows it.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: two columns of one name, or cells that hold lists and the like.
    """
    import pandas as pd

    arrow()
    names, _ = check_names([str(name) for name in frame.columns], "the data frame")
    content = hashlib.sha256(repr((names, [str(dtype) for dtype in frame.dtypes])).encode())
    for place, name in enumerate(names):
        try:
            content.update(pd.util.hash_pandas_object(frame.iloc[:, place], index=False).to_numpy().tobytes())
        except TypeError as error:
            raise DataError(f"the data frame, column {name!r}: {error}; leave it out") from None
    manifest: Manifest = [(f"frame {content.hexdigest()}", len(frame), 0)]
    return TableSource("frame", "the data frame", manifest, progress, Frame(frame))


def keep_frame(frame: pd.DataFrame, folder: Path) -> Path:
    """Write a data frame to a Parquet file that is named by its content, so that a run can find it again.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: two columns of one name, cells that hold lists and the like, or no rows.
    """
    source = open_frame(frame)
    path = folder / f"{source.manifest[0][0].replace(' ', '-')[:22]}.parquet"
    source.listing()
    if not path.exists():
        from pyarrow import parquet

        folder.mkdir(parents=True, exist_ok=True)
        batches = (block.table for block in source.blocks())
        first = next(batches)
        with replacing(path) as file, parquet.ParquetWriter(file, first.schema) as writer:
            for batch in itertools.chain([first], batches):
                writer.write_batch(batch)
    return path


def _suffix(path: Path) -> str:
    """The ending of a file, that of a compressed text file without .gz."""
    name = path.name.lower()
    bare = Path(name.removesuffix(".gz")).suffix
    return bare if not name.endswith(".gz") or bare in TEXT_SUFFIXES else ".gz"


@final
class Parquet:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing:
        """Number of rows, from the file's end.

        Raises:
            DataError: it is no Parquet file, it has no rows, or a column holds lists or records.
        """
        with self._opened() as file:
            _, notes = self._names(file)
            return Listing(file.metadata.num_rows, [], {}, notes)

    def blocks(self) -> Iterator[Block]:
        """All rows, in the file's types."""
        with self._opened() as file:
            names, _ = self._names(file)
            size_bytes = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            rows = BLOCK_BYTES * file.metadata.num_rows // max(1, size_bytes)
            first = 1
            try:
                for batch in file.iter_batches(min(BLOCK_ROWS, max(1, rows))):
                    yield _block(batch.columns, names, first, str(self._path))
                    first += batch.num_rows
            except (arrow().ArrowException, OSError) as error:
                raise DataError(f"{self._path}, after row {first - 1}: {_first_line(error)}; fetch it again") from None

    def _opened(self) -> Any:
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(
                self._path, buffer_size=1_000_000, pre_buffer=False, page_checksum_verification=True
            )
        except (arrow().ArrowException, OSError) as error:
            told = _first_line(error)
            raise DataError(f"{self._path} cannot be read as a Parquet file: {told}; fetch it again") from None

    def _names(self, file: Any) -> tuple[list[str], list[str]]:
        schema = file.schema_arrow
        for field in schema:
            if arrow().types.is_nested(field.type):
                raise DataError(
                    f"{self._path}, column {field.name!r} holds {field.type}, not one value a row; leave the column out"
                )
        if not schema.names or not file.metadata.num_rows:
            raise DataError(f"{self._path} has no rows; name another file")
        return check_names(schema.names, str(self._path))


@final
class Frame:
    """A data frame of pandas."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._place = "the data frame"

    def listing(self) -> Listing:
        """Number of rows.

        Raises:
            DataError: it has none.
        """
        if not len(self._frame) or not len(self._frame.columns):
            raise DataError(f"{self._place} has no rows; give another")
        return Listing(
            len(self._frame), [], {}, check_names([str(name) for name in self._frame.columns], self._place)[1]
        )

    def blocks(self) -> Iterator[Block]:
        """All rows, in the frame's types; columns of several types as strings."""
        names, _ = check_names([str(name) for name in self._frame.columns], self._place)
        arrays = [_array(self._frame.iloc[:, place]) for place in range(len(names))]  # one type for all of its blocks
        for start in range(0, len(self._frame), BLOCK_ROWS):
            yield _block([array.slice(start, BLOCK_ROWS) for array in arrays], names, start + 1, self._place)


def _array(series: pd.Series[Any]) -> pa.Array:
    """A column of a frame in its own type, else as strings."""
    pa = arrow()
    try:
        found = pa.array(series, from_pandas=True)
        found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        if not isinstance(found.type, pa.BaseExtensionType):
            return found
    except (pa.ArrowException, TypeError):
        pass
    missing = series.isna().to_numpy()
    return pa.array([str(value) for value in series], pa.string(), mask=missing)


def _block(columns: Sequence[pa.Array], names: list[str], first: int, place: str) -> Block:
    batch = arrow().RecordBatch.from_arrays(columns, names=names)
    return Block(batch, np.arange(first, first + batch.num_rows), [], place)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
