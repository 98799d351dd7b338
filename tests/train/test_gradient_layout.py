"""A gradient reaches the weight it belongs to, whatever the memory order it comes in."""

import copy

import numpy as np
import pytest
import torch

from ficta.base.seeds import mix
from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.device import Way
from ficta.compute.noise import Noise
from ficta.data.dataset import Split, Store
from ficta.data.images import ImageCodec, ImageSettings
from ficta.models.family import Batch
from ficta.models.registry import build
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper

BATCH = 8


@pytest.mark.parametrize("family", ["vae", "gan"])
def test_a_step_moves_every_weight_as_plain_backward_and_plain_adam_would(family: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (32, 3, 12, 12), dtype=np.uint8)
    codec = ImageCodec(ImageSettings())
    codec.fit([pictures], conditional=False, labels=())
    spec = Spec(("channel", "height", "width"), (3, 12, 12), "continuous", 256)
    network = {"conv": {"width": 8}}
    roles = ("encoder", "decoder") if family == "vae" else ("generator", "discriminator")
    torch.manual_seed(0)
    model = build(family, dict.fromkeys(roles, network), spec)
    plain = copy.deepcopy(model)  # weights in plain order, differentiated and moved the tutorial's way
    settings = TrainSettings(batch=BATCH, ema_samples=0, threads=1)
    store = Store(Split(pictures, np.arange(32), None), torch.device("cpu"), 10**9)
    stepper = Stepper(model, codec, store, settings, 1000, 0, torch.device("cpu"), Collectives(), Way(threads=1))

    data = codec.encode(store.gather(stepper.order.indices(0, BATCH))[0])
    optimisers = {
        name: torch.optim.Adam(
            {
                p
                for phase in plain.phases()
                if phase.optimiser == name
                for module in phase.modules
                for p in getattr(plain, module).parameters()
            },
            lr=chosen.rate, betas=chosen.betas, eps=chosen.epsilon, foreach=False,
        )
        for name, chosen in plain.optimisers().items()
    }  # fmt: skip
    for phase in plain.phases():
        noise = Noise.whole(mix(0, "step", phase.name, 0), "cpu", BATCH)
        plain.zero_grad()
        phase.loss(Batch(data, None, torch.zeros((), dtype=torch.int64), noise)).value.mean().backward()
        for module in set(plain._modules) - set(phase.modules):
            plain._modules[module].zero_grad()
        optimisers[phase.optimiser].step()
    stepper.advance()

    for (name, mine), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-5, msg=name)
