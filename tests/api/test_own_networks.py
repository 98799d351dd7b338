"""Networks that the user brings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ficta import api
from ficta.base.errors import UsageError
from ficta.compute import tensors
from ficta.explore.explore import Explored

TINY = ["train.threads=1", "train.batch=16", "train.samples=64", "train.reports=1", "model.latent_dim=3"]


class Encoder(nn.Module):
    def __init__(self, outputs: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, outputs))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 64), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        out: Tensor = self.layers(z)
        return out


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.Run, "explore", lambda self, **_: Explored([], [], ""))
    monkeypatch.setattr(api.Run, "report", lambda self: self.path)
    torch.manual_seed(4)


class Viewing(nn.Module):
    """A convolution whose output is flattened by a view, which needs the usual memory order."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.dense = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(torch.relu(self.convolution(x)).view(x.size(0), -1))
        return out


def own() -> dict[str, nn.Module]:
    return {"encoder": Encoder(), "decoder": Decoder()}


def weights(run: Path) -> dict[str, Tensor]:
    return tensors.load(run / "weights.safetensors")[0]


def test_the_recipe_names_them_and_opening_needs_them(tmp_path: Path) -> None:
    run = api.train("vae", "digits", tmp_path / "run", assignments=TINY, network=own())
    assert run.sample(2).shape == (2, 1, 8, 8)
    assert run.recipe["networks"] == {
        "decoder": "Decoder: layers.0.weight (12, 3), layers.0.bias (12,), "
        "layers.2.weight (64, 12), layers.2.bias (64,)",
        "encoder": "Encoder: layers.1.weight (12, 64), layers.1.bias (12,), "
        "layers.3.weight (6, 12), layers.3.bias (6,)",
    }
    expected = run.sample(2)
    alone = api.open_run(run.path)  # what needs no network works
    assert len(alone.history) == 1
    for network, missing in ((None, "decoder"), ({"decoder": Decoder()}, "encoder")):
        with pytest.raises(UsageError) as wrong:
            api.open_run(run.path, network=network).sample(2)
        assert f"{missing} ({run.recipe['networks'][missing]})" in str(wrong.value)
        assert f"open_run(path, network={{'{missing}': module}})" in str(wrong.value)
    again = api.open_run(run.path, network=own())
    assert (again.sample(2) == expected).all()
    assert again.encode(expected).shape == (2, 3)


def test_one_of_several_may_be_ones_own(tmp_path: Path) -> None:
    run = api.train("gan", "digits", tmp_path / "run", assignments=TINY, network={"generator": Decoder()})
    assert list(run.recipe["networks"]) == ["generator"]
    assert run.sample(3).shape == (3, 1, 8, 8)


def test_a_plain_stack_of_layers_will_do(tmp_path: Path) -> None:
    networks = {"encoder": Encoder().layers, "decoder": Decoder().layers}
    run = api.train("vae", "digits", tmp_path / "run", assignments=TINY, network=networks)
    assert run.sample(2).shape == (2, 1, 8, 8)
    assert run.encode(run.sample(2)).shape == (2, 3)


def test_the_same_modules_can_be_used_again(tmp_path: Path) -> None:
    """Opening a run must not freeze or overwrite the modules that the caller holds."""
    networks = own()
    run = api.train("vae", "digits", tmp_path / "run", assignments=TINY, network=networks)
    run.sample(2)
    assert all(parameter.requires_grad for module in networks.values() for parameter in module.parameters())
    before = {name: value.clone() for name, value in weights(run.path).items()}
    api.train("vae", "digits", run.path, assignments=[*TINY, "train.samples=128"], network=networks)
    after = weights(run.path)
    assert all(not torch.equal(value, after[name]) for name, value in before.items() if name.endswith("weight"))


def test_starting_from_a_run_with_ones_own_networks(tmp_path: Path) -> None:
    first = api.train("vae", "digits", tmp_path / "first", assignments=TINY, network=own())
    before = {name: value.clone() for name, value in weights(first.path).items()}
    second = api.train("vae", "digits", tmp_path / "second", assignments=TINY, network=own(), start=first.path)
    after = weights(second.path)
    assert all(not torch.equal(value, after[name]) for name, value in before.items() if name.endswith("weight"))
    assert second.history[0]["losses"]["cost_nats"] < first.history[0]["losses"]["cost_nats"]


def test_going_on_needs_them_too(tmp_path: Path) -> None:
    api.train("vae", "digits", tmp_path / "run", assignments=TINY, network=own())
    more = [*TINY, "train.samples=128"]
    with pytest.raises(UsageError, match="encoder"):
        api.train("vae", "digits", tmp_path / "run", assignments=more)
    networks = {**own(), "encoder": Encoder(8)}
    with pytest.raises(UsageError, match=r"networks.encoder: 'Encoder: .*\(6, 12\).*' there, 'Encoder: "):
        api.train("vae", "digits", tmp_path / "run", assignments=more, network=networks)
    assert api.train("vae", "digits", tmp_path / "run", assignments=more, network=own()).history[-1]["seen"] == 128


def test_an_unknown_role_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a vae has no network 'encodr': did you mean 'encoder'"):
        api.train("vae", "digits", tmp_path / "run", assignments=TINY, network={"encodr": Encoder()})


def test_a_network_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="encoder"):
        api.train("vae", "digits", tmp_path / "run", assignments=TINY, network={"encoder": Encoder(5)})
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_training_does_not_depend_on_who_calls(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    """Built networks draw their first weights by the recipe's seed, whatever the state of torch's generator."""
    runs = []
    for number in range(2):
        torch.manual_seed(number)
        runs.append(train_small("vae", tmp_path / str(number), "train.samples=32"))
    assert all(torch.equal(value, weights(runs[1])[name]) for name, value in weights(runs[0]).items())


def test_training_leaves_the_callers_random_numbers_alone(tmp_path: Path, train_small: Callable[..., Path]) -> None:
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    train_small("vae", tmp_path / "run", "train.samples=32")
    assert torch.equal(torch.randn(3), expected)


def test_pictures_reach_them_in_the_usual_memory_order(tmp_path: Path) -> None:
    run = api.train("vae", "digits", tmp_path / "run", assignments=TINY, network={"encoder": Viewing()})
    assert run.recipe["train"]["layout"] == "contiguous"
    opened = api.open_run(run.path, network={"encoder": Viewing()})
    assert opened.encode(opened.sample(2)).shape == (2, 3)


def test_frozen_layers_stay_as_they_are(tmp_path: Path) -> None:
    encoder = Viewing()
    encoder.convolution.requires_grad_(False)
    before = encoder.convolution.weight.clone()
    run = api.train("vae", "digits", tmp_path / "run", assignments=TINY, network={"encoder": encoder})
    assert torch.equal(weights(run.path)["encoder.convolution.weight"], before)


def test_networks_that_were_not_asked_for(tmp_path: Path, small_runs: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match=r"by role, such as network=\{'encoder': module\}"):
        api.train("vae", "digits", tmp_path / "run", assignments=TINY, network=Encoder())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="trained with the encoder that ficta builds; open it without network="):
        api.open_run(small_runs("vae"), network={"encoder": Encoder()})
