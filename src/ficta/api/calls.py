"""What a call says, brought into one form: a recipe, a place of data, settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ficta import presets
from ficta.base.errors import UsageError
from ficta.base.words import nearest
from ficta.data.cache import cache_folder
from ficta.data.download import NAMED
from ficta.data.sources import DIGITS, modality
from ficta.data.table.frames import keep_frame
from ficta.models.registry import FAMILIES
from ficta.runs.run import Run as StoredRun
from ficta.train.recipe import Recipe, set_by_path

if TYPE_CHECKING:
    from ficta.evaluate.ground import EvaluateSettings

TARGETS = ("samples", "minutes", "epochs")


def recipe_for(name: str, data: Any, settings: Mapping[str, Any], assignments: Sequence[str] = ()) -> Recipe:
    """The recipe that a call asks for.

    Args:
        name: a preset, or a family with its defaults.
        data: a path, the name of a data set, or a data frame.
        settings: nested settings over those of the preset; None leaves one as it is.
        assignments: ``model.latent_dim=16`` and the like, over everything else.

    Raises:
        UsageError: an unknown name or setting, or data that are neither a path nor a name.
    """
    data = data_path(data)
    known = presets.names()
    fitting = f"{modality(data)}-{name}"  # a family with what suits this kind of data
    name = fitting if name in FAMILIES and fitting in known else name
    if name not in known and name not in FAMILIES:
        raise UsageError(f"no family or preset {name!r}: {nearest(name, [*known, *FAMILIES])}")
    values: dict[str, Any] = presets.load(name) | {"preset": name} if name in known else {"family": name}
    values.pop("about", None)
    values.setdefault("data", {})["path"] = place(data)
    table = settings.get("data", {}).get("labels")
    if table not in (None, "auto"):
        settings = {**settings, "data": {**settings["data"], "labels": str(Path(table).expanduser().resolve())}}
    asked = {key for key in TARGETS if settings.get("train", {}).get(key) is not None}
    asked |= {key for key in TARGETS if any(text.startswith(f"train.{key}=") for text in assignments)}
    if len(asked) > 1:
        raise UsageError(f"give one of {' and '.join(sorted(asked))}")
    if asked:  # a target that is asked for takes the place of the preset's
        values["train"] = {key: value for key, value in values.get("train", {}).items() if key not in TARGETS}
    _merge(values, settings)
    for assignment in assignments:
        if assignment.split("=")[0].split(".")[0].strip() in ("preset", "networks"):
            raise UsageError(f"--set {assignment!r}: that is no setting; see 'ficta train --help'")
        set_by_path(values, assignment)
    return Recipe.of(values)


def full_recipe(
    name: str,
    data: Any,
    settings: Mapping[str, Any] | None,
    assignments: Sequence[str],
    network: Mapping[str, nn.Module] | None,
    start: str | Path | None,
) -> Recipe:
    """The recipe of a call with its own networks and the run it starts from.

    All arguments are those of ``train``.

    Raises:
        UsageError: what ``recipe_for`` raises; no run to start from; networks that are not given by role.
    """
    recipe = recipe_for(name, data, settings or {}, assignments)
    if start is not None:
        recipe = recipe.model_copy(update={"start": str(StoredRun(start, network).path.resolve())})
    if isinstance(network, nn.Module):
        raise UsageError("give networks by role, such as network={'encoder': module}")
    if network:
        names = {role: _signature(module) for role, module in network.items()}
        recipe = recipe.model_copy(update={"networks": names})
    return recipe


def data_path(data: Any) -> str:
    """A path or a name as text; a data frame is written to the cache, and its path there taken.

    Raises:
        UsageError: something else.
    """
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    if type(data).__name__ == "DataFrame" and hasattr(data, "iloc"):  # pandas need not be installed
        return str(keep_frame(data, cache_folder() / "frames"))
    raise UsageError(
        f"data is a {type(data).__name__}; give a path, a name ({', '.join([DIGITS, *NAMED])}) or a pandas data frame; "
        "an array is saved with np.save('pictures.npy', array) and given by that path"
    )


def place(data: str | Path) -> str:
    """The name of a data set as it is, or an absolute path: a name goes before a folder, ``./digits`` is the folder."""
    named = data == DIGITS or data in NAMED
    return str(data) if named else _writable(str(Path(data).expanduser().resolve()))


def evaluate_settings(settings: Mapping[str, Any]) -> EvaluateSettings:
    """What a call says of how to judge; None leaves a setting as it is."""
    from ficta.evaluate.ground import EvaluateSettings

    return EvaluateSettings.read({name: value for name, value in settings.items() if value is not None}, "evaluate")


def _writable(path: str) -> str:
    """The path, if a recipe can hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"data {path!a}: this name is not in UTF-8 and no recipe can hold it; rename it") from None
    return path


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _merge(values.setdefault(key, {}), value)
        elif value is not None:
            values[key] = value


def _signature(module: nn.Module) -> str:
    """A network's name and the shapes of its weights, for a recipe that cannot hold the network itself."""
    shapes = ", ".join(f"{name} {tuple(p.shape)}" for name, p in module.named_parameters())
    return f"{type(module).__name__}: {shapes}"
