"""One step, number by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ficta.base.errors import FictaError
from ficta.base.settings import Settings
from ficta.base.spec import Spec, class_condition
from ficta.compute.collectives import Collectives
from ficta.compute.device import Way
from ficta.compute.noise import latents
from ficta.data.dataset import Split, Store
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings
from ficta.models.registry import build
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper, rate_factor

CPU = torch.device("cpu")


class Plain:
    """A codec that changes nothing."""

    def encode(self, stored: Tensor, noise: object = None) -> Tensor:
        return stored.to(torch.float32)

    def condition(
        self, spec: Spec, data: Tensor, labels: Tensor | None, noise: object, weighted: object
    ) -> Tensor | None:
        return labels if spec.condition else None


class NoSettings(Settings):
    """None."""


@final
class Toy(Family):
    """Two linear maps; the phases are the test's."""

    settings_type = NoSettings
    roles = ()

    def __init__(self, make: Callable[[Toy], Sequence[Phase]], rate: float = 0.1) -> None:
        super().__init__(NoSettings(), Spec((), (), "continuous"), {})
        self.spec = Spec(("column",), (3,), "continuous")
        self.one, self.two = nn.Linear(3, 1), nn.Linear(3, 1)
        for number, value in enumerate(self.parameters()):
            nn.init.constant_(value, 0.1 * (number + 1))
        self.register_buffer("steps", torch.zeros(()))
        self.rate, self.make = rate, make

    def phases(self) -> Sequence[Phase]:
        return self.make(self)

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        return {"main": OptimiserSettings(rate=self.rate)}

    def after_step(self, seen: Tensor, collectives: Collectives) -> None:
        self.steps += 1

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: int = 0
    ) -> Tensor:
        return latents(seed, first, n, 3)


def numbers(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def stepper_of(family: Family, data: np.ndarray, target: int = 1000, **settings: Any) -> Stepper:
    store = Store(Split(data, np.arange(len(data)), np.arange(len(data)) % 2), CPU, 2**30)
    chosen = TrainSettings.read({"batch": 8, **settings}, "train")
    return Stepper(family, Plain(), store, chosen, target, 5, CPU, Collectives(), Way(threads=1))  # type: ignore[arg-type]


def squares(toy: Toy) -> list[Phase]:
    def loss(batch: Batch) -> Losses:
        return Losses(toy.one(batch.data)[:, 0].square(), {"mean_x": batch.data.mean(1).detach()})

    return [Phase("fit", ("one",), loss, "main")]


def gradients_of(stepper: Stepper) -> list[list[Tensor]]:
    """Gradients that the optimiser is given from now on, one list a call."""
    taken: list[list[Tensor]] = []

    def note(parameters: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> None:
        taken.append([gradient.clone() for gradient in gradients])

    stepper.optimisers["main"].step = note  # type: ignore[method-assign]
    return taken


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.5}])
@pytest.mark.parametrize("name", ["vae", "gan", "vqvae"])
def test_two_accumulated_batches_are_one_of_twice_the_size(name: str, clip: dict[str, float]) -> None:
    spec = Spec(("channel", "height", "width"), (1, 8, 8), "continuous", 256, condition=class_condition(("a", "b")))
    data = np.tanh(numbers(100, 1, 8, 8))
    narrow = {"conv": {"width": 8}}
    if name == "vae":
        model = {"encoder": narrow, "decoder": narrow, "latent_dim": 3, "optimiser": {"epsilon": 1e-3}}
    elif name == "vqvae":
        prior = {"width": 8, "layers": 1, "heads": 2}
        model = {"encoder": narrow, "decoder": narrow, "codes": 12, "code_dim": 3, "restart_share": 0.5, "prior": prior}
        model |= {"optimiser": {"epsilon": 1e-3}, "prior_optimiser": {"epsilon": 1e-3}}
    else:
        sides = {"generator": narrow, "discriminator": narrow, "penalty_every": 2}
        model = {**sides, **{f"{side}_optimiser": {"epsilon": 1e-3} for side in ("generator", "discriminator")}}
    steppers = []
    for settings in ({"batch": 16, "accumulate": 2}, {"batch": 32}):
        torch.manual_seed(1)
        steppers.append(stepper_of(build(name, model, spec), data, **settings, **clip))
        for _ in range(6):
            steppers[-1].advance()
    parts, whole = steppers
    assert parts.seen == whole.seen == 6 * 32
    for mine, other in zip(parts.family.state_dict().values(), whole.family.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
    assert parts.take_means() == pytest.approx(whole.take_means(), rel=1e-3, abs=1e-5)


def test_phases_take_turns_in_order_on_the_same_batch() -> None:
    calls: list[tuple[str, int, float]] = []

    def phases(toy: Toy) -> list[Phase]:
        def loss_of(name: str) -> Callable[[Batch], Losses]:
            def loss(batch: Batch) -> Losses:
                calls.append((name, int(batch.seen), float(batch.data.sum())))
                return Losses(getattr(toy, "one" if name != "b" else "two")(batch.data)[:, 0], {})

            return loss

        every = {"a": 1, "b": 3, "c": 4}
        return [
            Phase(name, ("two",) if name == "b" else ("one",), loss_of(name), "main", every=often)
            for name, often in every.items()
        ]

    stepper = stepper_of(Toy(phases), numbers(40, 3))
    for _ in range(6):
        stepper.advance()
    assert [(name, seen) for name, seen, _ in calls] == [
        *(("a", 0), ("b", 0), ("c", 0)),
        *(("a", 8), ("a", 16), ("a", 24), ("b", 24), ("a", 32), ("c", 32), ("a", 40)),
    ]
    sums = {seen: {total for _, at, total in calls if at == seen} for _, seen, _ in calls}
    assert all(len(each) == 1 for each in sums.values())
    assert len(set.union(*sums.values())) == 6
    assert stepper.family.steps == 6  # type: ignore[comparison-overlap]


def test_phases_of_one_optimiser_move_their_own_modules_alone() -> None:
    def phases(toy: Toy) -> list[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses((toy.one(batch.data) + toy.two(batch.data))[:, 0].square(), {})

        return [Phase("one", ("one",), loss, "main"), Phase("two", ("two",), loss, "main", every=2)]

    toy = Toy(phases)
    stepper = stepper_of(toy, numbers(40, 3))
    stepper.advance()
    two = toy.two.weight.detach().clone()
    one = toy.one.weight.detach().clone()
    stepper.advance()  # Adam must not move "two" by what it remembers of it
    assert torch.equal(toy.two.weight, two)
    assert not torch.equal(toy.one.weight, one)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_weighted_losses_divide_by_the_sum_of_weights(accumulate: int) -> None:
    def phases(toy: Toy) -> list[Phase]:
        def loss(batch: Batch) -> Losses:
            tokens = 1 + (batch.data[:, 0] > 0).float() * 9  # uneven between micro-batches
            return Losses(toy.one(batch.data)[:, 0].square() * tokens, {}, weight=tokens)

        return [Phase("fit", ("one",), loss, "main")]

    data, toy = numbers(16, 3), Toy(phases)
    stepper = stepper_of(toy, data, batch=16 // accumulate, accumulate=accumulate)
    taken = gradients_of(stepper)
    stepper.advance()
    x = torch.from_numpy(data)
    tokens = 1 + (x[:, 0] > 0).float() * 9
    cost = (toy.one(x)[:, 0].square() * tokens).sum() / tokens.sum()
    for mine, right in zip(taken[0], torch.autograd.grad(cost, list(toy.one.parameters())), strict=True):
        torch.testing.assert_close(mine, right)


def test_gradients_are_shortened_to_the_norm_and_not_below() -> None:
    data = numbers(16, 3)
    longest = {}
    for clip in (None, 0.01, 1e6):
        stepper = stepper_of(Toy(squares), data, batch=16, clip_norm=clip)
        taken = gradients_of(stepper)
        stepper.advance()
        longest[clip] = torch.cat([gradient.flatten() for gradient in taken[0]])
    assert longest[0.01].norm().item() == pytest.approx(0.01, rel=1e-5)
    torch.testing.assert_close(longest[0.01] * longest[None].norm() / 0.01, longest[None])
    assert torch.equal(longest[1e6], longest[None])


def test_the_average_by_hand() -> None:
    toy = Toy(squares)
    stepper = stepper_of(toy, numbers(64, 3), ema_samples=20)
    right = {name: value.detach().clone() for name, value in toy.named_parameters()}
    for step in range(1, 101):
        stepper.advance()
        half_life = min(20, 0.05 * 8 * step)  # samples after which what was averaged counts half; ramps up
        keep = 0.5 ** (8 / half_life)
        for name, value in toy.named_parameters():
            right[name] = keep * right[name] + (1 - keep) * value.detach()
    for name, value in stepper.average.named_parameters():
        torch.testing.assert_close(value, right[name], rtol=1e-4, atol=1e-6)
        assert not value.requires_grad
    assert stepper.average.steps == toy.steps == 100
    assert not stepper.average.training
    assert toy.training


def test_running_statistics_are_averaged_as_the_weights_that_they_belong_to() -> None:
    toy = Toy(squares)
    toy.one = nn.Sequential(nn.BatchNorm1d(3), toy.one)
    stepper = stepper_of(toy, numbers(64, 3), ema_samples=20)
    right = {"0.running_mean": torch.zeros(3), "0.running_var": torch.ones(3)}
    for step in range(1, 51):
        stepper.advance()
        keep = 0.5 ** (8 / min(20, 0.05 * 8 * step))
        for name in right:
            right[name] = keep * right[name] + (1 - keep) * toy.one.get_buffer(name)
    for name, value in right.items():
        torch.testing.assert_close(stepper.average.one.get_buffer(name), value, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(value, toy.one.get_buffer(name), rtol=1e-4)
    assert stepper.average.one[0].num_batches_tracked == 50


def test_without_an_average_the_weights_themselves_serve() -> None:
    stepper = stepper_of(Toy(squares), numbers(64, 3), ema_samples=0)
    assert stepper.average is stepper.family
    assert not any(name.startswith("average/") for name in stepper.state()[0])


@pytest.mark.parametrize(
    ("settings", "seen", "factor"),
    [
        ({}, 0, 1.0),
        ({}, 1000, 1.0),
        ({"warmup_samples": 100}, 0, 0.0),
        ({"warmup_samples": 100}, 25, 0.25),
        ({"warmup_samples": 100}, 100, 1.0),
        ({"decay": "linear"}, 250, 0.75),
        ({"decay": "linear"}, 1000, 0.0),
        ({"decay": "linear"}, 1200, 0.0),  # the last step may reach beyond the target
        ({"decay": "cosine"}, 0, 1.0),
        ({"decay": "cosine"}, 250, 0.5 + math.sqrt(2) / 4),
        ({"decay": "cosine"}, 500, 0.5),
        ({"decay": "cosine"}, 1000, 0.0),
        ({"decay": "linear", "warmup_samples": 200}, 100, 0.5),
        ({"decay": "linear", "warmup_samples": 200}, 600, 0.5),
        ({"decay": "cosine", "warmup_samples": 200}, 600, 0.5),
        ({"decay": "linear", "warmup_samples": 2000}, 500, 0.25),
        ({"decay": "linear", "warmup_samples": 1000}, 1000, 1.0),
    ],
)
def test_the_factor_of_the_learning_rate(settings: dict[str, Any], seen: int, factor: float) -> None:
    assert rate_factor(TrainSettings.read(settings, "train"), seen, 1000) == pytest.approx(factor)


def test_the_learning_rate_reaches_the_optimiser() -> None:
    stepper = stepper_of(Toy(squares, rate=0.5), numbers(64, 3), target=80, warmup_samples=16, decay="linear")
    used: list[float] = []
    stepper.optimisers["main"].step = lambda parameters, gradients, rate: used.append(rate)  # type: ignore[method-assign]
    for _ in range(10):
        stepper.advance()
    assert used[:3] == [0.0, 0.25, 0.5]
    assert used[-1] == pytest.approx(0.5 * (80 - 72) / (80 - 16))


def test_means_are_over_all_samples_since_the_last_time() -> None:
    data = numbers(48, 3)
    stepper = stepper_of(Toy(squares), data, batch=8, accumulate=2)
    for _ in range(3):  # each item once
        stepper.advance()
    means = stepper.take_means()
    assert means.keys() == {"fit", "mean_x"}
    assert means["mean_x"] == pytest.approx(data.mean(), rel=1e-4, abs=1e-7)
    assert stepper.take_means() == {}
    stepper.advance()
    first = stepper.order.indices(48, 16)
    assert stepper.take_means()["mean_x"] == pytest.approx(data[first.numpy()].mean(), rel=1e-4, abs=1e-7)


def test_a_lazy_phase_is_averaged_over_its_own_turns() -> None:
    def phases(toy: Toy) -> list[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses(toy.one(batch.data)[:, 0] * 0 + 3, {"seen": batch.data[:, 0] * 0 + batch.seen})

        return [Phase("lazy", ("one",), loss, "main", every=4)]

    stepper = stepper_of(Toy(phases), numbers(64, 3))
    for _ in range(8):
        stepper.advance()
    assert stepper.take_means() == {"lazy": 3.0, "seen": (0 + 32) / 2}


def test_a_phase_draws_its_own_numbers_and_the_same_ones_each_time() -> None:
    drawn: dict[str, list[Tensor]] = {"a": [], "b": []}

    def phases(toy: Toy) -> list[Phase]:
        def loss_of(name: str) -> Callable[[Batch], Losses]:
            def loss(batch: Batch) -> Losses:
                drawn[name].append(batch.noise.normal(2))
                return Losses(toy.one(batch.data)[:, 0], {})

            return loss

        return [Phase(name, ("one",), loss_of(name), "main") for name in drawn]

    for _ in range(2):
        stepper = stepper_of(Toy(phases), numbers(64, 3))
        stepper.advance()
        stepper.advance()
    assert all(torch.equal(drawn[name][0], drawn[name][2]) for name in drawn)
    assert all(torch.equal(drawn[name][1], drawn[name][3]) for name in drawn)
    assert not torch.equal(drawn["a"][0], drawn["b"][0])
    assert not torch.equal(drawn["a"][0], drawn["a"][1])


def test_a_state_holds_all_that_going_on_needs() -> None:
    data = numbers(64, 3)
    first, second = (stepper_of(Toy(squares), data, decay="cosine") for _ in range(2))
    for _ in range(5):
        first.advance()
    tensors, facts = first.state()
    second.restore({name: value.clone() for name, value in tensors.items()}, dict(facts))
    assert (second.seen, second.step) == (40, 5)
    for _ in range(5):
        first.advance()
        second.advance()
    mine, theirs = first.state(), second.state()
    assert mine[1] == theirs[1]
    assert mine[0].keys() == theirs[0].keys()
    assert all(torch.equal(value, theirs[0][name]) for name, value in mine[0].items())
    assert first.take_means() == second.take_means()


def test_a_state_of_other_processes_is_refused() -> None:
    stepper = stepper_of(Toy(squares), numbers(64, 3))
    tensors, facts = stepper.state()
    facts["progress"] = facts["progress"].replace('"ranks": 1', '"ranks": 4')
    with pytest.raises(FictaError, match="trained by 4 processes"):
        stepper.restore(tensors, facts)


@pytest.mark.parametrize("where", ["weight", "moment"])
def test_what_is_not_finite_is_noticed(where: str) -> None:
    toy = Toy(squares)
    stepper = stepper_of(toy, numbers(64, 3))
    stepper.advance()
    assert stepper.is_finite()
    held = toy.one.weight if where == "weight" else stepper.optimisers["main"].state()["0/exp_avg_sq"]
    with torch.no_grad():
        held[0, 1] = math.inf
    assert not stepper.is_finite()
