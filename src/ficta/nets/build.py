"""From settings and shapes to a network."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.nets.conv import ConvDecoder, ConvEncoder, ConvSettings
from ficta.nets.mlp import MlpDecoder, MlpEncoder, MlpSettings
from ficta.nets.parts import Act, MinibatchDeviation, initialise
from ficta.nets.resnet import ResnetDecoder, ResnetEncoder, ResnetSettings
from ficta.nets.spectral import normalise_spectrally

NETWORKS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "mlp": (MlpEncoder, MlpDecoder),
    "conv": (ConvEncoder, ConvDecoder),
    "resnet": (ResnetEncoder, ResnetDecoder),
}


class NetworkSettings(Settings):
    """Which network, and the settings of each kind; only those of the chosen one count."""

    kind: Annotated[
        Literal["auto", "mlp", "conv", "resnet"],
        Field(description="auto: conv where samples have axes besides the channel, else mlp"),
    ] = "auto"
    mlp: Annotated[MlpSettings, Field(description="fully connected")] = MlpSettings()
    conv: Annotated[ConvSettings, Field(description="convolutional, over 1, 2 or 3 axes")] = ConvSettings()
    resnet: Annotated[ResnetSettings, Field(description="residual blocks, over 1, 2 or 3 axes")] = ResnetSettings()
    spectral: Annotated[
        bool, Field(description="divide each layer's weights by their largest singular value (Miyato et al. 2018)")
    ] = False

    def chosen(self, shape: tuple[int, ...]) -> str:
        """Kind of network for samples of this shape.

        Raises:
            UsageError: convolutions over no axis or over more than three.
        """
        kind = ("conv" if 2 <= len(shape) <= 4 else "mlp") if self.kind == "auto" else self.kind
        if kind != "mlp" and not 2 <= len(shape) <= 4:
            raise UsageError(f"kind = '{kind}' needs a channel and 1 to 3 axes, the data have shape {shape}; use 'mlp'")
        return kind


def build_encoder(settings: NetworkSettings, shape: tuple[int, ...], outputs: int, condition: int) -> nn.Module:
    """Network from samples (B, *shape) and condition (B, condition) to features (B, outputs)."""
    kind = settings.chosen(shape)
    return _finished(settings, NETWORKS[kind][0](getattr(settings, kind), shape, outputs, condition))


def build_decoder(settings: NetworkSettings, inputs: int, shape: tuple[int, ...], condition: int) -> nn.Module:
    """Network from features (B, inputs) and condition (B, condition) to samples (B, *shape)."""
    kind = settings.chosen(shape)
    return _finished(settings, NETWORKS[kind][1](getattr(settings, kind), inputs, shape, condition))


def build_discriminator(
    settings: NetworkSettings, shape: tuple[int, ...], outputs: int, minibatch_features: int
) -> nn.Module:
    """Network from samples (B, *shape) to (B, outputs); it may also look at how much features vary in a batch."""
    if not minibatch_features:
        return build_encoder(settings, shape, outputs, 0)
    top = nn.Linear(minibatch_features + 1, outputs)
    initialise(top, "he", "leaky_relu")
    trunk = build_encoder(settings, shape, minibatch_features, 0)
    return nn.Sequential(trunk, Act("leaky_relu"), MinibatchDeviation(), _finished(settings, top))


def build_head(settings: NetworkSettings, features: int, outputs: int) -> nn.Module:
    """Last layer of a network whose features are of use by themselves: (B, features) to (B, outputs)."""
    return _finished(settings, nn.Linear(features, outputs))


def _finished(settings: NetworkSettings, network: nn.Module) -> nn.Module:
    if settings.spectral:
        normalise_spectrally(network)
    return network
