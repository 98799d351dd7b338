"""What discriminator and generator each minimise, given the logits of real and of generated samples."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Side = Callable[[Tensor, Tensor], Tensor]


class Pair(NamedTuple):
    """The two sides of an adversarial loss: ``(real_logits, fake_logits) -> (B,)`` each.

    Attributes:
        discriminator: what it minimises.
        generator: what it minimises.
        undecided: logit of a sample that is as likely real as generated.
        relative: whether a number added to all logits changes nothing, so that a logit by itself says nothing.
        paired: whether the generator looks at real logits, too.
    """

    discriminator: Side
    generator: Side
    undecided: float = 0.0
    relative: bool = False
    paired: bool = False


def logistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), with D = sigmoid(logit) (Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,). Not averaged; 2 log 2 for a discriminator that cannot tell.
    """
    return F.softplus(-real_logits) + F.softplus(fake_logits)


def non_saturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(G(z)): same fixed point as the minimax game, strong gradients early on (ibid., Sec. 3).

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,). Not averaged.
    """
    return F.softplus(-fake_logits)


def minimax_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """log(1 - D(G(z))): the game as written (ibid., Eq. 1); its gradient vanishes where the generator is bad.

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost in nats, float (B,), never positive. Not averaged.
    """
    return -F.softplus(fake_logits)


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Half the squared distances to 1 for real and to 0 for generated (Mao et al. 2017, arXiv:1611.04076, Eq. 9).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,).

    Returns:
        Cost, a number without a unit, float (B,), at least 0. Not averaged; 1/4 where all
        logits are 1/2.
    """
    return 0.5 * ((real_logits - 1).square() + fake_logits.square())


def least_squares_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Half the squared distance to 1 (ibid., Eq. 9).

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost, a number without a unit, float (B,), at least 0. Not averaged.
    """
    return 0.5 * (fake_logits - 1).square()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What is missing to a margin of 1 on either side of 0 (Lim & Ye 2017; Miyato et al. 2018, Eq. 16).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,).

    Returns:
        Cost, a number without a unit, float (B,), at least 0. Not averaged; 2 for a discriminator that cannot tell.
    """
    return F.relu(1 - real_logits) + F.relu(1 + fake_logits)


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Minus the difference of the logits (Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2).

    Its mean is minus a distance for a discriminator of slope 1, which clipped weights or a penalty see to.

    Args:
        real_logits: float (B,).
        fake_logits: float (B,).

    Returns:
        Cost, a number without a unit, float (B,). Not averaged.
    """
    return fake_logits - real_logits


def raising_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Minus the logit: of the hinge (Miyato et al. 2018, Eq. 17) and of Wasserstein (Arjovsky et al. 2017, Thm. 3).

    Args:
        real_logits: float (B,); not used.
        fake_logits: float (B,).

    Returns:
        Cost, a number without a unit, float (B,). Not averaged.
    """
    return -fake_logits


def relativistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log sigmoid of how much more real a real sample looks than its partner (Jolicoeur-Martineau 2018, Sec. 4.1).

    arXiv:1807.00734; the loss of R3GAN (Huang et al. 2024, arXiv:2501.05441, Eq. 2).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,), row i is the partner of row i.

    Returns:
        Cost in nats, float (B,). Not averaged; log 2 for a discriminator that cannot tell.
    """
    return F.softplus(fake_logits - real_logits)


def relativistic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The same with the sides exchanged (ibid.).

    Args:
        real_logits: float (B,).
        fake_logits: float (B,), row i is the partner of row i.

    Returns:
        Cost in nats, float (B,). Not averaged.
    """
    return F.softplus(real_logits - fake_logits)


ADVERSARIAL: dict[str, Pair] = {
    "non-saturating": Pair(logistic_discriminator, non_saturating_generator),
    "minimax": Pair(logistic_discriminator, minimax_generator),
    "least-squares": Pair(least_squares_discriminator, least_squares_generator, undecided=0.5),
    "hinge": Pair(hinge_discriminator, raising_generator),
    "wasserstein": Pair(wasserstein_discriminator, raising_generator, relative=True),
    "relativistic": Pair(relativistic_discriminator, relativistic_generator, relative=True, paired=True),
}
