"""The run folder on disk: which file is what, and who may write."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from PIL import Image
from torch import Tensor

from ficta.base.errors import FictaError, UsageError
from ficta.base.files import PARTIAL, exclusive, replacing, write_json, write_text
from ficta.compute import tensors

STATES_KEPT = 2
LEFTOVER = re.compile(rf"\.\d+{re.escape(PARTIAL)}$")  # of a file that a process of this number was writing


class RunFolder:
    """The files of a run, and nothing about what they mean."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = path / "samples"
        self.weights = path / "weights.safetensors"
        self._recipe = path / "recipe.toml"
        self._state = path / "state"
        self._history = path / "history.jsonl"

    @property
    def exists(self) -> bool:
        """Whether a run lives here."""
        return self._recipe.is_file()

    def create(self, recipe: Mapping[str, Any], data: Mapping[str, Any], codec: Mapping[str, Any]) -> None:
        """Lay out a new run; the recipe comes last and makes it one."""
        with _explained(self.path):
            for folder in (self.path, self.samples, self._state):
                folder.mkdir(parents=True, exist_ok=True)
            write_json(self.path / "data.json", data)
            write_json(self.path / "codec.json", codec)
            self.write_recipe(recipe)

    def write_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Replace the recipe; entries that are None are left out, as TOML has no word for them."""
        with _explained(self._recipe):
            write_text(self._recipe, tomli_w.dumps(_without_none(recipe)))

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Replace the plan."""
        with _explained(self.path):
            write_json(self.path / "plan.json", plan)

    def check(self) -> None:
        """Read all that going on needs or that stands to be lost.

        Raises:
            FictaError: a file is missing or damaged.
            UsageError: there are reports, but no state to go on from.
        """
        for name in ("data", "codec"):
            if not self.json(name):
                raise FictaError(f"{self.path / name}.json is missing; restore it, or start a new run with --from")
        self.json("plan")
        if self.lines("history") and not self.has_state:
            raise UsageError(
                f"{self.path} has reports and weights, but no state to go on from ({self._state} is empty); restore "
                f"that, or start a new run from its weights: --from {self.path} and another --out"
            )

    def strangers(self) -> list[str]:
        """Names of entries that no run which had only begun left behind; empty for an empty folder."""
        entries = sorted(entry.name for entry in self.path.iterdir())
        mine = {"lock", "data.json", "codec.json"} if "lock" in entries else set()  # the lock comes first
        mine |= {folder.name for folder in (self.samples, self._state) if folder.is_dir() and not any(folder.iterdir())}
        return [name for name in entries if name not in mine and not LEFTOVER.search(name)]

    def recipe(self) -> dict[str, Any]:
        """Every setting of the run, nested."""
        with _readable(self._recipe):
            recipe = tomllib.loads(self._recipe.read_text())
            for table in ("data", "train"):
                if not isinstance(recipe[table], dict):
                    raise ValueError(f"{table} is no table")
            return {"model": {}, "networks": {}} | recipe | {"family": str(recipe["family"])}

    def json(self, name: str) -> dict[str, Any]:
        """Content of ``data``, ``codec`` or ``plan``; empty if it was never written."""
        path = self.path / f"{name}.json"
        if not path.exists():
            return {}
        with _readable(path):
            content = json.loads(path.read_text())
            if not isinstance(content, dict):
                raise ValueError("not an object")
            return content

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Lines of ``history`` or ``results``; a last line cut off by a kill does not count."""
        path = self.path / f"{name}.jsonl"
        if not path.exists():
            return []
        with _readable(path):
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [_entry(line, f"{path}, line {number}") for number, line in enumerate(whole, 1)]

    def append_history(self, line: Mapping[str, Any]) -> None:
        """Add a report."""
        with _explained(self._history), self._history.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def rewind_history(self, seen: int) -> None:
        """Drop reports made after so many samples: going on from there makes them again."""
        kept = [line for line in self.lines("history") if line["seen"] <= seen]
        with _explained(self._history):
            write_text(self._history, "".join(json.dumps(line) + "\n" for line in kept))

    def write_results(self, results: Sequence[Mapping[str, Any]], seen: int) -> None:
        """Keep results of weights that have seen so many samples, in place of those of other weights.

        One of the same name takes the place of the earlier one. Evaluations that end at once wait for one another.
        """
        names = {result["name"] for result in results}
        path = self.path / "results.jsonl"
        with _explained(path), exclusive(self.path / "results.lock"):
            kept = [line for line in self.lines("results") if line.get("seen") == seen and line["name"] not in names]
            lines = [*({"seen": seen, **result} for result in results), *kept]
            write_text(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))

    def save(
        self,
        seen: int,
        state: Mapping[str, Tensor],
        facts: Mapping[str, str],
        weights_seen: int,
        weights: Mapping[str, Tensor],
    ) -> None:
        """Save what sampling needs, then what going on needs; the last two states are kept.

        Args:
            seen: samples seen by the state.
            state: named tensors.
            facts: strings kept with them.
            weights_seen: samples seen by the weights, which may be those of an earlier report.
            weights: that samples are made from.
        """
        with _explained(self._state):
            self._state.mkdir(exist_ok=True)
            self.write_weights(weights_seen, weights)
            tensors.save(self._state / f"{seen:012d}.safetensors", state, facts)  # the last write is what counts
            for old in self._states()[:-STATES_KEPT]:
                old.unlink()

    def write_weights(self, seen: int, weights: Mapping[str, Tensor]) -> None:
        """Replace the weights that samples are made from."""
        with _explained(self.weights):
            tensors.save(self.weights, weights, {"seen": str(seen)})

    def prior(self, name: str) -> Path:
        """Where a fitted prior is kept."""
        return self.path / "priors" / f"{name}.safetensors"

    def write_prior(self, name: str, state: Mapping[str, Tensor], weights: str) -> None:
        """Replace a fitted prior; ``weights`` is a digest of those whose latents it was fitted to."""
        path = self.prior(name)
        with _explained(path):
            path.parent.mkdir(exist_ok=True)
            tensors.save(path, state, {"weights": weights})

    def save_picture(self, name: str, image: Image.Image) -> Path:
        """Replace a picture, named by its path within the run such as ``samples/000000001024.png``."""
        path = self.path / name
        with _explained(path):
            path.parent.mkdir(exist_ok=True)
            with replacing(path) as file:
                image.save(file, format="PNG")
        return path

    def latest_state(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """The newest state, or None if none was saved yet.

        Raises:
            FictaError: it is damaged; the error says how to fall back on the one before.
        """
        states = self._states()
        if not states:
            return None
        try:
            return tensors.load(states[-1])
        except FictaError as error:
            if len(states) == 1:
                raise
            raise FictaError(f"{error}; or remove it to go on from {states[-2].name}") from None

    @property
    def has_state(self) -> bool:
        """Whether a state was saved."""
        return bool(self._states())

    @property
    def is_reported(self) -> bool:
        """Whether the report was drawn after the last state was saved."""
        report, states = self.path / "report.html", self._states()
        return report.exists() and all(report.stat().st_mtime_ns >= state.stat().st_mtime_ns for state in states)

    def latest_seen(self) -> int:
        """Samples seen by the newest state; 0 if there is none."""
        states = self._states()
        return int(states[-1].stem) if states else 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out; the lock goes with the process, however that ends.

        Raises:
            UsageError: another process trains here.
        """
        made = not self.path.exists()
        with _explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{self.path} is being written by another process; wait for it, or use --out"
                ) from None
            self._tidy()
            try:
                yield
            finally:
                self._discard_if_empty(made)  # while the lock is still held
        finally:
            os.close(handle)

    def _tidy(self) -> None:
        """Remove what a killed process was writing."""
        for folder in (self.path, self.samples, self._state, self.path / "explore"):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if LEFTOVER.search(entry.name):
                    entry.unlink()

    def _discard_if_empty(self, made: bool) -> None:
        """Remove the lock if nothing else is in the folder, as the run never began; the folder, too, if it is ours."""
        with contextlib.suppress(OSError):
            if {entry.name for entry in self.path.iterdir()} <= {"lock"}:
                (self.path / "lock").unlink(missing_ok=True)
                if made:
                    self.path.rmdir()

    def _states(self) -> list[Path]:
        return sorted(path for path in self._state.glob("*.safetensors") if path.stem.isdigit())


def _entry(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
        if not isinstance(content, dict) or not {"seen", "name"} & content.keys():
            raise ValueError("not what was written")
    except ValueError as error:
        raise FictaError(f"{where} is damaged ({error}); restore it, or take the line out") from None
    return content


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn content that is not what was written into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise FictaError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:  # what TOML, JSON and UTF-8 raise is a ValueError
        raise FictaError(f"{path} is damaged ({error}); restore it, or train the run again") from None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system says about a write into one line with a way out."""
    try:
        yield
    except OSError as error:
        raise FictaError(
            f"cannot write {error.filename or path}: {error.strerror}; what was saved before is intact. "
            "Make room or mend the permissions and give the same command again, or use --out"
        ) from None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
