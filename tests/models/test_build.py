"""Families by name: what a wrong call is answered with, optimisers, networks of one's own."""

from typing import Any

import pytest
import torch
from torch import nn

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, columns_spec
from ficta.compute.noise import Noise
from ficta.models.family import Batch, OptimiserSettings
from ficta.models.registry import FAMILIES, build, find

ROW = Spec(("column",), (4,), "continuous")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("vea", {}), "unknown family 'vea': did you mean 'vae'? there is: " + ", ".join(sorted(FAMILIES))),
        (("vae", {"latent_dims": 2}), "unknown setting model.latent_dims: did you mean 'latent_dim'?"),
        (("gan", {"generator": {"conv": {"widht": 3}}}), "unknown setting model.generator.conv.widht: did you mean 'w"),
        (("vae", {"latent_dim": 0}), "setting model.latent_dim = 0: input should be greater than or equal to 1"),
        (("gan", {"loss": "hinge?"}), "setting model.loss = 'hinge?'"),
        (("vae", {"optimiser": {"rate": 0}}), "setting model.optimiser.rate = 0"),
        (("vae", {"optimiser": {"betas": [2.0, 0.9]}}), "setting model.optimiser.betas"),
        (("vae", {"optimiser": {"rate": float("inf")}}), "setting model.optimiser.rate = inf"),
    ],
)
def test_wrong_calls_name_the_way_out(arguments: tuple[str, dict[str, Any]], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(*arguments, ROW)
    assert text in str(caught.value)


def test_an_unknown_role_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        build("vae", {}, ROW, {"encode": nn.Linear(4, 4)})
    assert str(caught.value) == "a vae has no network 'encode': did you mean 'encoder'? there is: decoder, encoder"


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_given_network_takes_the_place_of_the_built_one(name: str) -> None:
    for role in find(name).roles:
        mine = nn.Linear(4, {"encoder": 8, "discriminator": 1}.get(role, 4))
        assert getattr(build(name, {"latent_dim": 4}, ROW, {role: mine}), role) is mine


@pytest.mark.parametrize(("name", "role"), [("vae", "encoder"), ("vae", "decoder"), ("gan", "generator")])
def test_an_ordinary_module_serves_where_there_is_no_condition(name: str, role: str) -> None:
    family = build(name, {"latent_dim": 4}, ROW, {role: nn.Linear(4, 8 if role == "encoder" else 4)})
    batch = Batch(torch.zeros(3, 4), None, torch.tensor(0), Noise.whole(0, "cpu", 3))
    for phase in family.phases():
        assert phase.loss(batch).value.isfinite().all()


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_given_network_is_tried_out_with_a_row_of_which_nothing_is_given(name: str) -> None:
    class Reads(nn.Linear):
        def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
            asked.append(condition)
            return super().forward(x)

    asked: list[torch.Tensor | None] = []
    columns = (Span("age", 2, (1,)), Span("sex", 2))
    mine = Reads(3, {"vae": 6, "gan": 5}[name])  # with a mean and a log-scale of the place, or the place itself
    role = {"vae": "decoder", "gan": "generator"}[name]
    build(name, {"latent_dim": 3}, columns_spec(columns, columns_spec(columns)), {role: mine})
    assert asked
    assert all(row is not None and torch.equal(row, torch.zeros(2, 5)) for row in asked)


def test_a_given_network_counts_even_if_it_is_an_empty_sequence() -> None:
    identity = nn.Sequential()  # false in a truth test, as it has no layers
    assert build("vae", {"latent_dim": 2}, ROW, {"encoder": identity}).encoder is identity


@pytest.mark.parametrize(("kind", "reference"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_optimisers_are_built_as_set(kind: Any, reference: type[torch.optim.Adam]) -> None:
    settings = OptimiserSettings(kind=kind, rate=0.25, betas=(0.5, 0.75), epsilon=1e-3, weight_decay=0.1)
    mine, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    optimiser = settings.build([mine])
    other = reference([theirs], lr=0.25, betas=(0.5, 0.75), eps=1e-3, weight_decay=0.1)
    for gradient in (torch.tensor([1e-3, 2.0]), torch.tensor([0.5, -1.0])):
        optimiser.step([mine], [gradient], settings.rate)
        theirs.grad = gradient
        other.step()
    torch.testing.assert_close(mine, theirs)


def test_a_step_of_adam_worked_on_paper() -> None:
    # the first step of Adam is rate * g / (|g| + epsilon): 1/2 - 0.1 * 3 / (3 + 1)
    weight = nn.Parameter(torch.tensor([0.5]))
    settings = OptimiserSettings(rate=0.1, epsilon=1.0)
    settings.build([weight]).step([weight], [torch.tensor([3.0])], settings.rate)
    assert weight.item() == pytest.approx(0.425)
