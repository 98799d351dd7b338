"""The same Keras networks with a step under ``tf.function``, fed by a tf.data pipeline: what a careful user writes.

The pipeline shuffles within 10,000 pictures, fewer than the usual 60,000, in favour of start and memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from protocol import LATENT_DIM, Work, arguments, channel, serve

answers = channel()

import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras_networks import compiled, count, pictures_of  # noqa: E402

SHUFFLED = 10_000


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments("--jit")
    keras.utils.set_random_seed(asked.seed)
    pictures = pictures_of(asked.data, asked.network)
    model, maker, means = compiled(asked.network, asked.precision, asked.jit)
    batches = tf.data.Dataset.from_tensor_slices(pictures).shuffle(SHUFFLED).repeat()
    batches = iter(batches.batch(asked.batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE))

    @tf.function(jit_compile=asked.jit)
    def step(batch: tf.Tensor) -> tf.Tensor:
        return model.train_step(batch)["cost"]

    @tf.function(jit_compile=asked.jit)
    def make(latents: tf.Tensor) -> tf.Tensor:
        return maker(latents, training=False)

    def train(samples: int) -> tuple[float, float]:
        begun = time.perf_counter()
        for _ in range(samples // asked.batch):
            loss = step(next(batches))
        value = float(loss)
        return time.perf_counter() - begun, value

    def latents(n: int) -> np.ndarray:
        return np.random.default_rng().standard_normal((n, LATENT_DIM), dtype=np.float32)

    train(asked.batch)
    serve(
        Work(
            parameters=count(model),
            packages=("tensorflow-cpu", "keras", "numpy"),
            train=train,
            sample=lambda n, batch: maker.predict(latents(n), batch_size=batch, verbose=0),
            encode=means and (lambda n, batch: means.predict(pictures[:n], batch_size=batch, verbose=0)),
            one=lambda: make(tf.random.normal((1, LATENT_DIM))).numpy(),
            facts={"precision": asked.precision, "jit": asked.jit},
        ),
        answers,
    )


if __name__ == "__main__":
    main()
