"""From a path to data ready for training: cached, checked, split, reported."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress, silent
from ficta.base.seeds import mix
from ficta.base.words import plural
from ficta.data import cache, splits
from ficta.data.codec import Chunk, Codec
from ficta.data.dataset import Dataset, Split
from ficta.data.listing import Source
from ficta.data.registry import CODECS
from ficta.data.report import build_report
from ficta.data.settings import DataSettings
from ficta.data.sources import open_source

DIGEST_BYTES = 16
FIT_ROWS = 1024  # items a chunk that the codec is fitted on
SHOWN = 3  # skipped files shown in an error


def ingest(settings: DataSettings, progress: Progress = silent, schema: Mapping[str, Any] | None = None) -> Dataset:
    """Read what the settings name (see ``survey``), and refuse it if too much of it could not be read.

    Raises:
        DataError: more was skipped than ``data.max_skipped`` allows; and what ``survey`` raises.
    """
    dataset = survey(settings, progress, schema)
    check_skipped(dataset.report)
    return dataset


def survey(settings: DataSettings, progress: Progress = silent, schema: Mapping[str, Any] | None = None) -> Dataset:
    """Read, or find in the cache, what the settings name, and divide it, however much of it had to be skipped.

    Args:
        settings: what to read and how.
        progress: told how far listing, reading and downloading have come.
        schema: of another source, as its codec has it, that this one is to be read by.

    Returns:
        Codec fitted on the training split; splits ``train``, ``validation`` and ``test`` (the last two may be empty)
        whose labels index ``report["categories"]`` (-1: none); the report, JSON types.

    Raises:
        UsageError: no such data, or labels wanted that it lacks.
        DataError: nothing of it can be read, or it contradicts itself.
        FictaError: the cache cannot be written.
    """
    source = open_source(settings, progress)
    codec = CODECS[source.codec](getattr(settings, source.codec))
    codec.schema = dict(schema or {})
    key = _key(source, settings, codec, schema)
    entry = cache.load(key)
    if entry is None:
        _build(key, source, codec)
        entry = cache.load(key)
    if entry is None:
        raise DataError(f"{settings.path}: its cache entry vanished while it was opened; try again")
    categories = tuple(entry.facts["categories"])
    if settings.conditional and codec.by_label:
        _check_labels(entry, settings)
    codec.schema = entry.facts["schema"]
    rows, origin = _divide(entry, settings, codec)
    labels = entry.labels if categories else None
    parts = {name: Split(entry.stored, rows[name], labels) for name in splits.NAMES}
    try:
        codec.fit(_chunks(parts["train"]), settings.conditional, categories)
    except DataError as error:
        raise DataError(f"{settings.path}: {error}") from None
    parts["train"] = dataclasses.replace(parts["train"], weights=codec.weights(_chunks(parts["train"])))
    cache.also_known_as(
        _key(source, settings, codec, schema), key
    )  # so that a run that knows what was decided finds it
    report = build_report(settings, entry, rows, origin, codec)
    return Dataset(codec, parts, report, settings.model_copy(update={source.codec: codec.settings}))


def _key(source: Source, settings: DataSettings, codec: Codec, schema: Mapping[str, Any] | None) -> str:
    content = [source.kind, source.manifest, settings.labels, source.codec, codec.stored_key()]
    return cache.key_of([*content, schema] if schema else content)


def _build(key: str, source: Source, codec: Codec) -> None:
    """Read the whole source into the cache."""
    listing = source.listing()
    if not listing.count:
        ignored = "; ".join(f"{count} {what}" for what, count in listing.ignored.items())
        raise DataError(
            f"{source.place} holds no {codec.item}s{f' ({ignored})' if ignored else ''}; name another folder or file"
        )
    collected = _Collected()
    began = time.monotonic()
    with cache.building(key) as builder:
        for chunk in codec.scan(source):
            if chunk.afresh:
                builder.empty()
                collected = _Collected()
            if len(chunk.stored):
                builder.add(chunk.stored)
            collected.add(chunk)
            source.progress("reading", collected.done, listing.count)
        if not collected.labels:
            raise DataError(
                f"{source.place}: none of {plural(collected.done, codec.item)} could be read: "
                f"{_some(collected.skipped)}; mend them, or name another source"
            )
        names = _natural({label for label in collected.labels if label is not None})
        index: dict[str | None, int] = {None: -1} | {name: number for number, name in enumerate(names)}
        known: dict[str | None, int] = {None: -1} | {name: number for number, name in enumerate(splits.NAMES)}
        facts = {
            "source": source.place,
            "kind": source.kind,
            "codec": source.codec,
            "categories": names,
            "ignored": listing.ignored,
            "listing_notes": listing.notes,
            "schema": codec.schema,
            **collected.facts(),
            "seconds": round(time.monotonic() - began, 3),
        }
        builder.finish(
            labels=np.array([index[label] for label in collected.labels], np.int64),
            splits=np.array([known[split] for split in collected.splits], np.int64),
            digests=np.frombuffer(collected.digests, np.uint8).reshape(-1, DIGEST_BYTES),
            facts=facts,
        )


class _Collected:
    """What a scan gives beside the items."""

    def __init__(self) -> None:
        self.labels: list[str | None] = []
        self.splits: list[str | None] = []
        self.skipped: list[dict[str, str]] = []
        self.digests = bytearray()
        self.tallies: dict[str, Counter[str]] = {}
        self.low, self.high = np.inf, -np.inf

    @property
    def done(self) -> int:
        return len(self.labels) + len(self.skipped)

    def add(self, chunk: Chunk) -> None:
        self.labels += chunk.labels
        self.splits += chunk.splits
        self.skipped += [{"name": item.name, "reason": item.reason} for item in chunk.skipped]
        for item in chunk.stored:
            self.digests += hashlib.blake2b(np.ascontiguousarray(item).data, digest_size=DIGEST_BYTES).digest()
        for what, counts in chunk.tallies.items():
            self.tallies.setdefault(what, Counter()).update(counts)
        if chunk.stored.size:
            self.low = min(self.low, np.fmin.reduce(chunk.stored, axis=None))
            self.high = max(self.high, np.fmax.reduce(chunk.stored, axis=None))

    def facts(self) -> dict[str, Any]:
        content = hashlib.sha256(self.digests)
        content.update(repr((self.labels, self.splits)).encode())
        return {
            "read": len(self.labels),
            "skipped": self.skipped,
            "tallies": {what: dict(counts.most_common()) for what, counts in self.tallies.items()},
            "stored_range": [float(self.low), float(self.high)],
            "content_hash": content.hexdigest(),
        }


def check_skipped(report: Mapping[str, Any]) -> None:
    """Refuse data of which too much was skipped.

    Raises:
        DataError: more than ``data.max_skipped`` allows.
    """
    if report["refused"]:
        raise DataError(f"{report['source']}: {report['refused']}; skipped: {_some(report['skipped'])}")


def _check_labels(entry: cache.Entry, settings: DataSettings) -> None:
    """Refuse to learn labels that some items lack."""
    missing = int((entry.labels < 0).sum())
    if missing:
        some = plural(missing, "of its samples lacks", "of its samples lack")
        how_many = "none of its samples has" if missing == len(entry.labels) else some
        raise UsageError(
            f"data.conditional needs a label for every sample, but in {settings.path} {how_many} one; "
            "sort the files into a folder for each label, add a labels.csv (file,label), or leave --conditional out"
        )


def _divide(entry: cache.Entry, settings: DataSettings, codec: Codec) -> tuple[dict[str, splits.Rows], dict[str, str]]:
    digests = splits.told_apart(entry.digests) if codec.repeats else entry.digests
    rows, origin = splits.divide(
        entry.splits, digests, validation=settings.validation, test=settings.test, seed=settings.split_seed
    )
    if settings.limit is not None:
        rows["train"] = splits.choose(rows["train"], digests, settings.limit, settings.split_seed)
    for name in ("validation", "test"):  # so that the first few items are a fair sample of a source sorted by label
        rows[name] = np.random.default_rng(mix(settings.split_seed, name)).permutation(rows[name])
    if not len(rows["train"]):
        raise DataError(
            f"{settings.path} leaves nothing to train on: {_sizes(rows)}; add samples or a folder train, "
            "or lower data.validation and data.test"
        )
    return rows, origin


def _chunks(split: Split) -> Iterator[np.ndarray]:
    for start in range(0, len(split), FIT_ROWS):
        yield split.read(start, start + FIT_ROWS)


def _natural(names: set[str]) -> list[str]:
    """Sorted as people count: 2 before 10."""
    return sorted(names, key=lambda name: ([_piece(part) for part in re.split(r"(\d+)", name)], name))


def _piece(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part.casefold())


def _some(skipped: list[dict[str, str]]) -> str:
    more = f", and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    return ", ".join(f"{item['name']} ({item['reason']})" for item in skipped[:SHOWN]) + more


def _sizes(rows: dict[str, splits.Rows]) -> str:
    return ", ".join(f"{len(rows[name])} {name}" for name in splits.NAMES)
