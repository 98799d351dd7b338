"""From what a call says to every setting of a run, and back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ficta import presets
from ficta.api import plan, recipe_for, train
from ficta.base.errors import UsageError
from ficta.models.registry import FAMILIES
from ficta.runs.folder import RunFolder
from ficta.train import probe, session
from ficta.train.recipe import FREE, Recipe, flatten, set_by_path


@pytest.mark.parametrize("name", [*FAMILIES, *presets.names()])
def test_a_recipe_survives_its_file(name: str, tmp_path: Path) -> None:
    recipe = recipe_for(name, "digits", {})
    RunFolder(tmp_path).create(recipe.content(), {}, {})
    assert Recipe.of(RunFolder(tmp_path).recipe()) == recipe
    assert recipe.differences(recipe) == []
    assert recipe.preset == (name if name in presets.names() else None)


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_says_only_what_differs_from_the_defaults(name: str) -> None:
    content = presets.load(name)
    assert content.pop("about")
    given = flatten(content)
    defaults = flatten(recipe_for(content["family"], "digits", {}).content())
    assert set(given) <= set(defaults)
    stated = {"model.beta", "model.loss", "model.latent_dim", "model.optimiser.rate"}  # the article's, said in any case
    for key, value in given.items():
        if key != "family" and key not in stated and not key.endswith((".kind", "betas", "rate")):
            assert value != defaults[key], key


@pytest.mark.parametrize("name", presets.names())
def test_each_line_of_a_preset_has_its_reason(name: str) -> None:
    text = presets.text(name)
    assert text.startswith("# ")
    for section in text.split("\n\n"):
        assignments = [line for line in section.splitlines() if "=" in line.split("#")[0]]
        if assignments and "family =" not in section:
            assert any("# " in line for line in assignments), section


def test_settings_go_over_the_preset_and_assignments_over_both() -> None:
    settings = {"seed": None, "model": {"latent_dim": 3, "beta": 2.0}, "train": {"batch": None}}
    recipe = recipe_for("article-vae", "digits", settings, ["model.beta=4", "data.split_seed=9"])
    assert recipe.family == "vae"
    assert (recipe.model["latent_dim"], recipe.model["beta"]) == (3, 4.0)
    assert (recipe.train.batch, recipe.train.epochs, recipe.seed) == (32, 50, 0)
    assert recipe.model["encoder"]["conv"]["channels"] == [32, 64]
    assert recipe.data.split_seed == 9


@pytest.mark.parametrize("target", ["samples", "minutes", "epochs"])
def test_a_target_takes_the_place_of_the_presets(target: str) -> None:
    for recipe in (
        recipe_for("article-gan", "digits", {"train": {target: 7}}),
        recipe_for("article-gan", "digits", {}, [f"train.{target}=7"]),
    ):
        targets = recipe.train.model_dump(include={"samples", "minutes", "epochs"})
        assert targets == {**dict.fromkeys(("samples", "minutes", "epochs")), target: 7}
        assert recipe.train.batch == 32


def test_a_path_is_kept_whole_and_a_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert recipe_for("vae", "photos", {}).data.path == str(tmp_path.resolve() / "photos")
    assert recipe_for("vae", "mnist", {}).data.path == "mnist"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("model.latnt_dim=2", "unknown setting model.latnt_dim: did you mean 'latent_dim'"),
        ("latent_dim=2", "unknown setting latent_dim: did you mean 'model.latent_dim'?"),
        ("minutes=2", "unknown setting minutes: did you mean 'train.minutes'?"),
        ("modl.latent_dim=2", "unknown setting modl: did you mean 'model'"),
        ("train.bach=2", "unknown setting train.bach: did you mean 'batch'"),
        ("data.image.sise=2", "unknown setting data.image.sise: did you mean 'size'"),
        ("model.encoder.conv.widht=2", "unknown setting model.encoder.conv.widht: did you mean 'width'"),
        ("model.latent_dim=0", "setting model.latent_dim = 0: input should be greater than or equal to 1"),
        ("model.latent_dim=many", "setting model.latent_dim = 'many': "),
        ("train.decay=cosin", "setting train.decay = 'cosin': did you mean 'cosine'? there is: cosine, linear, none"),
        ("model.encoder=3", "setting model.encoder = 3: "),
        ("model.latent_dim.more=3", "setting model.latent_dim = "),
        ("train.minutes=0", "setting train.minutes = 0: "),
        ("train.samples=nan", "setting train.samples = nan: "),
        ("train.minutes=nan", "setting train.minutes = nan: "),
        ("train.minutes=inf", "setting train.minutes = inf: "),
        ("train.epochs=inf", "setting train.epochs = inf: "),
        ("model.optimiser.rate=nan", "setting model.optimiser.rate = nan: "),
        ("model.latent_dim", "needs the form name=value"),
        ("=3", "needs the form name=value"),
        ("seed.more=3", "'seed' is a value, not a table"),
        ("family=vea", "unknown family 'vea': did you mean 'vae'"),
    ],
)
def test_wrong_settings(assignment: str, said: str) -> None:
    with pytest.raises(UsageError) as wrong:
        recipe_for("vae", "digits", {"seed": 1}, [assignment])
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    "data", [np.zeros((300, 8, 8), np.uint8), [1, 2], None, b"photos"], ids=lambda data: type(data).__name__
)
def test_data_that_are_no_path_are_a_wrong_call_that_says_what_to_give(data: Any) -> None:
    for call in (train, plan):
        with pytest.raises(UsageError, match=r"give a path, a name \(digits, .*np\.save") as wrong:
            call("vae", data)
        assert f"data is a {type(data).__name__}; " in str(wrong.value)
        assert "\n" not in str(wrong.value)


def test_an_unknown_name_and_two_targets() -> None:
    with pytest.raises(UsageError, match="no family or preset 'articel-vae': did you mean 'article-vae'"):
        recipe_for("articel-vae", "digits", {})
    with pytest.raises(UsageError, match="give one of epochs and minutes"):
        recipe_for("vae", "digits", {"train": {"minutes": 1, "epochs": 1}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", 3),
        ("a.b=3.5", 3.5),
        ("a.b=1e-4", 1e-4),
        ("a.b=true", True),
        ("a.b=[32, 64]", [32, 64]),
        ('a.b="3"', "3"),
        ("a.b=cosine", "cosine"),
        ("a.b = some words ", "some words"),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
        ("a.b=64x48", "64x48"),
    ],
)
def test_values_are_read_as_toml_else_as_text(text: str, value: Any) -> None:
    values: dict[str, Any] = {"a": {"c": 1}}
    set_by_path(values, text)
    assert values == {"a": {"c": 1, "b": value}}
    assert type(values["a"]["b"]) is type(value)


def test_what_differs_and_what_may() -> None:
    stored = recipe_for("vae", "digits", {}, ["train.samples=100", "train.clip_norm=1", "train.device=cpu", "seed=2"])
    same = recipe_for("vae", "digits", {}, ["seed=2", "train.clip_norm=1", "train.minutes=3", "train.on_verdict=stop"])
    assert same.differences(stored) == []  # auto and no threads agree with whatever was resolved
    plain = recipe_for("vae", "digits", {}, ["seed=2"])
    assert plain.differences(stored) == ["train.clip_norm: 1.0 there, None here"]  # None means something there
    other = recipe_for("vae", "digits", {"seed": 4}, ["model.latent_dim=99", "train.clip_norm=2"])
    assert other.differences(stored) == [
        "seed: 2 there, 4 here",
        f"model.latent_dim: {stored.model['latent_dim']} there, 99 here",
        "train.clip_norm: 1.0 there, 2.0 here",
    ]
    assert set(flatten(stored.content())) >= FREE


def test_networks_of_ones_own_are_part_of_the_recipe() -> None:
    plain = recipe_for("vae", "digits", {})
    own = plain.model_copy(update={"networks": {"encoder": "Mine, 3 parameters"}})
    assert own.differences(plain) == ["networks.encoder: None there, 'Mine, 3 parameters' here"]
    assert plain.differences(own)


def test_minutes_become_samples(
    tmp_path: Path, train_small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings(minutes: float) -> tuple[str, ...]:
        return (f"train.minutes={minutes}", "train.reports=2", "train.batch=8", "train.threads=1")

    def train(minutes: float) -> dict[str, Any]:
        plan = session.train(recipe_for("vae", "digits", {}, settings(minutes)), tmp_path)
        assert plan["target_samples"] == stored()["samples"]
        return stored()

    def stored() -> dict[str, Any]:
        return tomllib.loads((tmp_path / "recipe.toml").read_text())["train"]

    monkeypatch.setattr(probe, "measure_rate", lambda *_: 4000.0)
    monkeypatch.setattr(session, "report_seconds", lambda *_: 0.01)
    first = train(0.001)
    assert (first["samples"], first["minutes"]) == (153, 0.001)  # 4000/s x (0.06 s - 3 % - 2 reports of 0.01 s)
    monkeypatch.setattr(probe, "measure_rate", lambda *_: 400_000.0)  # the target stays what it was resolved to
    with pytest.raises(UsageError, match="is finished"):
        train(0.001)
    assert stored() == first
    monkeypatch.setattr(probe, "measure_rate", lambda *_: 4000.0)
    monkeypatch.setattr(session, "report_seconds", lambda *_: 60.0)
    assert train(0.002)["samples"] == 226  # reports take at most half of the 0.12 s from the steps
    assert RunFolder(tmp_path).latest_seen() == 232  # whole batches of 8
    assert json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])["seen"] == 232


def test_epochs_become_samples(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    out = train_small("vae", tmp_path / "run", "train.samples=1", "data.limit=40")
    assert json.loads((out / "data.json").read_text())["splits"]["train"] == 40
    recipe = recipe_for("vae", "digits", {}, ["train.epochs=2.5", "data.limit=40", "train.threads=1"])
    session.train(recipe, tmp_path / "other")
    assert RunFolder(tmp_path / "other").recipe()["train"]["samples"] == 100


def test_what_was_left_open_is_written_down(small_runs: Callable[[str], Path]) -> None:
    recipe = RunFolder(small_runs("vae")).recipe()
    train, image = recipe["train"], recipe["data"]["image"]
    assert (image["size"], image["channels"], image["fit"]) == ("8", 1, "crop")  # as the digits decide
    assert (train["device"], train["threads"], train["precision"]) == ("cpu", 1, "float32")
    assert flatten(train).keys() >= {"batch", "ema_samples", "warmup_samples", "decay", "reports", "on_verdict"}


def test_another_recipe_in_the_same_folder(copied: Callable[[str], Path], train_small: Callable[..., Path]) -> None:
    run = copied("vae")
    before = (run / "recipe.toml").read_bytes()
    with pytest.raises(UsageError, match=r"holds another run \(seed: 0 there, 3 here; model.latent_dim: 5 there, 6"):
        train_small("vae", run, "model.latent_dim=6", "seed=3")
    with pytest.raises(UsageError, match=r"family: 'vae' there, 'gan' here"):
        train_small("gan", run)
    assert (run / "recipe.toml").read_bytes() == before
