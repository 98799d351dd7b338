"""Ficta: learn the distribution of your own data, make new samples, know how good, new and safe they are."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ficta.api import Run, list_runs, open_run, plan, train

__version__ = "0.1.0.dev0"
__all__ = ["Run", "__version__", "list_runs", "open_run", "plan", "train"]


def __getattr__(name: str) -> Any:
    """Load the public face on first use, so that importing ficta costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'ficta' has no attribute {name!r}")
    from ficta import api

    return getattr(api, name)


class _Package(ModuleType):
    """Keeps ``ficta.train`` the function: importing the room of that name would put the room in its place."""

    @property
    def train(self) -> Any:
        """Train a run; see ``ficta.api.train``."""
        return __getattr__("train")

    @train.setter
    def train(self, room: ModuleType) -> None:
        """The import system offers the room; ``from ficta.train import …`` finds it without this."""


sys.modules[__name__].__class__ = _Package
