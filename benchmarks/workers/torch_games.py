"""The other GANs of bench.py --quick in plain PyTorch: networks, and training steps as one writes them by hand.

As ``torch_families.py`` says: nothing is computed twice, and no gradient that nobody reads. Like the GAN of
``torch_steps.py`` the generator is judged by fresh samples, not by those that the discriminator has just learnt from.
Lazy penalties are updates of their own, every so many steps from the first on, and count as much more.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_families import LEAK, Step, adam, backward
from torch_networks import discriminator, trunk, upward

LATENT_DIM = 64
BETAS = (0.0, 0.99)
R1_EVERY = 16
HALF = math.sqrt(0.5)

DCGAN_DIM, DCGAN_WIDTH = 100, 32
RESNET_WIDTH = 8
RESNET_SIZES = (4, 7, 14, 28)
SLOPE_WEIGHT, GENERATOR_EVERY = 10.0, 5
KINDS, CONTINUOUS, FEATURES = 10, 2, 128
WARP = (
    0.25,
    0.25,
    0.15,
    0.15,
    0.08,
    0.08,
)  # deviations of angle, slant, log sides, ways in halves of a side
SIZES = (28, 14, 7, 4)
WIDTHS = (8, 16, 32, 64)  # of both networks of StyleGAN2, from the finest grid to the coarsest
STYLE, MAPPING_RATE = 128, 0.01
LAYERS = 2 * len(SIZES)
MIXING, STYLE_SHARE = 0.9, 0.02
PATH_WEIGHT, PATH_EVERY, PATH_SHARE = 2.0, 4, 0.01
GROUP = 4
GAIN = math.sqrt(2)
LEAST = 1e-8


class Game(nn.Module):
    """Two networks."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's cost, from logits."""
    return (F.softplus(-real) + F.softplus(fake)).mean()


def gradient_of(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Float (B, numbers); a gradient of it can be taken."""
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    return gradient.flatten(1)


def r1(judge: nn.Module, real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018), as much of it as the steps until the next one need."""
    real = real.detach().requires_grad_()
    logits = judge(real)[:, 0]
    return R1_EVERY * 0.5 * gradient_of(logits, real).square().sum(1).mean()


def dcgan() -> Game:
    """The networks of Radford et al. 2016, without their coarsest grid."""
    fine, middle, coarse = (DCGAN_WIDTH * 2**level for level in range(3))
    generator = nn.Sequential(
        nn.Linear(DCGAN_DIM, 3 * 3 * coarse),
        nn.BatchNorm1d(3 * 3 * coarse),
        nn.ReLU(),
        nn.Unflatten(1, (coarse, 3, 3)),
        nn.ConvTranspose2d(coarse, middle, 4, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.ConvTranspose2d(middle, fine, 4, stride=2, padding=1),
        nn.BatchNorm2d(fine),
        nn.ReLU(),
        nn.ConvTranspose2d(fine, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )
    judge = nn.Sequential(
        nn.Conv2d(1, fine, 4, stride=2, padding=1),
        nn.LeakyReLU(LEAK),
        nn.Conv2d(fine, middle, 4, stride=2, padding=1),
        nn.BatchNorm2d(middle),
        nn.LeakyReLU(LEAK),
        nn.Conv2d(middle, coarse, 4, stride=2, padding=1),
        nn.BatchNorm2d(coarse),
        nn.LeakyReLU(LEAK),
        nn.Flatten(),
        nn.Linear(3 * 3 * coarse, 1),
    )
    return Game(generator, judge)


def dcgan_step(model: Game) -> Step:
    """Discriminator, then generator; real and generated pictures are judged apart, as each have statistics."""
    generate, judge = model.generator, model.discriminator
    optimizers = [adam(network, lr=2e-4, betas=(0.5, 0.999)) for network in (judge, generate)]

    def step(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generate(torch.randn(len(real), DCGAN_DIM))
        loss = told_apart(judge(real), judge(fake))
        backward(optimizers[0], loss)
        optimizers[0].step()
        backward(optimizers[1], F.softplus(-judge(generate(torch.randn(len(real), DCGAN_DIM)))).mean())
        optimizers[1].step()
        return loss

    return step


class Down(nn.Module):
    """A residual block that halves the sides; an odd one is rounded up."""

    def __init__(self, before: int, after: int, first: bool) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut, self.first = nn.Conv2d(before, after, 1), first

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, before, H, W) => float (B, after, half of H and W)."""
        residual = self.two(F.relu(self.one(x if self.first else F.relu(x))))
        past = self.shortcut(F.avg_pool2d(x, 2, ceil_mode=True))
        return HALF * (F.avg_pool2d(residual, 2, ceil_mode=True) + past)


class Up(nn.Module):
    """A residual block that doubles the sides, or nearly."""

    def __init__(self, before: int, after: int, size: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, before, H, W) => float (B, after, size, size)."""
        residual = self.two(F.relu(self.one(F.interpolate(F.relu(x), self.size))))
        return HALF * (residual + F.interpolate(self.shortcut(x), self.size))


def resnet() -> Game:
    """Residual networks like those of Miyato et al. 2018."""
    fine, middle, coarse = (RESNET_WIDTH * 2**level for level in range(3))
    smallest, *sizes = RESNET_SIZES
    generator = nn.Sequential(
        nn.Linear(LATENT_DIM, smallest**2 * coarse),
        nn.Unflatten(1, (coarse, smallest, smallest)),
        Up(coarse, middle, sizes[0]),
        Up(middle, fine, sizes[1]),
        Up(fine, fine, sizes[2]),
        nn.ReLU(),
        nn.Conv2d(fine, 1, 3, padding=1),
        nn.Tanh(),
    )
    judge = nn.Sequential(
        Down(1, fine, first=True),
        Down(fine, middle, first=False),
        Down(middle, coarse, first=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(smallest**2 * coarse, 1),
    )
    return Game(generator, judge)


def resnet_step(model: Game) -> Step:
    """Discriminator, R1 now and then, generator."""
    generate, judge = model.generator, model.discriminator
    optimizers = [adam(network, betas=BETAS) for network in (judge, generate)]
    steps = itertools.count()

    def step(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generate(torch.randn(len(real), LATENT_DIM))
        loss = told_apart(*judge(torch.cat([real, fake])).chunk(2))
        backward(optimizers[0], loss)
        optimizers[0].step()
        if next(steps) % R1_EVERY == 0:
            backward(optimizers[0], r1(judge, real))
            optimizers[0].step()
        backward(optimizers[1], F.softplus(-judge(generate(torch.randn(len(real), LATENT_DIM)))).mean())
        optimizers[1].step()
        return loss

    return step


def wgan_gp() -> Game:
    """The article's networks, with more latents."""
    return Game(nn.Sequential(upward(LATENT_DIM), nn.Tanh()), discriminator())


def wgan_gp_step(model: Game) -> Step:
    """Wasserstein loss, the slope between real and generated pictures near 1 (Gulrajani et al. 2017, Algorithm 1)."""
    generate, judge = model.generator, model.discriminator
    optimizers = [adam(network, lr=1e-4, betas=(0.0, 0.9)) for network in (judge, generate)]
    steps = itertools.count()

    def step(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generate(torch.randn(len(real), LATENT_DIM))
        between = torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1)).requires_grad_()
        lengths = torch.linalg.vector_norm(gradient_of(judge(between), between), dim=1)
        real_logits, fake_logits = judge(torch.cat([real, fake])).chunk(2)
        loss = (fake_logits - real_logits).mean() + SLOPE_WEIGHT * (lengths - 1).square().mean()
        backward(optimizers[0], loss)
        optimizers[0].step()
        if next(steps) % GENERATOR_EVERY == 0:
            backward(optimizers[1], -judge(generate(torch.randn(len(real), LATENT_DIM))).mean())
            optimizers[1].step()
        return loss

    return step


class InfoGan(nn.Module):
    """Generator, and a trunk for two heads: evidence, and what is read of the codes."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(upward(LATENT_DIM - 1 + KINDS), nn.Tanh())
        self.trunk = nn.Sequential(trunk(), nn.Linear(7 * 7 * 64, FEATURES), nn.LeakyReLU(LEAK))
        self.judge = nn.Linear(FEATURES, 1)
        self.reader = nn.Sequential(
            nn.Linear(FEATURES, FEATURES), nn.LeakyReLU(LEAK), nn.Linear(FEATURES, KINDS + CONTINUOUS)
        )

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents for the generator, with the codes among them."""
        plain = torch.randn(count, LATENT_DIM - 1 - CONTINUOUS)
        kinds, numbers = torch.randint(KINDS, (count,)), 2 * torch.rand(count, CONTINUOUS) - 1
        return torch.cat([plain, F.one_hot(kinds, KINDS).float(), numbers], 1), kinds, numbers

    def misread(self, fake: Tensor, features: Tensor, kinds: Tensor, numbers: Tensor) -> Tensor:
        """Cost of reading continuous codes from samples, and the others from these warped."""
        logits, means = self.reader(self.trunk(warped(fake)))[:, :KINDS], self.reader(features)[:, KINDS:]
        nats = 0.5 * ((numbers - means).square() + math.log(2 * math.pi)).sum(1).mean()
        return F.cross_entropy(logits, kinds) + nats


def warped(x: Tensor) -> Tensor:
    """Pictures (B, C, H, W) turned, slanted, stretched and moved."""
    angle, slant, width, height, across, down = (torch.tensor(WARP) * torch.randn(len(x), len(WARP))).unbind(1)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = [cosine * width.exp(), (slant * cosine - sine) * height.exp(), across]
    rows += [sine * width.exp(), (slant * sine + cosine) * height.exp(), down]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def infogan_step(model: InfoGan) -> Step:
    """A game in which both sides make codes easy to read (Chen et al. 2016)."""
    optimizers = [
        adam(model.trunk, model.judge, model.reader, lr=2e-4, betas=(0.5, 0.999)),
        adam(model.generator, lr=1e-3, betas=(0.5, 0.999)),
    ]

    def step(real: Tensor) -> Tensor:
        z, *codes = model.draw(len(real))
        with torch.no_grad():
            fake = model.generator(z)
        features = model.trunk(torch.cat([real, fake]))
        told = told_apart(*model.judge(features).chunk(2))
        loss = told + model.misread(fake, features[len(real) :], *codes)
        backward(optimizers[0], loss)
        optimizers[0].step()
        z, *codes = model.draw(len(real))
        fake = model.generator(z)
        features = model.trunk(fake)
        cost = F.softplus(-model.judge(features)).mean() + model.misread(fake, features, *codes)
        backward(optimizers[1], cost)
        optimizers[1].step()
        return loss

    return step


class EqualLinear(nn.Module):
    """Dense, with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, inputs) => float (B, outputs)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution likewise, that keeps the size or halves it after a filter."""

    def __init__(self, inputs: int, outputs: int, kernel: int, halves: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding, self.halves = 1 / math.sqrt(inputs * kernel**2), kernel // 2, halves

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, inputs, H, W) => float (B, outputs, H, W), or half of the sides, rounded up."""
        weight = self.weight * self.scale
        if not self.halves:
            return F.conv2d(x, weight, self.bias, padding=self.padding)
        if self.padding:
            return F.conv2d(blurred(x, before=2), weight, self.bias, stride=2)
        return F.conv2d(blurred(x, before=1, stride=2), weight, self.bias)  # 1x1: only where it is looked at


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU that keeps the variance."""
    return F.leaky_relu(x, LEAK) * GAIN


def taps(channels: int, gain: float = 1.0) -> Tensor:
    """StyleGAN's filter, for each channel."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return (gain * row[:, None] * row).expand(channels, 1, 4, 4)


def blurred(x: Tensor, before: int, stride: int = 1) -> Tensor:
    """The filter before a convolution that halves, or halving itself; an odd side gets a pixel more at its end."""
    after = before + x.shape[-1] % 2
    return F.conv2d(F.pad(x, (before, after, before, after)), taps(x.shape[1]), stride=stride, groups=x.shape[1])


def doubled(x: Tensor, size: int) -> Tensor:
    """Twice the sides, filtered, or a pixel less."""
    made = F.conv_transpose2d(x, taps(x.shape[1], 4.0), stride=2, padding=1, groups=x.shape[1])
    return made[:, :, :size, :size]


class StyledConv(nn.Module):
    """A modulated convolution, by scaled inputs and outputs as in its authors' code for training; noise, bias."""

    def __init__(self, inputs: int, outputs: int, size: int, doubles: bool) -> None:
        super().__init__()
        self.style = EqualLinear(STYLE, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.size, self.doubles = 1 / math.sqrt(inputs * 9), size, doubles

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Float (B, inputs, H, W), float (B, style) => float (B, outputs, size, size)."""
        scales = self.style(style)
        weight = self.weight * self.scale
        x = x * scales[:, :, None, None]
        if self.doubles:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = F.conv2d(x, taps(x.shape[1], 4.0), padding=1, groups=x.shape[1])[:, :, : self.size, : self.size]
        else:
            x = F.conv2d(x, weight, padding=1)
        lengths = torch.rsqrt(scales.square() @ weight.square().sum((2, 3)).T + LEAST)
        x = x * lengths[:, :, None, None] + self.strength * torch.randn(len(x), 1, self.size, self.size)
        return leaky(x + self.bias[:, None, None])


class ToPicture(nn.Module):
    """What a grid adds to the picture."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.style, self.conv = EqualLinear(STYLE, inputs, bias=1.0), EqualConv(inputs, 1, 1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Float (B, inputs, H, W), float (B, style) => float (B, 1, H, W)."""
        return self.conv(x * self.style(style)[:, :, None, None])


class Synthesis(nn.Module):
    """Styles to pictures, a skip generator."""

    def __init__(self) -> None:
        super().__init__()
        widths, self.sizes = WIDTHS[::-1], SIZES[::-1]
        self.constant = nn.Parameter(torch.randn(1, widths[0], self.sizes[0], self.sizes[0]))
        pairs = zip(itertools.pairwise(widths), self.sizes[1:], strict=True)
        self.ups = nn.ModuleList(StyledConv(*pair, size, doubles=True) for pair, size in pairs)
        both = zip(widths, self.sizes, strict=True)
        self.convs = nn.ModuleList(StyledConv(width, width, size, doubles=False) for width, size in both)
        self.shown = nn.ModuleList(ToPicture(width) for width in widths)

    def forward(self, styles: Tensor) -> Tensor:
        """Float (B, layers, style) => float (B, 1, 28, 28)."""
        layers = styles.unbind(1)
        x = self.convs[0](self.constant.expand(len(styles), -1, -1, -1), layers[0])
        picture = self.shown[0](x, layers[1])
        for level in range(1, len(self.sizes)):
            x = self.ups[level - 1](x, layers[2 * level - 1])
            x = self.convs[level](x, layers[2 * level])
            picture = doubled(picture, self.sizes[level]) + self.shown[level](x, layers[2 * level + 1])
        return picture


class Halving(nn.Module):
    """A block of the discriminator."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.one, self.two = EqualConv(before, before, 3), EqualConv(before, after, 3, halves=True)
        self.shortcut = EqualConv(before, after, 1, halves=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, before, H, W) => float (B, after, half of H and W)."""
        return HALF * (self.shortcut(x) + leaky(self.two(leaky(self.one(x)))))


class Judge(nn.Module):
    """A residual discriminator that sees how much a batch varies."""

    def __init__(self) -> None:
        super().__init__()
        last = WIDTHS[-1]
        self.first = EqualConv(1, WIDTHS[0], 1)
        self.blocks = nn.Sequential(*(Halving(*pair) for pair in itertools.pairwise(WIDTHS)))
        self.conv = EqualConv(last + 1, last, 3)
        self.dense, self.top = EqualLinear(last * SIZES[-1] ** 2, last), EqualLinear(last, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, 1, 28, 28) => float (B, 1)."""
        x = self.blocks(leaky(self.first(x)))
        groups = x.view(-1, GROUP, *x.shape[1:])
        spread = (groups.var(1, unbiased=False) + LEAST).sqrt().mean((1, 2, 3)).repeat_interleave(GROUP)
        x = torch.cat([x, spread[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)
        x = leaky(self.conv(x)).flatten(1)
        return self.top(leaky(self.dense(x)))


class StyleGan2(nn.Module):
    """Mapping, synthesis, discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.ModuleList([EqualLinear(LATENT_DIM, STYLE, MAPPING_RATE)])
        self.mapping.append(EqualLinear(STYLE, STYLE, MAPPING_RATE))
        self.synthesis, self.discriminator = Synthesis(), Judge()
        self.register_buffer("mean_style", torch.zeros(STYLE))
        self.register_buffer("path_mean", torch.zeros(()))

    def style(self, z: Tensor) -> Tensor:
        """Latents to styles."""
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + LEAST)
        for layer in self.mapping:
            x = leaky(layer(x))
        return x

    def styles(self, count: int) -> Tensor:
        """Styles in training, float (B, layers, style): from a layer on mostly those of other latents."""
        one, other = self.style(torch.randn(2 * count, LATENT_DIM)).chunk(2)
        self.mean_style.lerp_(one.detach().mean(0), STYLE_SHARE)
        cut = torch.randint(1, LAYERS, ()) if torch.rand(()) < MIXING else LAYERS
        first = torch.arange(LAYERS)[:, None] < cut
        return torch.where(first, one[:, None], other[:, None])


def path_penalty(model: StyleGan2, count: int) -> Tensor:
    """Squared difference of path lengths to their running mean, as much as the steps until the next one need."""
    styles = model.styles(count)
    pictures = model.synthesis(styles)
    directions = torch.randn_like(pictures) / math.sqrt(pictures[0, 0].numel())
    gradient = gradient_of(pictures * directions, styles)
    lengths = gradient.square().sum(1).div(LAYERS).sqrt()
    penalty = (lengths - model.path_mean).square().mean()
    model.path_mean.lerp_(lengths.detach().mean(), PATH_SHARE)
    return PATH_EVERY * PATH_WEIGHT * penalty


def stylegan2_step(model: StyleGan2) -> Step:
    """Discriminator, R1 now and then, generator, path lengths now and then (Karras et al. 2020)."""
    judge = model.discriminator
    optimizers = [adam(*some, lr=2e-3, betas=BETAS) for some in ((judge,), (model.mapping, model.synthesis))]
    steps = itertools.count()

    def step(real: Tensor) -> Tensor:
        now = next(steps)
        with torch.no_grad():
            fake = model.synthesis(model.styles(len(real)))
        loss = told_apart(judge(real), judge(fake))
        backward(optimizers[0], loss)
        optimizers[0].step()
        if now % R1_EVERY == 0:
            backward(optimizers[0], r1(judge, real))
            optimizers[0].step()
        backward(optimizers[1], F.softplus(-judge(model.synthesis(model.styles(len(real))))).mean())
        optimizers[1].step()
        if now % PATH_EVERY == 0:
            backward(optimizers[1], path_penalty(model, len(real)))
            optimizers[1].step()
        return loss

    return step
