"""Reports as TensorBoard events, for those who have it open already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ficta.base.errors import UsageError


class TensorBoard:
    """A watcher that writes scalars by samples seen. The truth stays in ``history.jsonl``."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                f"--tensorboard needs an extra ({error}): pip install -c constraints.txt 'ficta[tensorboard]'"
            ) from None
        self._folder = folder
        self._kind = SummaryWriter
        self._writer: Any = None

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        """Nothing."""

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        """Nothing."""

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        """One scalar a number; those that a killed process wrote for the same samples are taken back."""
        if self._writer is None:
            self._writer = self._kind(str(self._folder), purge_step=line["seen"])
        numbers = {f"losses/{name}": value for name, value in line["losses"].items()}
        numbers |= {name: value for name, value in line.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, line["seen"])
        self._writer.flush()

    def said(self, message: str) -> None:
        """Nothing."""

    def closed(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
