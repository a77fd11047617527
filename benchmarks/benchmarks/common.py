"""Samples and grids that all benchmarks share."""

from __future__ import annotations

import numpy as np

SEED = 0
DIMENSIONS = [2, 20, 128, 784]
N_JOBS = [1, 2]


def gaussian_pair(n, m, n_features, shift=0.2, dtype=np.float64):
    """Samples of N(shift, I) and N(0, I): n_features * shift**2 / 2 nats apart."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(shift, 1, (n, n_features))
    Y = rng.normal(0, 1, (m, n_features))
    return X.astype(dtype), Y.astype(dtype)


def image_like(n, m, n_features, rank=12):
    """Two samples near a curved surface of few dimensions, as pixels are."""
    rng = np.random.default_rng(SEED)
    frame = rng.normal(size=(rank, n_features)) / np.sqrt(rank)
    samples = []
    for size, shift in ((n, 0.3), (m, 0.0)):
        hidden = rng.normal(shift, 1, (size, rank))
        rows = np.tanh(hidden @ frame) + 0.01 * rng.normal(size=(size, n_features))
        samples.append(rows.astype(np.float32))
    return samples


def labelled(n, n_features, n_classes=10):
    """Rows whose class is a shift of the mean, and labels."""
    rng = np.random.default_rng(SEED)
    y = rng.permutation(np.arange(n) % n_classes)
    means = rng.normal(size=(n_classes, n_features))
    return rng.normal(size=(n, n_features)) + means[y], y
