"""One law set for every family in the registry, over samples of every kind that there is."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, class_condition, columns_spec
from ficta.compute.noise import LATENT_BLOCK, Noise
from ficta.models.family import Batch, Family, Losses, Phase, SampleSettings, couples_samples
from ficta.models.registry import FAMILIES, build
from ficta.nets.build import NetworkSettings
from ficta.nets.spans import Spans
from ficta.nets.stylegan2 import JudgeSettings, MappingSettings, SynthesisSettings

B = 6
PICTURE, CLASSES = ("channel", "height", "width"), class_condition(("a", "b", "c"))
# of the modes of the first column all are ranges, so that no two rows are alike
COLUMNS = (
    Span("age", 2, (0, 1), ordered=True),
    Span("sex", 3),
    Span("pay", 3, (1,), ordered=True),
)
SPECS = {
    "grey": Spec(PICTURE, (1, 8, 8), "continuous", levels=256),
    "colour": Spec(PICTURE, (3, 7, 10), "continuous"),
    "row": Spec(("column",), (6,), "continuous"),
    "binary": Spec(PICTURE, (1, 8, 8), "binary"),
    "grey by class": Spec(PICTURE, (1, 8, 8), "continuous", levels=256, condition=CLASSES),
    "row by class": Spec(("column",), (6,), "continuous", condition=CLASSES),
    "binary by class": Spec(PICTURE, (1, 8, 8), "binary", condition=CLASSES),
    "rows": columns_spec(COLUMNS),
    "rows by class": columns_spec(COLUMNS, CLASSES),
    "rows by columns": columns_spec(COLUMNS, columns_spec(COLUMNS)),
}
MODES = [column.modes for column in COLUMNS]
# three rows to ask for: nothing given; the sex; a pay in its range and a sex
GIVEN = torch.tensor(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 1, 0, 0, -0.5],
    ]
)
NO_NORM = {"conv": {"width": 4, "norm": "none", "hidden": (12,)}}
BATCH_NORM = {"conv": {"width": 4, "norm": "batch"}, "mlp": {"hidden": (12,)}}
# settings under which a family is another one, as far as the law can tell
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "vae by draws": ("vae", {"draws": 3}),
    "vae with capacity": ("vae", {"capacity_nats": 5.0, "beta": 3.0}),
    "vae with correlation": ("vae", {"total_correlation": 4.0}),
    "vae with discrepancy": ("vae", {"discrepancy": 100.0, "beta": 0.0}),
    "iwae": ("vae", {"bound": "iwae", "draws": 3}),
    "dreg": ("vae", {"bound": "dreg", "draws": 3}),
    "vamp": ("vae", {"prior": {"kind": "vamp", "inputs": 5}}),
    "stack": ("vae", {"prior": {"kind": "stack", "above": [3, 2], "network": {"hidden": [12]}}}),
    "weighted stack": ("vae", {"bound": "iwae", "draws": 3, "prior": {"kind": "stack", "network": {"hidden": [12]}}}),
    "least squares": ("gan", {"loss": "least-squares", "r2_gamma": 0.5, "minibatch_features": 5}),
    "hinge": ("gan", {"loss": "hinge", "r1_gamma": 0.0, "discriminator": {"spectral": True}, "generator": BATCH_NORM}),
    "wasserstein": ("gan", {"loss": "wasserstein", "r1_gamma": 0.0, "clip_weights": 0.1}),
    "wgan-gp": ("gan", {"loss": "wasserstein", "r1_gamma": 0.0, "one_centred": 10.0, "penalty_every": 1}),
    "dragan": ("gan", {"one_centred": 10.0, "one_centred_at": "around"}),
    "relativistic": ("gan", {"loss": "relativistic", "r2_gamma": 1.0, "penalty_every": 1}),
    "auxiliary": ("gan", {"labels": "auxiliary"}),
    "diffaugment": ("gan", {"augment": {"kind": "diff"}}),
    "ada": ("gan", {"augment": {"kind": "ada"}, "loss": "relativistic"}),
    "infogan unwarped": ("infogan", {"warp": 0.0, "continuous_weight": 0.1}),
    "infogan apart": ("infogan", {"generator": NO_NORM, "discriminator": NO_NORM}),
    "stylegan2 apart": ("stylegan2", {"discriminator": {"width": 4, "widest": 8, "deviation": False}, "mixing": 0.5}),
}
SMALL = {"conv": {"width": 4}, "mlp": {"hidden": (12,)}}
# what makes the networks of a setting small, by its type
NARROW: dict[type, dict[str, Any]] = {
    NetworkSettings: SMALL,
    MappingSettings: {"width": 12},
    SynthesisSettings: {"width": 4, "widest": 8},
    JudgeSettings: {"width": 4, "widest": 8},
}
# a number added to all logits costs nothing, so that none is learnt, but for rounding
SHIFTED = ("hinge", "wasserstein", "wgan-gp", "relativistic", "ada")
CHOOSES = ("vamp",)  # among parts of the prior, even where nothing of the sample is chosen
CASES = {**{name: (name, {}) for name in FAMILIES}, **VARIANTS}
# What makes no sense, and what its refusal names instead; everything else must work.
BINARY, LABELLED = ("binary", "binary by class"), ("grey by class", "row by class", "rows by class")
PICTURES = ("grey", "colour", "grey by class", *BINARY)
REFUSED = {
    **{
        (name, kind): (str(SPECS[kind].shape), "use 'none'")
        for name in ("diffaugment", "ada")
        for kind in SPECS
        if kind not in PICTURES
    },
    **{
        (name, kind): ("binary", "use 'vae'")
        for name, (called, _) in CASES.items()
        if "gan" in called
        for kind in BINARY
    },
    **{
        (name, kind): (str(SPECS[kind].shape), "use 'gan'")
        for name, (called, _) in CASES.items()
        if called == "stylegan2"
        for kind in SPECS
        if kind not in PICTURES
    },
    **{
        (name, kind): (str(SPECS[kind].shape), "set model.warp to 0")
        for name in ("infogan", "infogan apart")
        for kind in SPECS
        if kind not in PICTURES
    },
    **{
        ("auxiliary", kind): ("labels", "--conditional") for kind in SPECS if kind not in (*LABELLED, "binary by class")
    },
}
SERVED = [(name, spec) for name in CASES for spec in SPECS if (name, spec) not in REFUSED]
each = pytest.mark.parametrize(("name", "kind"), SERVED)
each_with_condition = pytest.mark.parametrize(("name", "kind"), [pair for pair in SERVED if SPECS[pair[1]].condition])
OPTIONS = SampleSettings()


def family(name: str, kind: str, weights: int = 0) -> Family:
    """A small one: every network setting of the family made narrow."""
    torch.manual_seed(weights)
    called, settings = CASES[name]
    fields = FAMILIES[called].family.settings_type.model_fields
    networks = {field: NARROW[info.annotation] for field, info in fields.items() if info.annotation in NARROW}
    return build(called, {**networks, **settings}, SPECS[kind])


def data(kind: str, seed: int) -> tuple[Tensor, Tensor | None]:
    """A batch in model space, and which of three conditions each is asked for, where the Spec has them."""
    spec, generator = SPECS[kind], torch.Generator().manual_seed(seed)
    x = torch.rand(B, *spec.shape, generator=generator) * 2 - 1
    if spec.kind == "mixed":
        spans = Spans(spec)
        hot, places = x.split([sum(spans.modes), spans.places], 1)
        x = spans.row(spans.likeliest(hot), places)
    else:
        x = (x > 0).float() if spec.kind == "binary" else (x * 127.5 + 127.5).round() / 127.5 - 1
    return x, torch.randint(3, (B,), generator=generator) if spec.condition else None


def asked(kind: str, which: Tensor | None) -> Tensor | None:
    """Conditions 0, 1 and 2 as this Spec has them: a label each, or a row of which some columns are given."""
    condition = SPECS[kind].condition
    return which if which is None or condition is CLASSES else GIVEN[which]


def noise(key: int = 7) -> Noise:
    return Noise.whole(key, "cpu", B)


class ChangedInOneRow(Noise):
    """The same numbers but for row 2."""

    def _mine(self, numbers: Tensor) -> Tensor:
        changed = numbers.clone()
        changed[2] = 1 - changed[2]
        return changed


def losses(name: str, kind: str, built: Family | None = None) -> Iterator[tuple[Phase, Losses]]:
    x, which = data(kind, 1)
    for phase in (built or family(name, kind)).phases():
        yield phase, phase.loss(Batch(x, asked(kind, which), torch.tensor(0), noise()))


def in_turn(kind: str, n: int) -> Tensor | None:
    """All conditions in turn."""
    return asked(kind, torch.arange(n) % 3) if SPECS[kind].condition else None


def samples(built: Family, n: int, condition: Tensor | None, **how: Any) -> Tensor:
    with torch.no_grad():
        return built.eval().sample(n, condition, options=how.pop("options", OPTIONS), **{"seed": 1, **how})


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-5)


@each
def test_each_sample_has_a_cost(name: str, kind: str) -> None:
    for _, found in losses(name, kind):
        assert found.value.shape == (B,)
        assert found.value.dtype == torch.float32
        assert found.value.isfinite().all()
        assert found.value.requires_grad
        assert found.weight is None or found.weight.shape == (B,)
        for term in found.terms.values():
            assert term.shape == (B,)
            assert term.isfinite().all()
            assert not term.requires_grad


@each
def test_a_cost_is_of_its_sample_alone_or_the_phase_says_so(name: str, kind: str) -> None:
    built, (x, which), (other, _) = family(name, kind), data(kind, 1), data(kind, 2)
    changed = x.clone()
    changed[2] = other[2]
    changed_which = None if which is None else which.clone()
    if changed_which is not None:
        changed_which[2] = (changed_which[2] + 1) % 3
    for phase in built.phases():
        before = phase.loss(Batch(x, asked(kind, which), torch.tensor(0), noise())).value
        odd = ChangedInOneRow(**{field.name: getattr(noise(), field.name) for field in dataclasses.fields(Noise)})
        after = phase.loss(Batch(changed, asked(kind, changed_which), torch.tensor(0), odd)).value
        same = torch.isclose(before, after, rtol=1e-5, atol=1e-6).tolist()
        assert not same[2], phase.name
        if not couples_samples(built, phase):
            assert same == [True, True, False, True, True, True], phase.name


@each
def test_two_halves_cost_what_the_whole_costs(name: str, kind: str) -> None:
    # what two processes, or two accumulated micro-batches, see of one step
    built, (x, which) = family(name, kind), data(kind, 1)
    condition = asked(kind, which)
    for phase in built.phases():
        if couples_samples(built, phase):
            continue
        whole = phase.loss(Batch(x, condition, torch.tensor(0), noise())).value
        parts = []
        for start, stop in ((0, 2), (2, B)):
            mine = Noise(7, torch.device("cpu"), B, start, stop - start)
            some = None if condition is None else condition[start:stop]
            parts.append(phase.loss(Batch(x[start:stop], some, torch.tensor(0), mine)).value)
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)


@each
def test_costs_are_functions_of_their_noise(name: str, kind: str) -> None:
    built = family(name, kind)
    first = list(losses(name, kind, built))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    for (phase, before), (_, after) in zip(first, losses(name, kind, built), strict=True):
        assert torch.equal(before.value, after.value), phase.name
    assert torch.equal(torch.get_rng_state(), state)


@each
def test_phases_together_move_every_parameter(name: str, kind: str) -> None:
    built = family(name, kind)
    reached: set[str] = set()
    names = {id(parameter): label for label, parameter in built.named_parameters()}
    for phase, found in losses(name, kind, built):
        own = [parameter for module in phase.modules for parameter in getattr(built, module).parameters()]
        gradients = torch.autograd.grad(found.value.mean(), own, allow_unused=True)
        for parameter, gradient in zip(own, gradients, strict=True):
            assert gradient is None or gradient.isfinite().all()
            if gradient is not None and gradient.abs().max() > 0:
                reached.add(names[id(parameter)])
    biases = [label for label in names.values() if label.startswith("discriminator") and label.endswith("bias")]
    assert set(names.values()) - reached - set(biases[-1:] if name in SHIFTED else []) == set()


@each
def test_phases_name_what_there_is(name: str, kind: str) -> None:
    built = family(name, kind)
    phases, optimisers = built.phases(), built.optimisers()
    assert len({phase.name for phase in phases}) == len(phases)
    assert {phase.optimiser for phase in phases} == set(optimisers)
    assert all(phase.every >= 1 for phase in phases)
    modules = dict(built.named_children())
    assert {module for phase in phases for module in phase.modules} <= modules.keys()
    assert set(built.roles) <= modules.keys()
    shared: dict[str, set[str]] = {}  # an optimiser moves the same modules in every phase that uses it
    for phase in phases:
        assert shared.setdefault(phase.optimiser, set(phase.modules)) == set(phase.modules)
    moved = [module for modules in shared.values() for module in modules]
    assert len(moved) == len(set(moved))  # and no other does


@each
def test_samples_are_what_the_spec_says(name: str, kind: str) -> None:
    spec, found = SPECS[kind], samples(family(name, kind), 5, in_turn(kind, 5))
    assert found.shape == (5, *spec.shape)
    assert found.dtype == torch.float32
    assert found.max() <= 1
    assert found.min() >= (0 if spec.kind == "binary" else -1)
    assert found.std() > 0
    if spec.kind == "mixed":
        hot, places = found.split([sum(MODES), 2], 1)
        assert set(hot.flatten().tolist()) == {0, 1}
        assert all((part.sum(1) == 1).all() for part in hot.split(MODES, 1))
        assert ((places != 0) == (hot @ Spans(spec).ranges > 0)).all()


@each
def test_samples_are_functions_of_their_seed(name: str, kind: str) -> None:
    built, condition = family(name, kind), in_turn(kind, 5)
    first = samples(built, 5, condition, seed=1)
    torch.manual_seed(99)
    assert torch.equal(samples(built, 5, condition, seed=1), first)
    other = samples(built, 5, condition, seed=2)
    assert all(not close(*pair) for pair in zip(first, other, strict=True))
    assert all(not close(first[i], first[j]) for i in range(5) for j in range(i))


@each
def test_samples_do_not_depend_on_chunks(name: str, kind: str) -> None:
    built = family(name, kind)
    first, chunks = LATENT_BLOCK - 4, [1, 2, 1, 0, 5]  # over the edge of a block of latents
    condition = in_turn(kind, sum(chunks))
    whole = samples(built, sum(chunks), condition, first=first)
    parts, done = [], 0
    for count in chunks:
        some = None if condition is None else condition[done : done + count]
        parts.append(samples(built, count, some, first=first + done))
        done += count
    assert close(torch.cat(parts), whole)
    named = torch.tensor([7, 0, 2, 7])
    some = None if condition is None else condition[named]
    assert close(samples(built, 4, some, first=first + named), whole[named])
    if condition is None:
        assert close(samples(built, first + 2, None)[first:], whole[:2])


@each
def test_sampling_changes_nothing(name: str, kind: str) -> None:
    built = family(name, kind)
    before = {key: value.clone() for key, value in built.state_dict().items()}
    state = torch.get_rng_state()
    samples(built, 3, in_turn(kind, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in built.state_dict().items())


def alike(seed: int, start: int, count: int, size: int) -> Tensor:
    """In place of ``choices``: the same for every sample."""
    return torch.rand(size, generator=torch.Generator().manual_seed(seed)).expand(count, size)


# categories of an InfoGAN are as likely at any temperature, which tests of its own say
@pytest.mark.parametrize(("name", "kind"), [pair for pair in SERVED if CASES[pair[0]][0] != "infogan"])
def test_without_temperature_all_samples_are_one_but_for_choices(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = family(name, kind)
    condition = asked(kind, torch.zeros(4, dtype=torch.int64)) if SPECS[kind].condition else None
    chosen, others = (samples(built, 4, condition, options=SampleSettings(temperature=0), seed=seed) for seed in (1, 2))
    for module in {kin.__module__ for kin in type(built).mro()} | {"ficta.models.priors"}:
        if hasattr(sys.modules[module], "choices"):
            monkeypatch.setattr(sys.modules[module], "choices", alike)
    cold = samples(built, 4, condition, options=SampleSettings(temperature=0))
    assert close(cold, cold[:1].expand_as(cold))
    assert not close(cold, samples(built, 4, condition))
    for one, other in ((chosen, cold), (chosen, others)):
        assert close(one, other) != (SPECS[kind].kind == "mixed" or name in CHOOSES)


@each_with_condition
def test_samples_obey_their_own_condition(name: str, kind: str) -> None:
    built = family(name, kind)
    pure = [samples(built, 6, asked(kind, torch.full((6,), which))) for which in range(3)]
    for which in (1, 2):  # the same latents, another condition; what is cut to the data's range may be cut alike
        assert sum(not close(*pair) for pair in zip(pure[0], pure[which], strict=True)) >= 4
    order = torch.tensor([2, 0, 1, 1, 0, 2])
    picked = torch.stack([pure[which][row] for row, which in enumerate(order.tolist())])
    assert close(samples(built, 6, asked(kind, order)), picked)


@each
def test_weights_are_all_there_is(name: str, kind: str) -> None:
    built, other = family(name, kind), family(name, kind, weights=1)
    condition = in_turn(kind, 5)
    assert not close(samples(built, 5, condition), samples(other, 5, condition))
    state: Mapping[str, Tensor] = built.state_dict()
    other.load_state_dict(state)
    assert torch.equal(samples(built, 5, condition), samples(other, 5, condition))
    for (_, one), (_, two) in zip(losses(name, kind, built), losses(name, kind, other), strict=True):
        assert torch.equal(one.value, two.value)


@pytest.mark.parametrize(("name", "kind"), list(REFUSED))
def test_what_makes_no_sense_is_refused_with_the_way_out(name: str, kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        family(name, kind)
    assert all(word in str(caught.value) for word in REFUSED[name, kind])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_says_where_it_comes_from(name: str) -> None:
    entry = FAMILIES[name]
    assert 1950 < entry.year < 2100
    assert entry.paper.startswith("arXiv:")
    assert entry.title
    for field, info in entry.family.settings_type.model_fields.items():
        assert info.description, field
