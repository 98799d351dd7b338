"""The public face: train, open a run, sample, encode, decode, look, judge."""

from ficta.api.calls import recipe_for
from ficta.api.run import Run
from ficta.api.verbs import compare, default_folder, evaluate, list_runs, open_run, plan, train
from ficta.data.dataset import Dataset, Split

__all__ = [
    "Dataset",
    "Run",
    "Split",
    "compare",
    "default_folder",
    "evaluate",
    "list_runs",
    "open_run",
    "plan",
    "recipe_for",
    "train",
]
