"""Fitting a prior to the latents of a trained run; it is kept beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ficta.base.progress import Progress, silent
from ficta.base.seeds import mix
from ficta.compute import device as machine
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.dataset import Dataset, Split, Store
from ficta.models.family import Batch, Infers, Losses, Objective, OptimiserSettings, Phase
from ficta.models.fitted import Flow, Mixture
from ficta.models.priors import Prior
from ficta.runs.run import Run
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper

CHUNK = 512
LATENTS = 20_000  # training items whose latents a mixture is fitted to
UNSEEN = 2000  # validation items whose latents decide between mixtures
BATCH, EPOCHS, MOST_SAMPLES = 256, 50, 1_000_000  # of a flow: as many passes as that many samples allow
CPU = torch.device("cpu")


class Fit(Objective):
    """A prior that learns the latents of a trained family, drawn anew for each batch."""

    def __init__(self, family: Infers, prior: Prior) -> None:
        super().__init__()
        self.spec, self.prior = family.spec, prior
        self._family = (family,)  # in a tuple, as it is not to be trained

    def phases(self) -> Sequence[Phase]:
        """One: the cost of latents under the prior."""
        return [Phase("prior_nats", ("prior",), self.loss, "main")]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One."""
        return {"main": OptimiserSettings(rate=1e-3)}

    def loss(self, batch: Batch) -> Losses:
        """-log p(z) of a draw from each posterior, in nats (B,)."""
        with torch.no_grad():
            z = self._family[0].infer(batch)
        return Losses(-self.prior.log_density(z, z.new_empty(len(z), 0)), {})


def fit_prior(run: Run, dataset: Dataset, name: str, progress: Progress = silent) -> None:
    """Fit a prior of this name to the training split's latents, unless that was done; keep it in the run.

    Args:
        run: a trained run.
        dataset: its data.
        name: ``mixture`` or ``flow``; ``trained`` and ``normal`` need no fit.
        progress: told about it.

    Raises:
        UsageError: no such prior, or the family has no posterior.
    """
    if not run.lacks_prior(name):
        return
    family, seed = run.family, int(run.recipe["seed"])
    assert isinstance(family, Infers)  # else it would have been refused
    with run.inference(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, "prior"))
        run.keep_prior(name, FITS[name](family, dataset, seed, progress))


def _mixture(family: Infers, dataset: Dataset, seed: int, progress: Progress) -> Mixture:
    train, unseen = dataset.splits["train"], dataset.splits["validation"]
    progress("latents", 0, 2)
    z = _latents(family, dataset.codec, train, LATENTS, seed)
    others = _latents(family, dataset.codec, unseen, UNSEEN, seed) if len(unseen) else z
    progress("latents", 1, 2)
    mixture = Mixture.fit(z.double().numpy(), others.double().numpy(), mix(seed, "mixture"))
    progress("latents", 2, 2)
    return mixture


def _flow(family: Infers, dataset: Dataset, seed: int, progress: Progress) -> Flow:
    """By the steps that every run takes; the rate falls to 0 along a cosine."""
    split = dataset.splits["train"]
    flow = Flow(family.latent_dim)
    flow.start_at(_latents(family, dataset.codec, split, LATENTS, seed))
    batch, target = min(BATCH, len(split)), min(MOST_SAMPLES, EPOCHS * len(split))
    settings = TrainSettings(batch=batch, decay="cosine", ema_samples=0)
    way = machine.Way(torch.get_num_threads())
    with torch.enable_grad():
        fit = Fit(family, flow)
        stepper = Stepper(fit, dataset.codec, Store(split, CPU, 0), settings, target, seed, CPU, Collectives(), way)
        while stepper.seen < target:
            stepper.advance()
            progress("flow", min(stepper.seen, target), target)
    return flow.eval().requires_grad_(False)


def _latents(family: Infers, codec: Codec, split: Split, most: int, seed: int) -> Tensor:
    """A draw from the posterior of each of some random items, float32 (n, latent_dim)."""
    store, generator = Store(split, CPU, 0), torch.Generator().manual_seed(mix(seed, "latents"))
    chosen = torch.randperm(len(split), generator=generator)[:most]

    def drawn() -> Iterator[Tensor]:
        for start, rows in enumerate(torch.split(chosen, CHUNK)):
            stored, labels = store.gather(rows)
            noise = Noise.whole(mix(seed, "latents", start), CPU, len(rows))
            data = codec.encode(stored, noise.fork("data"))
            condition = codec.condition(family.spec, data, labels, noise.fork("condition"))
            yield family.infer(Batch(data, condition, torch.zeros((), dtype=torch.int64), noise))

    return torch.cat(list(drawn()))


FITS: dict[str, Callable[[Infers, Dataset, int, Progress], Prior]] = {"mixture": _mixture, "flow": _flow}
