"""How long work tells that it is under way, without knowing who shows it."""

from typing import Protocol


class Progress(Protocol):
    """Called every so often with how far a piece of work has come."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say that ``done`` of ``total`` (None: unknown) units of ``what`` are finished."""


def silent(what: str, done: int, total: int | None) -> None:
    """Show nothing."""
