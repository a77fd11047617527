"""Two Gaussian classes and a victim that answers exactly."""

import numpy as np


def soft_simulation(d, rng, n=1000):
    """The paper's two Gaussian classes and a victim that answers exactly."""
    labels = np.repeat([0, 1], n)
    X = rng.normal(size=(2 * n, d)) + np.where(labels == 0, -1, 1)[:, None]
    aux = rng.normal(size=(2 * n, d))

    def victim(rows):
        one = 1 / (1 + np.exp(-2 * rows.sum(axis=1)))
        return np.column_stack([1 - one, one])

    return X, labels, aux, victim
