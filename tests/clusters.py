"""Rows of four clusters that lie apart."""

import numpy as np


def four_clusters(rng, n_rows):
    centres = np.repeat(np.array([[0.0, 0], [9, 0], [0, 9], [9, 9]]), n_rows, axis=0)
    return centres + rng.normal(size=centres.shape)
