"""One training step: every phase's turn on a fresh batch, whatever the family and the number of processes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ficta.base.errors import FictaError, UsageError
from ficta.base.seeds import mix
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.dataset import Order, Store
from ficta.models.family import Batch, Losses, Objective, Phase, couples_samples
from ficta.train.recipe import TrainSettings

EMA_RAMP = 0.05  # the average's half-life is at most this share of what was seen, as in StyleGAN2-ADA's training code


Model = TypeVar("Model", bound=Objective)


@dataclasses.dataclass(frozen=True)
class Micro:
    """A micro-batch: its data, and which rows of the whole step it holds."""

    data: Tensor
    condition: Tensor | None
    start: int


class Stepper(Generic[Model]):
    """A family, or another objective, in training: weights, their average, optimisers, how far they have come."""

    def __init__(
        self,
        family: Model,
        codec: Codec,
        store: Store,
        settings: TrainSettings,
        target: int,
        seed: int,
        device: torch.device,
        collectives: Collectives,
        way: machine.Way,
    ) -> None:
        self.way = way
        self.family: Model = machine.lay_out(family.to(device).train(), way.layout)
        self.average = copy.deepcopy(self.family).requires_grad_(False).eval() if settings.ema_samples else self.family
        self.averaged = averaged(self.average), averaged(self.family)
        if way.compile:
            for network in self.family.children():
                network.compile(mode="reduce-overhead")  # on CUDA as a graph, which is launched as a whole
        self.phases = list(family.phases())
        parts = settings.accumulate * collectives.ranks
        if parts > 1 and any(couples_samples(family, phase) for phase in self.phases):
            raise UsageError(
                "this cost couples the samples of a batch (free bits, total correlation, discrepancy, batch "
                "normalisation and minibatch deviation do), so a batch in several parts would train something else: "
                "set train.accumulate = 1 and --devices 1, or settings such as norm = 'group' that do not couple them"
            )
        self.parameters = {phase.name: _parameters(family, phase) for phase in self.phases}
        self.optimisers = {
            name: optimiser.build(
                _unique(self.parameters[phase.name] for phase in self.phases if phase.optimiser == name)
            )
            for name, optimiser in family.optimisers().items()
        }
        self.rates = {name: settings.rate for name, settings in family.optimisers().items()}
        self.settings, self.target, self.seed, self.device, self.collectives = (
            settings,
            target,
            seed,
            device,
            collectives,
        )
        self.codec, self.store, self.order = codec, store, Order(len(store), seed, store.weights)
        self.seen = 0
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self._seen_on_device = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def samples_a_step(self) -> int:
        """Samples that a step sees, over all processes and micro-batches."""
        return self.settings.batch * self.settings.accumulate * self.collectives.ranks

    def as_written(self) -> AbstractContextManager[Any]:
        """Context in which the networks are not compiled: for double backward, and for batches of other sizes."""
        return machine.not_compiled() if self.way.compile else nullcontext()

    def advance(self) -> None:
        """Take one step."""
        self._seen_on_device.fill_(self.seen)
        machine.seed_layers(mix(self.seed, "layers", self.seen, self.collectives.rank), self.device)
        micros = list(self._micros())
        for phase in self.phases:
            if self.step % phase.every == 0:
                self._turn(phase, micros)
        self.family.after_step(self._seen_on_device, self.collectives)
        self.seen += self.samples_a_step
        self.step += 1
        self._average()

    def _micros(self) -> Iterator[Micro]:
        """This process's share of the step: row k of the step is position ``seen + k`` of the order."""
        for turn in range(self.settings.accumulate):
            start = (turn * self.collectives.ranks + self.collectives.rank) * self.settings.batch
            place = self.seen + start, self.settings.batch
            stored, labels = self.store.gather(self.order.indices(*place))
            noise = self._noise("data", start)
            data = machine.lay_out_batch(self.codec.encode(stored, noise), self.way.layout)
            condition = self.codec.condition(
                self.family.spec, data, labels, noise.fork("condition"), self.order.weighted(*place)
            )
            yield Micro(data, condition, start)

    def _noise(self, name: str, start: int) -> Noise:
        key = mix(self.seed, "step", name, self.seen)
        return Noise(key, self.device, self.samples_a_step, start, self.settings.batch)

    def _turn(self, phase: Phase, micros: list[Micro]) -> None:
        """Gradient of the phase's mean cost over the whole step, then its optimiser."""
        if self.way.compile:
            machine.begin_graphs(self.device)
        parameters = self.parameters[phase.name]
        gradients: list[Tensor] | None = None
        weights: list[Tensor] = []
        for micro in micros:
            batch = Batch(micro.data, micro.condition, self._seen_on_device, self._noise(phase.name, micro.start))
            with (
                self.as_written() if phase.second_order else nullcontext(),
                machine.autocast(self.device, self.way.precision),
            ):
                losses = phase.loss(batch)
            mean = losses.value.sum() / self.samples_a_step
            parts = torch.autograd.grad(mean, parameters, allow_unused=phase.second_order)
            found = [torch.zeros_like(p) if part is None else part for p, part in zip(parameters, parts, strict=True)]
            gradients = found if gradients is None else list(torch._foreach_add(gradients, found))
            if losses.weight is not None:
                weights.append(losses.weight.sum())
            self._count(phase, losses)
        assert gradients is not None
        if weights:
            *gradients, weight = self.collectives.sum([*gradients, torch.stack(weights).sum()])
            torch._foreach_mul_(gradients, self.samples_a_step / weight)
        else:
            gradients = self.collectives.sum(gradients)
        if self.settings.clip_norm is not None:
            _clip(gradients, self.settings.clip_norm)
        rate = self.rates[phase.optimiser] * rate_factor(self.settings, self.seen, self.target)
        self.optimisers[phase.optimiser].step(parameters, gradients, rate)

    def _count(self, phase: Phase, losses: Losses) -> None:
        """Add to the sums that the next report divides; nothing here waits for the device."""
        values = torch.stack([losses.value.detach(), *losses.terms.values()]).sum(1, dtype=torch.float64)
        rows = torch.stack([values, torch.full_like(values, len(losses.value))], 1)
        for name, row in zip([phase.name, *losses.terms], rows.unbind(), strict=True):
            self.sums[name] = self.sums[name] + row if name in self.sums else row

    def take_means(self) -> dict[str, float]:
        """Mean of each loss and term since the last call, over all processes."""
        names = sorted(self.sums)
        summed = self.collectives.sum([self.sums[name] for name in names])
        self.sums = {}
        return {name: (row[0] / row[1]).item() for name, row in zip(names, summed, strict=True)}

    def _average(self) -> None:
        if self.average is self.family:
            return
        half_life = min(self.settings.ema_samples, self.seen * EMA_RAMP)
        keep = 0.5 ** (self.samples_a_step / max(half_life, 1e-8))
        with torch.no_grad():
            averages, latest = self.averaged
            torch._foreach_lerp_(list(averages.values()), list(latest.values()), 1 - keep)
            for (name, mine), theirs in zip(self.average.named_buffers(), self.family.buffers(), strict=True):
                if name not in averages:
                    mine.copy_(theirs)

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """All that going on needs: named tensors, and facts as strings."""
        tensors = {f"weights/{name}": value for name, value in self.family.state_dict().items()}
        if self.average is not self.family:
            tensors |= {f"average/{name}": value for name, value in self.average.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            tensors |= {f"optimiser/{name}/{key}": value for key, value in optimiser.state().items()}
        tensors |= {f"sums/{name}": value for name, value in self.sums.items()}
        return tensors, {
            "progress": json.dumps({"seen": self.seen, "step": self.step, "ranks": self.collectives.ranks})
        }

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        """Become what ``state`` described, bit for bit.

        Raises:
            FictaError: another number of processes; the order of samples would change.
        """
        progress = json.loads(facts["progress"])
        if progress["ranks"] != self.collectives.ranks:
            raise FictaError(f"this run was trained by {progress['ranks']} processes; go on with as many")
        self.seen, self.step = progress["seen"], progress["step"]
        self.family.load_state_dict(_below(tensors, "weights/"))
        if self.average is not self.family:
            self.average.load_state_dict(_below(tensors, "average/"))
        for name, optimiser in self.optimisers.items():
            optimiser.restore(_below(tensors, f"optimiser/{name}/"))
        if self.collectives.leads:  # these are its own; what the others had counted is lost to the next report
            self.sums = {name: value.to(self.device) for name, value in _below(tensors, "sums/").items()}

    def is_finite(self) -> bool:
        """Whether every weight is a number; a state that is not is never saved."""
        return all(
            bool(value.isfinite().all()) for name, value in self.state()[0].items() if not name.startswith("sums/")
        )


def averaged(family: nn.Module) -> dict[str, Tensor]:
    """Of what an average is kept: parameters, and batch normalisation's running statistics, which belong to them."""
    found: dict[str, Tensor] = dict(family.named_parameters())
    for name, module in family.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            statistics = {"running_mean": module.running_mean, "running_var": module.running_var}
            found |= {f"{name}.{key}": value for key, value in statistics.items() if value is not None}
    return found


def rate_factor(settings: TrainSettings, seen: int, target: int) -> float:
    """What the learning rate is multiplied by: rises linearly, stays or falls to 0 at ``target`` samples."""
    if seen < settings.warmup_samples:
        return seen / settings.warmup_samples
    left = max(0.0, 1 - (seen - settings.warmup_samples) / max(1, target - settings.warmup_samples))
    match settings.decay:
        case "linear":
            return left
        case "cosine":
            return 0.5 * (1 - math.cos(math.pi * left))
        case _:
            return 1.0


def _parameters(family: Objective, phase: Phase) -> list[nn.Parameter]:
    return [p for name in phase.modules for p in getattr(family, name).parameters() if p.requires_grad]


def _unique(groups: Iterator[list[nn.Parameter]]) -> list[nn.Parameter]:
    return list({id(p): p for group in groups for p in group}.values())


def _clip(gradients: list[Tensor], longest: float) -> None:
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (longest / (length + 1e-12)).clamp(max=1))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
