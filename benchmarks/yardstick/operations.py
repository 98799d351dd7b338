"""Floating-point operations per sample of the article's networks, counted layer by layer.

Only products with weights count, 2 operations each (multiply and add); activations, losses and optimisers do not.
With N[.] the operations of a network's forward pass and F[.] those of its first layer:

- weight gradients cost N, input gradients cost N, or N - F where the network's input needs none;
- a VAE step is encoder and decoder forward, weight gradients of both, input gradients of the decoder (all of it) and
  of the encoder (but its first layer): 3 (N[E] + N[D]) - F[E];
- a GAN step is the generator forward, discriminator forward on 2 pictures, its weight and input gradients:
  N[G] + 2 (3 N[J] - F[J]); then generator and discriminator forward, the discriminator's input gradients, the
  generator's weight and input gradients: N[G] + N[J] + N[J] + 2 N[G] - F[G].

A convolution counts every tap of its kernel for every output element, a transposed one for every input element, at
the edges too. What a peer computes beyond this (such as weight gradients that nobody reads) is not counted.
"""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """A layer with weights.

    Attributes:
        inputs: channels, or numbers of a dense layer.
        outputs: the same.
        area: taps of the kernel; 1 for a dense layer.
        places: where the kernel is applied: output pixels, or input pixels of a transposed convolution.
    """

    inputs: int
    outputs: int
    area: int = 1
    places: int = 1

    @property
    def operations(self) -> int:
        """Of a forward pass."""
        return 2 * self.inputs * self.outputs * self.area * self.places

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.inputs * self.outputs * self.area + self.outputs


TRUNK = (Layer(1, 32, 9, 14 * 14), Layer(32, 64, 9, 7 * 7))
ENCODER = (*TRUNK, Layer(7 * 7 * 64, 16), Layer(16, 4))
DISCRIMINATOR = (*TRUNK, Layer(7 * 7 * 64, 1))
UPWARD = (Layer(2, 7 * 7 * 64), Layer(64, 64, 9, 7 * 7), Layer(64, 32, 9, 14 * 14), Layer(32, 1, 9, 28 * 28))
NETWORKS = {"article-vae": (ENCODER, UPWARD), "article-gan": (DISCRIMINATOR, UPWARD)}


def forward(layers: tuple[Layer, ...]) -> int:
    """Operations of one sample's way through the layers."""
    return sum(layer.operations for layer in layers)


def parameters(network: str) -> int | None:
    """Weights that training changes; what a worker reports must equal it, else it trains something else.

    None of a network that is not counted here.
    """
    if network not in NETWORKS:
        return None
    return sum(layer.parameters for layers in NETWORKS[network] for layer in layers)


def operations(network: str, what: str) -> int | None:
    """Operations per sample of ``train``, ``sample``, ``latency`` or ``encode``; None likewise."""
    if network not in NETWORKS:
        return None
    below, above = NETWORKS[network]
    if what != "train":
        return forward(below if what == "encode" else above)
    first, n_below, n_above = below[0].operations, forward(below), forward(above)
    if network == "article-vae":
        return 3 * (n_below + n_above) - first
    discriminator_turn = n_above + 2 * (3 * n_below - first)
    generator_turn = n_above + 2 * n_below + 2 * n_above - above[0].operations
    return discriminator_turn + generator_turn
