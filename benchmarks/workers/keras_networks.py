"""The article's networks in Keras, with the presets' mendings: padding, and a picture of 28x28 at the end.

Every output is float32 whatever the policy, as Keras advises for mixed precision. Decoder and generator end without
their last activation: the losses take logits, which costs Keras less than a sigmoid and a logarithm of it.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from protocol import LATENT_DIM

POLICIES = {"float32": "float32", "bf16": "mixed_bfloat16"}


def trunk(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Two strided convolutions: (28, 28, 1) => (7 * 7 * 64,)."""
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(pictures)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Flatten()(x)


def encoder() -> keras.Model:
    """Pictures => mean and log-variance of the latents."""
    pictures = keras.Input((28, 28, 1))
    x = layers.Dense(16, activation="relu")(trunk(pictures))
    mean = layers.Dense(LATENT_DIM, dtype="float32", name="mean")(x)
    return keras.Model(pictures, [mean, layers.Dense(LATENT_DIM, dtype="float32")(x)], name="encoder")


def upward(name: str) -> keras.Model:
    """Latents => pictures before their last activation: VAE's decoder and GAN's generator alike."""
    latents = keras.Input((LATENT_DIM,))
    x = layers.Dense(7 * 7 * 64, activation="relu")(latents)
    x = layers.Reshape((7, 7, 64))(x)
    x = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 3, padding="same")(x)
    return keras.Model(latents, layers.Activation("linear", dtype="float32")(x), name=name)


def discriminator() -> keras.Model:
    """Pictures => one logit."""
    pictures = keras.Input((28, 28, 1))
    logit = layers.Dense(1, dtype="float32")(trunk(pictures))
    return keras.Model(pictures, logit, name="discriminator")


def with_last_activation(network: keras.Model, activation: str) -> keras.Model:
    """What a user calls to get pictures."""
    return keras.Model(network.input, layers.Activation(activation, dtype="float32")(network.output))


def pictures_of(path: str, network: str) -> np.ndarray:
    """All pictures, float32 (n, 28, 28, 1): in [0, 1] for the VAE, in [-1, 1] for the GAN."""
    scaled = np.load(path).astype("float32")[..., None] / 255
    return scaled if network == "article-vae" else scaled * 2 - 1


class Vae(keras.Model):
    """The article's VAE: cross-entropy summed over pixels plus KL, averaged over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(), upward("decoder")

    def train_step(self, data: tf.Tensor | tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """One update of both networks."""
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder(x, training=True)
            z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            logits = self.decoder(z, training=True)
            cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
            kl = -0.5 * (1 + log_variance - tf.square(mean) - tf.exp(log_variance))
            loss = tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=(1, 2, 3)) + tf.reduce_sum(kl, axis=1))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"cost": loss}


class Gan(keras.Model):
    """The article's GAN: a discriminator's update on real and generated pictures, then a generator's on fresh ones."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = upward("generator"), discriminator()

    def compile(self, *, other_optimizer: keras.optimizers.Optimizer, **options: object) -> None:
        """Two optimisers: Keras' own is the discriminator's."""
        super().compile(**options)
        self.generator_optimizer = other_optimizer

    def train_step(self, data: tf.Tensor | tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """One update of each side."""
        real = data[0] if isinstance(data, tuple) else data
        latents = (tf.shape(real)[0], LATENT_DIM)
        fake = tf.tanh(self.generator(tf.random.normal(latents), training=True))
        with tf.GradientTape() as tape:
            logits = self.discriminator(tf.concat([real, fake], 0), training=True)
            real_logits, fake_logits = tf.split(logits, 2)
            loss = tf.reduce_mean(tf.nn.softplus(-real_logits) + tf.nn.softplus(fake_logits))
        weights = self.discriminator.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            fake = tf.tanh(self.generator(tf.random.normal(latents), training=True))
            cheat = tf.reduce_mean(tf.nn.softplus(-self.discriminator(fake, training=True)))
        weights = self.generator.trainable_variables
        self.generator_optimizer.apply_gradients(zip(tape.gradient(cheat, weights), weights, strict=True))
        return {"cost": loss}


def compiled(network: str, precision: str, jit: bool) -> tuple[keras.Model, keras.Model, keras.Model | None]:
    """The model ready to train, the network that makes pictures, and the one that makes latents, if there is one."""
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    if network == "article-vae":
        vae = Vae()
        vae.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=jit)
        means = keras.Model(vae.encoder.input, vae.encoder.get_layer("mean").output)
        return vae, with_last_activation(vae.decoder, "sigmoid"), means
    gan = Gan()
    adams = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
    gan.compile(optimizer=adams[0], other_optimizer=adams[1], jit_compile=jit)
    return gan, with_last_activation(gan.generator, "tanh"), None


def count(model: keras.Model) -> int:
    """Trained weights."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
