"""Tables: rows of mixed columns, and the codec between files, float64 arrays and tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ficta.base.errors import DataError, FictaError, UsageError
from ficta.base.spec import Spec, columns_spec
from ficta.base.words import count, nearest, plural
from ficta.compute.noise import Noise
from ficta.data.asked import Asked, Nothing, Rows
from ficta.data.codec import Chunk, Codec, Skipped
from ficta.data.table.blocks import quoted
from ficta.data.table.columns import Column, Kind, convert, infer, to_arrow
from ficta.data.table.constraints import Constraints, on_grid, unique_key
from ficta.data.table.frames import TableSource
from ficta.data.table.modes import Knots, Modes, find_knots
from ficta.data.table.partial import parse_where, read_partial
from ficta.data.table.rows import FORMATS, write_rows
from ficta.data.table.seen import Seen, Thinned
from ficta.data.table.settings import TableSettings
from ficta.draw.marginals import marginals
from ficta.draw.text import text_table

ORDERED = ("number", "integer", "datetime")
ASKED_SHARE = 0.5  # of the rows of a conditional training, some columns are given
SHOWN = 3  # columns named in an error


@final
class TableCodec(Codec):
    """Rows as float64 (C,) in the cache and float32 (D,) in the model: modes of columns, then places within them.

    In compact form numbers stand as they are, times as seconds since 1970, categories as their index, missing values as
    NaN. Exact for columns of few values, categories among them; others are exact to the distance of two knots, which is
    about 0.1 % of their rank.
    """

    settings: TableSettings
    item = "row"
    spaces = ("columns",)
    measures = ("column-shapes", "pair-trends", "missing-pattern", "detection", "new-rows", "violations", "target")
    repeats = True
    by_label = False
    pictures = ("sheet", "associations", "latent")
    sheet_items = 5000
    endings = tuple(FORMATS)

    def __init__(self, settings: TableSettings) -> None:
        self.settings = settings
        self.schema: dict[str, Any] = {}

    def as_they_come(self) -> TableSettings:
        """Rows that break a constraint included."""
        return self.settings.model_copy(update={"constraints": (), "balance": None})

    def stored_key(self) -> dict[str, Any]:
        """What columns are taken for, which words are missing values, and what must hold."""
        return self.settings.model_dump(mode="json", include={"types", "missing", "constraints"})

    def scan(self, source: TableSource) -> Iterator[Chunk]:
        """Read twice: what the columns are, unless that is known, then chunks of rows float64 (n, C).

        Raises:
            DataError: the file cannot be read, or contradicts the settings.
        """
        if not self.schema:
            found, notes = infer(source.blocks("finding column types"), self._types(), self.settings.missing)
            if not any(column.modelled for column in found):
                why = "; ".join(f"column {quoted(column.name)}: {column.why}" for column in found[:SHOWN])
                raise DataError(f"{source.place} has no column that can be learnt ({why}); set data.table.types of one")
            self.schema = {"columns": [column.to_json() for column in found], "notes": notes}
        columns, constraints = self._columns(), self._constraints()
        for block in source.blocks():
            lost = {column.name for column in columns if column.modelled} - set(block.table.schema.names)
            if lost:
                raise DataError(f"{block.place} has no column {min(lost)!r}, which the other rows have; add it")
            stored, skipped = convert(block, columns)
            broken = constraints.violated(stored)
            right = ~broken.any(1)
            if not right.all():
                left_out = {each.name for each in skipped}
                names = [name for name in map(block.row, range(block.table.num_rows)) if name not in left_out]
                skipped += [
                    Skipped(names[place], f"breaks {constraints.texts[broken[place].argmax()]!r}")
                    for place in np.flatnonzero(~right)
                ]
            count = int(right.sum())
            nothing: list[str | None] = [None] * count
            yield Chunk(stored[right], [""] * count, nothing, nothing, [*block.skipped, *skipped])

    def remarks(self, facts: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
        """What was taken for what."""
        columns = self._columns()
        left = [f"column {column.name!r} is not modelled: {column.why}" for column in columns if not column.modelled]
        same = [column.name for column in columns if column.modelled and column.constant]
        left += [f"column {name!r} holds the same value in every row" for name in same]
        return [*self.schema["notes"], *left], []

    def fit(self, train: Iterable[np.ndarray], conditional: bool, labels: tuple[str, ...]) -> None:
        """Find the modes of each column in rows float64 (n, C); a few hundred thousand rows at most are remembered.

        Raises:
            DataError: fewer than two rows.
        """
        columns = self._modelled()
        whole = Thinned()
        for chunk in train:
            whole.add(chunk)
        rows = whole.sample()
        if len(rows) < 2:
            raise DataError(
                f"{plural(len(rows), 'row')} to train on; a distribution takes two at least, and many to learn"
            )
        self._least, self._most = (_known(along(rows, axis=0)) for along in (np.fmin.reduce, np.fmax.reduce))
        sample = self._constraints().apart(rows, self._least)
        self._knots = []
        for place, column in enumerate(columns):
            values = sample[:, place]
            found, counts = np.unique(values[~np.isnan(values)], return_counts=True)
            most = self.settings.modes if column.kind in ORDERED else self.settings.categories
            self._knots.append(find_knots(found, counts, most, column.missing > 0))
        self.seen = [Seen.of(rows[:, place], column.kind in ORDERED) for place, column in enumerate(columns)]
        self._settle(conditional)

    def weights(self, train: Iterable[np.ndarray]) -> np.ndarray | None:
        """By the logarithm of how many rows share the value of the balanced column (Xu et al. 2019, Sec. 4.4)."""
        if self._balanced is None:
            return None
        modes = np.concatenate([self._modes_of(self._balanced, rows) for rows in train])
        counts = np.bincount(modes)
        return np.asarray((np.log1p(counts) / np.maximum(counts, 1))[modes])

    def _modes_of(self, column: int, rows: np.ndarray) -> np.ndarray:
        """Mode that the value of a column lies in, int64 (n,)."""
        first, count = int(self._modes.first[column]), self._modes.sizes[column]
        encoded = self._modes.encode(torch.from_numpy(rows))
        return encoded[:, first : first + count].argmax(1).numpy()

    def encode(self, stored: Tensor, noise: Noise | None = None) -> Tensor:
        """float64 (B, C) to float32 (B, D).

        Raises:
            UsageError: another number of columns.
        """
        if stored.ndim != 2 or stored.shape[1] != len(self._knots):
            raise UsageError(f"rows have {len(self._knots)} columns, not the shape {tuple(stored.shape)}")
        if self._held.texts:
            apart = self._held.apart(stored.cpu().numpy(), self._least)
            stored = torch.from_numpy(apart).to(stored.device)
        return self._modes.encode(stored)

    def decode(self, tensor: Tensor) -> np.ndarray:
        """Float (B, D) to float64 (B, C), rounded as the column is, and so that all constraints hold.

        Raises:
            FictaError: values that are not finite.
        """
        if not bool(torch.isfinite(tensor).all()):
            raise FictaError("rows of NaN or infinite values cannot be read: the model that made them diverged")
        raw = self._modes.decode(tensor.detach()).cpu().numpy()
        rows = self._rounded(raw)
        if not self._held.texts:
            return rows
        rows[:, self._held.held] = raw[:, self._held.held]  # distances may be finer than what they are added up to
        return self._rounded(self._held.together(rows, self._least, self._most, self._steps))

    def condition(
        self,
        spec: Spec,
        data: Tensor,
        labels: Tensor | None,
        noise: Noise | None = None,
        weighted: Tensor | None = None,
    ) -> Tensor | None:
        """The row with some of its columns given, others all 0; nothing is given to half of the rows.

        Rows drawn by the value of a column are given that value, so that what is learnt of the others is right.
        """
        if spec.condition is None:
            return None
        if noise is None:
            return torch.zeros_like(data)
        drawn = noise.uniform(len(self._knots) + 2)
        given = (drawn[:, :1] < ASKED_SHARE) & (drawn[:, 2:] < drawn[:, 1:2])
        if weighted is not None and self._balanced is not None:
            given[weighted.to(data.device), self._balanced] = True
        return data * given[:, self._owner.to(data.device)]

    def ask(self, label: str | None = None, where: Mapping[str, Any] | None = None) -> Asked:
        """Rows with these values in these columns.

        Raises:
            UsageError: a label, an unknown column or value, or a run that was not trained for it.
        """
        if label is not None:
            raise UsageError("rows have no label; ask for a value of a column: --where column=value")
        if not where:
            return Nothing(self.spec.condition.shape if self.spec.condition else None)
        row, given = parse_where(where, self._columns())
        self._check_ends(row)
        return self._rows(row, given)

    def complete(self, place: Any) -> Asked:
        """Rows of a table: values that it has are kept, columns and values that it lacks are sampled; rows in turn.

        Raises:
            UsageError: columns that the run does not know, a run that was not trained for it, or given values that
                break a constraint.
            DataError: a value that is none of its column.
        """
        rows = read_partial(place, self._columns())
        return self._rows(rows, ~np.isnan(rows), len(rows))

    def violated(self, stored: np.ndarray) -> np.ndarray:
        """Which rows float64 (n, C) break an order or a sum, bool (n,); (0,) without any."""
        if not self._held.texts:
            return np.zeros(0, bool)
        return np.asarray(self._held.violated(stored).any(1))

    def frame(self, stored: np.ndarray) -> Any:
        """Rows float64 (n, C) as a data frame, with the source's columns but those of text."""
        return to_arrow(stored, self._columns()).to_pandas()

    def _rows(self, rows: np.ndarray, given: np.ndarray, count: int | None = None) -> Asked:
        """Rows float64 (n, C), of which those values are kept that are ``given``, bool (n, C)."""
        if self.spec.condition is None:
            raise UsageError("this run was not trained to be asked for values; train with --conditional")
        known = np.where(given, rows, np.nan)
        self._check(known)
        broken = self._held.impossible(known, given, self._least, self._steps)
        if broken.any():
            row = int(broken.any(1).argmax())
            text = self._held.texts[int(broken[row].argmax())]
            where = f" in row {row + 1}" if len(rows) > 1 else ""
            parts = "; a sum that is given needs all of its parts" if " = " in text else ""
            raise UsageError(f"what is given breaks {text!r}{where}{parts}")
        told = torch.from_numpy(self._held.told(given))
        return Rows(known, given, self.encode(torch.from_numpy(known)) * told[:, self._owner], self._settled, count)

    def _check(self, known: np.ndarray) -> None:
        """Refuse given values that are finer than their column, rather than round them."""
        finer = np.abs(self._rounded(known) - known) > 1e-9 * np.maximum(np.abs(known), 1)
        if finer.any():
            column = self._modelled()[int(finer.any(0).argmax())]
            step = _step(column)
            words = {86400.0: "whole days", 1.0: "whole numbers or seconds"}.get(step, f"steps of {step:g}")
            raise UsageError(f"column {column.name!r} holds {words}; what is given is finer")

    def _check_ends(self, known: np.ndarray) -> None:
        """Refuse a value of which the model can be told nothing: one end of a distance."""
        names = [column.name for column in self._modelled()]
        for order in self._held.orders:
            if (~np.isnan(known[:, order.high]) & np.isnan(known[:, order.low])).any():
                raise UsageError(
                    f"column {names[order.high]!r} is modelled by its distance from {names[order.low]!r}: to ask for "
                    "the one, give the other, too"
                )

    def _settled(self, rows: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Rows in which values were put in place, so that all constraints hold again."""
        return self._rounded(self._held.kept(rows, given, self._steps))

    def unstructured(self, items: np.ndarray, seed: int, first: int) -> np.ndarray:
        """The values of each column have changed rows: columns stay what they are, and know nothing of each other."""
        return np.random.default_rng([seed, first]).permuted(items, axis=0)

    def write(self, chunks: Iterable[np.ndarray], place: Path) -> None:
        """Write float64 (n, C) to a .csv, .tsv or .parquet file, or into a folder as ``samples.csv``."""
        write_rows(chunks, place, self._columns())

    def preview(
        self, stored: np.ndarray, columns: int | None = None, captions: Sequence[str] | None = None
    ) -> Image.Image:
        """The rows as text, one below the other."""
        table = to_arrow(stored, self._modelled())
        words = [["" if value is None else str(value) for value in column] for column in table.to_pydict().values()]
        return text_table(table.column_names, list(zip(*words, strict=True)), captions)

    def overview(self, stored: np.ndarray, captions: Sequence[str] | None = None) -> Image.Image:
        """The columns of these rows, each beside that of the training data."""
        panels = [
            seen.panel(column, values)
            for seen, column, values in zip(self.seen, self._modelled(), stored.T, strict=True)
        ]
        return marginals(panels, f"{count(len(stored))} rows (filled) beside the training data (line)")

    def facts(self) -> dict[str, Any]:
        """Settings, what the columns are, their modes."""
        return {
            "codec": "table",
            "settings": self.settings.model_dump(mode="json"),
            "schema": self.schema,
            "knots": [knots.to_json() for knots in self._knots],
            "seen": [seen.to_json() for seen in self.seen],
            "ends": [self._least.tolist(), self._most.tolist()],
            "conditional": self.spec.condition is not None,
        }

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> TableCodec:
        """Make the codec that ``facts`` describes."""
        codec = cls(TableSettings.read(facts["settings"], "codec.settings"))
        codec.schema = facts["schema"]
        codec._knots = [Knots.from_json(each) for each in facts["knots"]]
        codec.seen = [Seen.from_json(each) for each in facts["seen"]]
        codec._least, codec._most = (np.array(ends) for ends in facts["ends"])
        codec._settle(facts["conditional"])
        return codec

    def _columns(self) -> list[Column]:
        return [Column.from_json(each) for each in self.schema["columns"]]

    def _modelled(self) -> list[Column]:
        return [column for column in self._columns() if column.modelled]

    def _types(self) -> dict[str, Kind]:
        """Kinds that are asked for: a column of unique keys is made anew."""
        keys = [key for key in map(unique_key, self.settings.constraints) if key]
        other = [key for key in keys if self.settings.types.get(key, "identifier") != "identifier"]
        if other:
            raise UsageError(
                f"data.table.types has {other[0]!r} as another type than identifier, but it is a unique key"
            )
        return {**self.settings.types, **dict.fromkeys(keys, "identifier")}

    def _constraints(self) -> Constraints:
        columns = self._modelled()
        ordered = {column.name: place for place, column in enumerate(columns) if column.kind in ORDERED}
        found = Constraints(self.settings.constraints, ordered)
        for each in found.sums:
            gaps = [columns[place].name for place in (each.total, *each.parts) if columns[place].missing]
            if gaps:
                raise UsageError(
                    f"data.table.constraints: column {gaps[0]!r} has missing values, of which no sum is known; "
                    "leave the sum out"
                )
        return found

    def _balanced_column(self, names: list[str], conditional: bool) -> int | None:
        """Place of the column that training is to balance; None for a model that cannot be asked for its values.

        Raises:
            UsageError: there is none of that name, or a constraint decides it.
        """
        wanted = self.settings.balance
        if wanted is None or not conditional:
            return None
        if wanted not in names:
            raise UsageError(f"data.table.balance = {wanted!r}: there is no such column; {nearest(wanted, names)}")
        if names.index(wanted) in (*self._held.held, *(each.total for each in self._held.sums)):
            raise UsageError(f"data.table.balance = {wanted!r}: a constraint decides that column; balance another")
        return names.index(wanted)

    def _rounded(self, rows: np.ndarray) -> np.ndarray:
        """Rows float64 (n, C) brought to the steps of their columns."""
        return on_grid(rows, self._steps)

    def _settle(self, conditional: bool) -> None:
        """Set what follows from the knots."""
        columns = self._modelled()
        self._modes = Modes(self._knots)
        spans = tuple(
            knots.span(column.name, column.kind in ORDERED) for knots, column in zip(self._knots, columns, strict=True)
        )
        sizes = torch.tensor(self._modes.sizes)
        self._owner = torch.cat([torch.arange(len(spans)).repeat_interleave(sizes), self._modes.placed])
        self._steps = np.array([_step(column) for column in columns])
        self._held = self._constraints()
        self._balanced = self._balanced_column([column.name for column in columns], conditional)
        self.spec = columns_spec(spans, columns_spec(spans) if conditional else None)


def _known(ends: np.ndarray) -> np.ndarray:
    """Ends of columns, 0 for those that are all missing."""
    return np.where(np.isnan(ends), 0.0, ends)


def _step(column: Column) -> float:
    """The distance of two values of a column; 0 where any value may occur."""
    if column.kind == "datetime":
        return 86400.0 if column.resolution == "day" else 1.0
    if column.kind == "number":
        return 0.0 if column.decimals is None else 10.0**-column.decimals
    return 1.0
