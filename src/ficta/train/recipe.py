"""Every setting of a run in one place; written down before the first step."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ficta.base.errors import UsageError
from ficta.base.settings import OPEN, Settings, open_fields
from ficta.compute.device import Layout, Precision
from ficta.data.settings import DataSettings
from ficta.models.registry import find
from ficta.train.best import Measure


class TrainSettings(Settings):
    """How a family is trained."""

    batch: Annotated[int, Field(ge=1, description="samples a step and process")] = 64
    samples: Annotated[int | None, Field(ge=1, description="samples to see in all")] = None
    minutes: Annotated[
        float | None, Field(gt=0, description="time to train for, made into a number of samples by the measured rate")
    ] = None
    epochs: Annotated[float | None, Field(gt=0, description="passes over the training split")] = None
    device: Annotated[
        str, Field(description="auto (CUDA if there is one), cpu, cuda, cuda:1", json_schema_extra=OPEN)
    ] = "auto"
    devices: Annotated[int, Field(ge=1, description="processes on this machine, one a device")] = 1
    precision: Annotated[
        Precision | Literal["auto"],
        Field(
            description="of matrix products and convolutions: float32, bf16, auto (what is faster)",
            json_schema_extra=OPEN,
        ),
    ] = "auto"
    layout: Annotated[
        Layout | Literal["auto"],
        Field(
            description="memory order of pictures: channels_last, contiguous, auto (what is faster)",
            json_schema_extra=OPEN,
        ),
    ] = "auto"
    threads: Annotated[
        int | None, Field(ge=1, description="CPU threads; without, as many as are faster", json_schema_extra=OPEN)
    ] = None
    compile: Annotated[
        bool | None,
        Field(description="compile the networks; without, if that pays within the run", json_schema_extra=OPEN),
    ] = None
    accumulate: Annotated[int, Field(ge=1, description="batches whose gradients make one step")] = 1
    clip_norm: Annotated[
        float | None, Field(gt=0, description="longest gradient of a phase; longer ones are shortened to it")
    ] = None
    warmup_samples: Annotated[int, Field(ge=0, description="samples over which the learning rate rises from 0")] = 0
    decay: Annotated[
        Literal["none", "linear", "cosine"], Field(description="how the learning rate falls to 0 at the end")
    ] = "none"
    ema_samples: Annotated[
        int, Field(ge=0, description="half-life of the averaged weights, in samples; 0 keeps no average")
    ] = 5000
    reports: Annotated[int, Field(ge=1, description="reports over the run, besides a few early ones")] = 40
    sheet_size: Annotated[int, Field(ge=1, le=1024, description="samples on a sheet")] = 64
    heldout_samples: Annotated[int, Field(ge=1, description="validation samples that a report measures on")] = 1000
    save_every_minutes: Annotated[float | None, Field(gt=0, description="time from one saved state to the next")] = 1.0
    save_every_samples: Annotated[
        int | None, Field(ge=1, description="samples from one saved state to the next, besides")
    ] = None
    keep: Annotated[
        Literal["last", "best"], Field(description="weights that samples are made from: the last, or the best report's")
    ] = "last"
    keep_by: Annotated[
        Measure, Field(description="what the best report is best by; auto: held-out bound, else kernel distance")
    ] = "auto"
    on_verdict: Annotated[
        Literal["warn", "stop"], Field(description="what a bad verdict does; numbers that are not finite always stop")
    ] = "warn"

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.minutes is not None and self.epochs is not None:
            raise ValueError("give minutes or epochs, not both")
        return self


FREE = {  # may differ from the recipe of the run that is continued: none of these changes what is learnt by when
    "train.samples",
    "train.minutes",
    "train.epochs",
    "train.on_verdict",
    "train.save_every_minutes",
    "train.save_every_samples",
    "data.mirror",
    "data.max_skipped",  # the content of the data is compared by itself
}


class Recipe(Settings):
    """All settings of a run."""

    family: Annotated[str, Field(description="family of models")]
    preset: Annotated[
        str | None, Field(description="preset that the settings started from", json_schema_extra=OPEN)
    ] = None
    seed: Annotated[int, Field(ge=0, description="of everything random in the run")] = 0
    start: Annotated[
        str | None, Field(description="run whose weights this one started from", json_schema_extra=OPEN)
    ] = None
    data: Annotated[DataSettings, Field(description="what of the data is used")]
    model: Annotated[dict[str, Any], Field(description="settings of the family", default_factory=dict)]
    train: Annotated[TrainSettings, Field(description="how it is trained")] = TrainSettings()
    networks: Annotated[
        dict[str, str], Field(description="networks that the user brought, by role", default_factory=dict)
    ]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Recipe:
        """Check a nested mapping, as TOML gives it, and fill in every default.

        Raises:
            UsageError: an unknown family or setting, or a value out of range; names it and the nearest.
        """
        for name in values.keys() - cls.model_fields.keys():
            _check_place(name, values.get("family", ""))
        recipe = cls.read(values, "")
        model = find(recipe.family).settings_type.read(recipe.model, "model")
        return recipe.model_copy(update={"model": model.model_dump(mode="json")})

    def content(self) -> dict[str, Any]:
        """The recipe as nested plain types."""
        return self.model_dump(mode="json")

    def differences(self, stored: Recipe) -> list[str]:
        """Settings in which this recipe asks for something else than ``stored``, as readable lines.

        What is left open here and was decided by the run (fields marked ``OPEN``) agrees with whatever stands there.
        """
        asked, there = flatten(self.content()), flatten(stored.content())
        left_open = {path for path in open_fields(Recipe) if asked.get(path) in (None, "auto")}
        asked |= {f"networks.{role}": "none" for role in stored.networks.keys() - self.networks.keys()}
        return [
            f"{key}: {there.get(key)!r} there, {value!r} here"
            for key, value in asked.items()
            if key not in FREE | left_open and there.get(key) != value
        ]


def _check_place(name: str, family: str) -> None:
    """Refuse a setting that was given without its table, naming the table that has it."""
    tables: dict[str, type[Settings]] = {
        "model": find(family).settings_type,
        "train": TrainSettings,
        "data": DataSettings,
    }
    for table, settings in tables.items():
        if name in settings.model_fields:
            raise UsageError(f"unknown setting {name}: did you mean '{table}.{name}'?")


def flatten(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested mapping => dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{path}{key}.")
        else:
            flat[path + key] = value
    return flat


def set_by_path(values: dict[str, Any], assignment: str) -> None:
    """Apply ``model.latent_dim=16`` to a nested mapping; the value is read as TOML, else as a string.

    Raises:
        UsageError: no ``=``, or a path through something that is no table.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"--set {assignment!r} needs the form name=value, such as model.latent_dim=16")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *tables, name = path.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {assignment!r}: {table!r} is a value, not a table")
    values[name] = value
