"""The other VAEs of bench.py --quick in plain PyTorch: networks, and training steps as one writes them by hand.

The convolutions are those of the article's networks. A step computes nothing twice and no gradient that nobody reads.
Two of them so do less than those of ficta: a VQ-VAE's prior learns the symbols from before the update of the encoder,
and all networks of a VAE-GAN learn from one pass, as in the paper. The costs are the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_networks import discriminator, encoder, trunk, upward

Step = Callable[[Tensor], Tensor]

LATENT_DIM = 16
DRAWS = 5
PSEUDO_INPUTS = 100
TOTAL_CORRELATION = 3.0
LADDER_DIMS = (16, 8, 4)
FEATURES = 256
BETA_SAMPLES = 50_000
CODES, CODE_DIM, GRID = 256, 16, 7
COMMITMENT, DECAY, RESTART_SHARE, LEAST = 0.25, 0.99, 0.05, 1e-5
WIDTH, LAYERS, HEADS = 64, 3, 4
ADVERSARY = 10.0
VAEGAN_DIM, SIMILARITY = 32, 0.1
LEAK = 0.2


def adam(
    *networks: nn.Module, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> torch.optim.Adam:
    """Adam over all weights of some networks."""
    return torch.optim.Adam([p for network in networks for p in network.parameters()], lr=lr, betas=betas, eps=eps)


def backward(optimizer: torch.optim.Optimizer, loss: Tensor, retain_graph: bool = False) -> None:
    """Gradients of the optimiser's own weights, and of no others."""
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.param_groups[0]["params"], retain_graph=retain_graph)


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A latent from its posterior."""
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of each latent under a Gaussian."""
    return -0.5 * ((z - mean) ** 2 * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Summed over pixels, averaged over the batch."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def standard_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """To the standard normal, summed over latents, averaged over the batch."""
    return -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp()) / len(mean)


class Vae(nn.Module):
    """Encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(2 * LATENT_DIM), upward(LATENT_DIM)


def iwae_step(model: Vae) -> Step:
    """The importance-weighted bound over several draws (Burda et al. 2016)."""
    optimizer = adam(model, eps=1e-7)

    def step(x: Tensor) -> Tensor:
        mean, log_variance = (half[:, None].expand(-1, DRAWS, -1) for half in model.encoder(x).chunk(2, dim=1))
        z = draw(mean, log_variance)
        logits = model.decoder(z.flatten(0, 1)).view(len(x), DRAWS, *x.shape[1:])
        pixels = F.binary_cross_entropy_with_logits(logits, x[:, None].expand_as(logits), reduction="none")
        ratio = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)) - log_normal(z, mean, log_variance)
        log_weights = ratio.sum(2) - pixels.flatten(2).sum(2)
        loss = (math.log(DRAWS) - torch.logsumexp(log_weights, dim=1)).mean()
        backward(optimizer, loss)
        optimizer.step()
        return loss

    return step


class VampVae(Vae):
    """With a prior of learnt pseudo-inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.pseudo_inputs = nn.Parameter(torch.randn(PSEUDO_INPUTS, 1, 28, 28))


def vamp_step(model: VampVae) -> Step:
    """The prior is the mixture of the posteriors of pseudo-inputs (Tomczak & Welling 2018)."""
    optimizer = adam(model, eps=1e-7)

    def step(x: Tensor) -> Tensor:
        mean, log_variance = model.encoder(x).chunk(2, dim=1)
        z = draw(mean, log_variance)
        means, log_variances = model.encoder(torch.sigmoid(model.pseudo_inputs)).chunk(2, dim=1)
        log_prior = torch.logsumexp(log_normal(z[:, None], means, log_variances).sum(2), dim=1)
        log_prior = log_prior - math.log(PSEUDO_INPUTS)
        kl = log_normal(z, mean, log_variance).sum(1) - log_prior
        loss = cross_entropy(model.decoder(z), x) + kl.mean()
        backward(optimizer, loss)
        optimizer.step()
        return loss

    return step


def beta_tcvae_step(model: Vae) -> Step:
    """The ELBO, and more weight on the total correlation within the batch (Chen et al. 2018)."""
    optimizer = adam(model, eps=1e-7)

    def step(x: Tensor) -> Tensor:
        mean, log_variance = model.encoder(x).chunk(2, dim=1)
        z = draw(mean, log_variance)
        each = log_normal(z[:, None], mean, log_variance)  # of latent i under the posterior of j
        together = torch.logsumexp(each.sum(2), dim=1) - math.log(len(x))
        apart = (torch.logsumexp(each, dim=1) - math.log(len(x))).sum(1)
        loss = cross_entropy(model.decoder(z), x) + standard_kl(mean, log_variance)
        loss = loss + TOTAL_CORRELATION * (together - apart).mean()
        backward(optimizer, loss)
        optimizer.step()
        return loss

    return step


def between(inputs: int, outputs: int) -> nn.Sequential:
    """From one layer of a ladder to the next."""
    return nn.Sequential(nn.Linear(inputs, FEATURES), nn.SiLU(), nn.Linear(FEATURES, outputs))


class Ladder(nn.Module):
    """Features upwards, latents downwards."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = discriminator(FEATURES), upward(LADDER_DIMS[0])
        self.up = nn.ModuleList(between(FEATURES, FEATURES) for _ in LADDER_DIMS[1:])
        self.read = nn.ModuleList(nn.Linear(FEATURES, 2 * size) for size in LADDER_DIMS)
        pairs = itertools.pairwise(LADDER_DIMS)
        self.down = nn.ModuleList(between(high, 2 * low) for low, high in pairs)


def ladder_step(model: Ladder) -> Step:
    """The ELBO of a ladder, its KL terms with a weight that rises (Sønderby et al. 2016)."""
    optimizer = adam(model)
    seen = 0

    def step(x: Tensor) -> Tensor:
        nonlocal seen
        features = [F.silu(model.encoder(x))]
        for up in model.up:
            features.append(F.silu(up(features[-1])))
        mean, log_variance = model.read[-1](features[-1]).chunk(2, dim=1)
        kl = standard_kl(mean, log_variance)
        z = draw(mean, log_variance)
        for level in reversed(range(len(LADDER_DIMS) - 1)):
            mean_p, log_variance_p = model.down[level](z).chunk(2, dim=1)
            mean, log_variance = model.read[level](features[level]).chunk(2, dim=1)
            share = torch.sigmoid(log_variance_p - log_variance)  # precisions add up, means are weighed by them
            mean = share * mean + (1 - share) * mean_p
            log_variance = log_variance + F.logsigmoid(log_variance_p - log_variance)
            ratio = log_variance - log_variance_p
            shift = (mean - mean_p) ** 2 * torch.exp(-log_variance_p)
            kl = kl + 0.5 * (ratio.exp() + shift - 1 - ratio).sum() / len(x)
            z = draw(mean, log_variance)
        loss = cross_entropy(model.decoder(z), x) + min(1.0, seen / BETA_SAMPLES) * kl
        backward(optimizer, loss)
        optimizer.step()
        seen += len(x)
        return loss

    return step


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.layers(x)


class Block(nn.Module):
    """Of a causal transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.project, self.join = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dense = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, T, width) => the same."""
        heads = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.project(self.norm1(x)).chunk(3, dim=2))
        attended = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.join(attended.transpose(1, 2).flatten(2))
        return x + self.dense(self.norm2(x))


class SymbolPrior(nn.Module):
    """Logits of each symbol given those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(WIDTH))
        self.embed = nn.Embedding(CODES, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(GRID**2, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.last = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CODES))

    def forward(self, symbols: Tensor) -> Tensor:
        """Int64 (B, T) => float (B, T, codes)."""
        start = self.start.expand(len(symbols), 1, -1)
        x = torch.cat([start, self.embed(symbols[:, :-1])], dim=1) + self.places
        return self.last(self.blocks(x))


class VqVae(nn.Module):
    """Encoder to a grid of vectors, codebook, decoder, and what writes the symbols."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*trunk()[:-1], Residual(), Residual(), nn.Conv2d(64, CODE_DIM, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(CODE_DIM, 64, 3, padding=1), Residual(), Residual(), nn.ReLU(), *upward()[3:]
        )
        self.prior = SymbolPrior()
        self.register_buffer("codes", (torch.rand(CODES, CODE_DIM) * 2 - 1) / CODES)
        self.register_buffer("counts", torch.zeros(CODES))
        self.register_buffer("sums", torch.zeros(CODES, CODE_DIM))

    @torch.no_grad()
    def move_codes(self, vectors: Tensor, symbols: Tensor) -> None:
        """Running averages of what codes stand for; those that hardly stand for anything start anew."""
        self.counts.lerp_(torch.bincount(symbols, minlength=CODES).float(), 1 - DECAY)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, symbols, vectors), 1 - DECAY)
        mean = self.counts.mean()
        dead = self.counts < RESTART_SHARE * mean
        fresh = vectors[torch.randperm(len(vectors))[:CODES]]
        self.counts[dead] = mean
        self.sums[dead] = fresh[dead] * mean
        self.codes.copy_(self.sums / (self.counts[:, None] + LEAST))


def vqvae_step(model: VqVae) -> Step:
    """Reconstruction, commitment, codes by running averages; then the symbols' prior (van den Oord et al. 2017)."""
    optimizers = [adam(model.encoder, model.decoder), adam(model.prior)]

    def step(x: Tensor) -> Tensor:
        vectors = model.encoder(x).permute(0, 2, 3, 1)  # (B, 7, 7, code_dim)
        flat = vectors.reshape(-1, CODE_DIM)
        symbols = torch.cdist(flat.detach(), model.codes).argmin(dim=1)
        codes = model.codes[symbols].view_as(vectors)
        straight = vectors + (codes - vectors).detach()
        commitment = COMMITMENT * F.mse_loss(vectors, codes, reduction="sum") / len(x)
        loss = cross_entropy(model.decoder(straight.permute(0, 3, 1, 2)), x) + commitment
        backward(optimizers[0], loss)
        optimizers[0].step()
        model.move_codes(flat.detach(), symbols)
        rows = symbols.view(len(x), -1)
        nats = F.cross_entropy(model.prior(rows).flatten(0, 1), symbols, reduction="sum") / len(x)
        backward(optimizers[1], nats)
        optimizers[1].step()
        return loss

    return step


class Aae(nn.Module):
    """Autoencoder, and a discriminator of latents."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(LATENT_DIM), upward(LATENT_DIM)
        self.discriminator = nn.Sequential(
            nn.Linear(LATENT_DIM, 512), nn.LeakyReLU(LEAK), nn.Linear(512, 512), nn.LeakyReLU(LEAK), nn.Linear(512, 1)
        )


def aae_step(model: Aae) -> Step:
    """Discriminator of latents, then encoder and decoder against it (Makhzani et al. 2016)."""
    optimizers = [adam(model.discriminator, betas=(0.5, 0.999)), adam(model.encoder, model.decoder)]

    def step(x: Tensor) -> Tensor:
        z = model.encoder(x)
        logits = model.discriminator(torch.cat([torch.randn_like(z), z.detach()]))
        drawn, coded = logits.chunk(2)
        backward(optimizers[0], (F.softplus(-drawn) + F.softplus(coded)).mean())
        optimizers[0].step()
        loss = cross_entropy(model.decoder(z), x) + ADVERSARY * F.softplus(-model.discriminator(z)).mean()
        backward(optimizers[1], loss)
        optimizers[1].step()
        return loss

    return step


class VaeGan(nn.Module):
    """VAE, and a discriminator in whose features items are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(2 * VAEGAN_DIM), upward(VAEGAN_DIM)
        self.features = nn.Sequential(discriminator(FEATURES), nn.LeakyReLU(LEAK))
        self.top = nn.Linear(FEATURES, 1)


def vaegan_step(model: VaeGan) -> Step:
    """All costs from one pass, then everybody's update (Larsen et al. 2016, Algorithm 1)."""
    networks: Iterable[tuple[nn.Module, ...]] = ((model.features, model.top), (model.encoder,), (model.decoder,))
    optimizers = [adam(*some, lr=5e-4, betas=(0.5, 0.99)) for some in networks]

    def step(x: Tensor) -> Tensor:
        mean, log_variance = model.encoder(x).chunk(2, dim=1)
        z = draw(mean, log_variance)
        made = torch.tanh(model.decoder(torch.cat([z, torch.randn_like(z)])))
        features = model.features(torch.cat([x, made]))
        real, again, fake = model.top(features).chunk(3)
        seen, seen_again, _ = features.chunk(3)
        distortion = 0.5 * F.mse_loss(seen_again, seen.detach(), reduction="sum") / len(x)
        judged = F.softplus(-real) + 0.5 * (F.softplus(again) + F.softplus(fake))
        told = 0.5 * (F.softplus(-again) + F.softplus(-fake))
        backward(optimizers[0], judged.mean(), retain_graph=True)
        backward(optimizers[1], distortion + standard_kl(mean, log_variance), retain_graph=True)
        backward(optimizers[2], SIMILARITY * distortion + told.mean())
        for optimizer in optimizers:
            optimizer.step()
        return judged.mean()

    return step
