"""What a report needs of a run."""

from pathlib import Path
from typing import Any, Protocol


class Facts(Protocol):
    """A run as the report sees it: plain facts, as they stand in its folder. ``ficta.runs.run.Run`` is one."""

    @property
    def path(self) -> Path:
        """The run folder."""

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting, nested; at least ``family``, ``seed``, ``data``, ``model``, ``train``."""

    @property
    def data(self) -> dict[str, Any]:
        """The ingestion report."""

    @property
    def plan(self) -> dict[str, Any]:
        """What was planned before the first step; empty if training has not got there."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry a report, oldest first."""

    @property
    def results(self) -> list[dict[str, Any]]:
        """Measured results."""

    @property
    def finished(self) -> bool:
        """Whether the target in samples is reached."""
