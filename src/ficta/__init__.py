"""Ficta: learn the distribution of your own data, make new samples, know how good, new and safe they are."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ficta.api import Run, compare, evaluate, list_runs, open_run, plan, train

__version__ = "0.1.0.dev0"
__all__ = ["Run", "__version__", "compare", "evaluate", "list_runs", "open_run", "plan", "train"]


def __getattr__(name: str) -> Any:
    """Load the public face on first use, so that importing ficta costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'ficta' has no attribute {name!r}")
    from ficta import api

    return getattr(api, name)


class _Package(ModuleType):
    """Keeps ``ficta.train`` and ``ficta.evaluate`` the functions where rooms have the same names.

    The import system offers a room as an attribute when it is imported; ``from ficta.train import …`` does without.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Take everything but a room that a function hides."""
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
