"""From settings and shapes to a network."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.nets.conv import ConvDecoder, ConvEncoder, ConvSettings
from ficta.nets.mlp import MlpDecoder, MlpEncoder, MlpSettings

NETWORKS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "mlp": (MlpEncoder, MlpDecoder),
    "conv": (ConvEncoder, ConvDecoder),
}


class NetworkSettings(Settings):
    """Which network, and the settings of each kind; only those of the chosen one count."""

    kind: Annotated[
        Literal["auto", "mlp", "conv"],
        Field(description="auto: conv where samples have axes besides the channel, else mlp"),
    ] = "auto"
    mlp: Annotated[MlpSettings, Field(description="fully connected")] = MlpSettings()
    conv: Annotated[ConvSettings, Field(description="convolutional, over 1, 2 or 3 axes")] = ConvSettings()

    def chosen(self, shape: tuple[int, ...]) -> str:
        """Kind of network for samples of this shape.

        Raises:
            UsageError: convolutions over no axis or over more than three.
        """
        kind = ("conv" if 2 <= len(shape) <= 4 else "mlp") if self.kind == "auto" else self.kind
        if kind == "conv" and not 2 <= len(shape) <= 4:
            raise UsageError(f"kind = 'conv' needs a channel and 1 to 3 axes, the data have shape {shape}; use 'mlp'")
        return kind


def build_encoder(settings: NetworkSettings, shape: tuple[int, ...], outputs: int, condition: int) -> nn.Module:
    """Network from samples (B, *shape) and condition (B, condition) to features (B, outputs)."""
    kind = settings.chosen(shape)
    return NETWORKS[kind][0](getattr(settings, kind), shape, outputs, condition)


def build_decoder(settings: NetworkSettings, inputs: int, shape: tuple[int, ...], condition: int) -> nn.Module:
    """Network from features (B, inputs) and condition (B, condition) to samples (B, *shape)."""
    kind = settings.chosen(shape)
    return NETWORKS[kind][1](getattr(settings, kind), inputs, shape, condition)
