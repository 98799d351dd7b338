"""The optimiser against torch's own classes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ficta.compute.adam import Adam


def weights() -> list[nn.Parameter]:
    """Parameters in plain and in channels-last order."""
    torch.manual_seed(0)
    shapes = [(4, 3, 3, 3), (5,), (2, 7), ()]
    made = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    made[0].data = made[0].data.to(memory_format=torch.channels_last)
    return made


def gradients(number: int) -> list[Tensor]:
    """Of each parameter at a step, in plain order."""
    torch.manual_seed(number + 1)
    return [torch.randn(parameter.shape) for parameter in weights()]


@pytest.mark.parametrize(("decoupled", "reference"), [(False, torch.optim.Adam), (True, torch.optim.AdamW)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_moves_weights_as_torchs_class_does(
    decoupled: bool, reference: type[torch.optim.Adam], decay: float
) -> None:
    mine, theirs = weights(), weights()
    adam = Adam(mine, (0.8, 0.95), 1e-6, decay, decoupled=decoupled)
    other = reference(theirs, lr=0.0, betas=(0.8, 0.95), eps=1e-6, weight_decay=decay, foreach=False)
    for number, rate in enumerate([0.1, 0.05, 0.0, 0.2]):
        adam.step(mine, gradients(number), rate)
        for parameter, gradient in zip(theirs, gradients(number), strict=True):
            parameter.grad = gradient
        other.param_groups[0]["lr"] = rate
        other.step()
    for one, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-6)


def test_the_first_step_is_the_rate_whatever_the_size_of_the_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    Adam([parameter], (0.9, 0.999), 0.0, 0.0, decoupled=False).step([parameter], [torch.tensor([1e-3, -1e3])], 0.25)
    torch.testing.assert_close(parameter.data, torch.tensor([-0.25, 0.25]))  # Alg. 1: m/c over root of v/c is a sign


def test_those_not_named_stay_and_count_no_step() -> None:
    mine = weights()
    before = [parameter.detach().clone() for parameter in mine]
    adam = Adam(mine, (0.9, 0.99), 1e-8, 0.0, decoupled=False)
    adam.step(mine[1:3], gradients(0)[1:3], 0.1)
    assert [bool(torch.equal(now, then)) for now, then in zip(mine, before, strict=True)] == [True, False, False, True]
    assert {name.split("/")[0] for name in adam.state()} == {"1", "2"}


def test_a_restored_one_goes_on_with_the_same_bits() -> None:
    ends = []
    for stops in (False, True):
        mine = weights()
        adam = Adam(mine, (0.9, 0.99), 1e-8, 0.01, decoupled=True)
        for number in range(6):
            adam.step(mine, gradients(number), 0.1)
            if stops and number == 2:
                kept = {
                    name: value.clone(memory_format=torch.contiguous_format) for name, value in adam.state().items()
                }
                adam = Adam(mine, (0.9, 0.99), 1e-8, 0.01, decoupled=True)
                adam.restore(kept)
        ends.append([parameter.detach().clone() for parameter in mine])
    for straight, resumed in zip(*ends, strict=True):
        assert torch.equal(straight, resumed)


def test_training_imports_nothing_slow(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ficta import api; from ficta.train import session\n"
        "slow = {'scipy.stats', 'sklearn'} & set(sys.modules)\n"
        "recipe = api.recipe_for('vae', 'digits', {'train': {'samples': 64, 'threads': 1, 'reports': 1}})\n"
        "session.train(recipe, Path(sys.argv[1]))\n"
        "print(slow | ({'torch._dynamo'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"  # each would cost half a second or more
