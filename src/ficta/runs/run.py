"""A run as its readers see it: facts, codec, trained model."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ficta.base.errors import FictaError, UsageError
from ficta.base.words import nearest
from ficta.compute import device as machine
from ficta.compute import tensors
from ficta.data.codec import Codec
from ficta.data.registry import codec_from_facts
from ficta.models.family import Family, Infers, device_of
from ficta.models.fitted import FITTED, restored
from ficta.models.priors import Prior, StandardNormal
from ficta.models.registry import FAMILIES, build
from ficta.runs.folder import RunFolder

TRAINED, NORMAL = "trained", "normal"  # the prior that a run was trained with; the standard normal


class Run:
    """A run folder, read; nothing here writes, but ``keep_prior``.

    Attributes:
        prior: what latents are drawn from, by name; see ``with_prior``.
    """

    prior = TRAINED

    def __init__(self, path: Path | str, networks: Mapping[str, nn.Module] | None = None) -> None:
        self.folder = RunFolder(Path(path))
        self.path = self.folder.path
        if not self.folder.exists:
            what = "holds no run (no recipe.toml)" if self.path.exists() else "does not exist"
            raise UsageError(f"{self.path} {what}; 'ficta runs' lists what there is")
        self.recipe = self.folder.recipe()
        self._networks = dict(networks or {})
        for role in sorted(self._networks.keys() - self.recipe.get("networks", {}).keys()):
            raise UsageError(f"{self.path} was trained with the {role} that ficta builds; open it without network=")
        missing = set(self.recipe.get("networks", {})) - set(self._networks)
        self._missing = sorted(missing)

    @property
    def data(self) -> dict[str, Any]:
        """The ingestion report."""
        return self.folder.json("data")

    @property
    def plan(self) -> dict[str, Any]:
        """What was planned before the first step; empty if training has not got there."""
        return self.folder.json("plan")

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry a report."""
        return self.folder.lines("history")

    @property
    def results(self) -> list[dict[str, Any]]:
        """Measured results."""
        return self.folder.lines("results")

    @property
    def finished(self) -> bool:
        """Whether the target in samples is reached."""
        target = self.recipe["train"].get("samples")
        return target is not None and self.folder.latest_seen() >= target

    @functools.cached_property
    def codec(self) -> Codec:
        """The fitted codec."""
        path = self.path / "codec.json"
        try:
            return codec_from_facts(self.folder.json("codec"))
        except (KeyError, TypeError, ValueError) as error:
            raise FictaError(f"{path} is damaged ({error!r}); restore it, or train the run again") from None

    @functools.cached_property
    def family(self) -> Family:
        """The model with its averaged weights, on the CPU, for use rather than training.

        Raises:
            UsageError: the run was trained with a network of the user's own that was not given.
            FictaError: nothing was saved yet, or the weights are damaged or of other networks.
        """
        if self._missing:
            wanted = ", ".join(f"{role} ({self.recipe['networks'][role]})" for role in self._missing)
            raise UsageError(
                f"{self.path} was trained with networks of its owner's own: {wanted}; give them by "
                "open_run(path, network={'" + self._missing[0] + "': module})"
            )
        if not self.folder.weights.exists():
            raise FictaError(f"{self.path} has no weights yet; train it first")
        own = copy.deepcopy(self._networks)
        with torch.random.fork_rng(devices=[]):  # initial weights, which the saved ones take the place of
            family = build(self.recipe["family"], self.recipe["model"], self.codec.spec, own)
        weights, _ = tensors.load(self.folder.weights)
        try:
            family.load_state_dict(weights)
        except RuntimeError as error:
            raise FictaError(
                f"{self.folder.weights} does not fit the networks: {str(error).splitlines()[-1].strip()}"
            ) from None
        machine.keep_freed_memory()
        return machine.lay_out(family.eval().requires_grad_(False), self.recipe["train"]["layout"])

    def with_prior(self, name: str) -> Run:
        """The same run with the weights in use, whatever the folder holds by now, its latents drawn from another prior.

        Args:
            name: ``trained`` for the one that it was trained with, ``normal`` for the standard normal, or one that was
                fitted to its latents and kept: ``mixture``, ``flow``.
        """
        if name == self.prior:
            return self
        if name == TRAINED:
            return Run(self.path, self._networks)
        other = copy.copy(self)
        other.prior, other.family = name, copy.deepcopy(self.family)
        assert isinstance(other.family, Infers)
        size = other.family.latent_dim
        other.family.prior = (
            StandardNormal(size) if name == NORMAL else restored(name, size, tensors.load(self.folder.prior(name))[0])
        )
        return other

    def lacks_prior(self, name: str) -> bool:
        """Whether a prior of this name must be fitted first, as none is kept or the weights were others then.

        Raises:
            UsageError: no such prior, or a family to whose latents none can be fitted.
        """
        if name == TRAINED:
            return False
        if name not in (NORMAL, *FITTED):
            raise UsageError(f"no prior {name!r}: {nearest(name, [TRAINED, NORMAL, *FITTED])}")
        if not isinstance(self.family, Infers):
            those = ", ".join(name for name, entry in FAMILIES.items() if hasattr(entry.family, "infer"))
            own = self.recipe["family"]
            raise UsageError(f"a {own} draws no latents from data that a prior could be fitted to; these do: {those}")
        if name == NORMAL:
            return False
        path = self.folder.prior(name)
        return not path.exists() or tensors.load(path)[1].get("weights") != self._weights_digest

    def keep_prior(self, name: str, prior: Prior) -> None:
        """Keep a fitted prior beside the weights that it was fitted to."""
        self.folder.write_prior(name, prior.state_dict(), self._weights_digest)

    @functools.cached_property
    def _weights_digest(self) -> str:
        """Of the weights in use, which the folder may have replaced since; a prior has no part in what latents are."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self.family.state_dict().items()):
            if not name.startswith("prior."):
                digest.update(name.encode() + value.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Without gradients, and in the number format that the run was trained in if this machine multiplies in it."""
        device = device_of(self.family)
        in_bf16 = self.recipe["train"]["precision"] == "bf16" and machine.multiplies_in_bf16(device)
        with torch.no_grad(), machine.autocast(device, "bf16" if in_bf16 else "float32"):
            yield


def find_runs(folder: Path) -> list[Path]:
    """Folders directly below ``folder`` that hold a run, by name."""
    return [path for path in sorted(folder.iterdir()) if RunFolder(path).exists] if folder.is_dir() else []
