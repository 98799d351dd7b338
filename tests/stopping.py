"""A run that is stopped from outside, as soon as it has seen so many samples."""

from collections.abc import Mapping
from typing import Any


class StoppedError(Exception):
    pass


class StopAt:
    """A watcher that raises as soon as so many samples were seen."""

    def __init__(self, seen: int) -> None:
        self.seen = seen

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        pass

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        if seen >= self.seen:
            raise StoppedError

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        pass

    def said(self, message: str) -> None:
        pass

    def closed(self) -> None:
        pass
