"""CTGAN of the package of that name, for benchmarks/rows.py: train for about so many seconds, write samples.

    python ctgan_fit.py CTGAN TRAIN.csv SAMPLES.csv SECONDS SEED

The defaults of the package; the number of epochs is what fits into the time, by the time of the first ones.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import ctgan
import numpy as np
import pandas as pd
import torch

TRIED = 20  # epochs by which the others are timed


def main() -> None:
    """Train, sample, tell."""
    warnings.filterwarnings("ignore")
    kind, source, place, seconds, seed = sys.argv[1:]
    rows = pd.read_csv(source, keep_default_na=False)
    discrete = [name for name in rows if rows[name].dtype.kind not in "if"]
    took = {}
    for epochs in (1, 1 + TRIED):  # the first call also fits what it makes of the columns
        begun = time.perf_counter()
        getattr(ctgan, kind)(epochs=epochs).fit(rows, discrete)
        took[epochs] = time.perf_counter() - begun
    epoch = max((took[1 + TRIED] - took[1]) / TRIED, 1e-3)
    epochs = max(1, round((float(seconds) - (took[1] - epoch)) / epoch))
    torch.manual_seed(int(seed))
    np.random.seed(int(seed))
    model = getattr(ctgan, kind)(epochs=epochs)
    begun = time.perf_counter()
    model.fit(rows, discrete)
    trained = time.perf_counter() - begun
    model.sample(len(rows)).to_csv(place, index=False)
    print(json.dumps({"epochs": epochs, "seconds": trained, "version": ctgan.__version__}))


if __name__ == "__main__":
    main()
