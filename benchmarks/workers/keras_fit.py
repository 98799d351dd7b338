"""A tutorial's Keras script: a model with its own ``train_step``, trained by ``fit`` on an array in memory.

What is timed is an epoch as ``fit`` runs it, from its first batch to its last; what ``fit`` does before that is not.
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
from keras_networks import compiled, count, pictures_of  # noqa: E402


class Stopwatch(keras.callbacks.Callback):
    """Seconds of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start."""
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.begun


def main() -> None:
    """Take the first step, then serve."""
    asked = arguments("--jit")
    keras.utils.set_random_seed(asked.seed)
    pictures = pictures_of(asked.data, asked.network)
    model, maker, means = compiled(asked.network, asked.precision, asked.jit)
    rng = np.random.default_rng(asked.seed)

    def train(samples: int) -> tuple[float, float]:
        watch = Stopwatch()
        history = model.fit(pictures[:samples], batch_size=asked.batch, epochs=1, verbose=0, callbacks=[watch])
        return watch.seconds, float(history.history["cost"][-1])

    def latents(n: int) -> np.ndarray:
        return rng.standard_normal((n, LATENT_DIM), dtype=np.float32)

    train(asked.batch)
    serve(
        Work(
            parameters=count(model),
            packages=("tensorflow-cpu", "keras", "numpy"),
            train=train,
            sample=lambda n, batch: maker.predict(latents(n), batch_size=batch, verbose=0),
            encode=means and (lambda n, batch: means.predict(pictures[:n], batch_size=batch, verbose=0)),
            one=lambda: maker(latents(1), training=False).numpy(),  # for one sample, Keras advises against predict
            facts={"precision": asked.precision, "jit": asked.jit},
        ),
        answers,
    )


if __name__ == "__main__":
    main()
