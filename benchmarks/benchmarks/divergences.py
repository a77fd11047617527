"""Divergences: cost and statistical error of every correction."""

import numpy as np

from kldiv import estimate_divergence, kl_divergence
from kldiv._divergences import DIVERGENCES
from kldiv._ratio._corrections import CORRECTIONS

from .common import gaussian_pair


class Corrections:
    """One estimate from 1000 and 500 rows."""

    params = ([1, 5, 20, 50], ["auto", *CORRECTIONS])
    param_names = ("n_features", "correction")

    def setup(self, n_features, correction):
        self.pair = gaussian_pair(1000, 500, n_features, shift=1.0)

    def time_estimate(self, n_features, correction):
        kl_divergence(*self.pair, correction=correction)

    def track_relative_error(self, n_features, correction):
        """Mean error over ten slices of one sample, as a share of the truth."""
        X, Y = gaussian_pair(5000, 5000, n_features, shift=1.0)
        found = [
            kl_divergence(X[i::10], Y[i::10], correction=correction) for i in range(10)
        ]
        return abs(np.mean(found) / (n_features / 2) - 1)


class Divergences:
    """Every divergence of the registry."""

    params = [list(DIVERGENCES)]
    param_names = ("divergence",)

    def setup(self, divergence):
        self.pair = gaussian_pair(1000, 500, 5, shift=0.5)
        estimate_divergence(*self.pair, divergence=divergence)

    def time_estimate(self, divergence):
        estimate_divergence(*self.pair, divergence=divergence)


class Duplicates:
    """Finding repeated rows, clean data and data full of ties."""

    params = ["clean", "repeated"]
    param_names = ("data",)

    def setup(self, data):
        self.X, self.Y = gaussian_pair(5000, 5000, 20)
        if data == "repeated":
            self.X[2500:] = self.X[:2500]

    def time_drop(self, data):
        kl_divergence(self.X, self.Y, duplicates="drop", correction=None)
