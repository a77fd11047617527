"""Neighbour distances: every search, by dimension, size and threads."""

from kldiv import neighbor_distances
from kldiv._backends import BACKENDS

from .common import DIMENSIONS, N_JOBS, gaussian_pair, image_like

# A tree visits nearly every row in many dimensions; larger samples say nothing new.
SIZE = {2: 6000, 20: 2000, 128: 1000, 784: 600}


class Search:
    """Both blocks of one pair of samples, by each algorithm."""

    params = (DIMENSIONS, ["auto", *BACKENDS], N_JOBS)
    param_names = ("n_features", "algorithm", "n_jobs")

    def setup(self, n_features, algorithm, n_jobs):
        size = SIZE[n_features]
        self.pair = gaussian_pair(size, size, n_features)
        small = [sample[:20] for sample in self.pair]
        try:  # also warms up whatever is compiled on first use
            self.search(small, algorithm, n_jobs)
        except (ImportError, ValueError) as error:
            raise NotImplementedError(str(error)) from error

    def search(self, pair, algorithm, n_jobs):
        neighbor_distances(*pair, n_neighbors=5, algorithm=algorithm, n_jobs=n_jobs)

    def time_xx_and_xy(self, n_features, algorithm, n_jobs):
        self.search(self.pair, algorithm, n_jobs)


class Memory:
    """Peak memory of a search with more pairs of rows than memory would hold."""

    params = ([2, 20],)
    param_names = ("n_features",)

    def setup(self, n_features):
        self.pair = gaussian_pair(20_000, 20_000, n_features)

    def peakmem_auto(self, n_features):
        neighbor_distances(*self.pair, n_neighbors=5)


class Pixels:
    """What "auto" makes of data that is wide but lies near a thin surface."""

    params = [600, 2000]
    param_names = ("n",)

    def setup(self, n):
        self.pair = image_like(n, n, 784)

    def time_auto(self, n):
        neighbor_distances(*self.pair, n_neighbors=5)


class Calls:
    """The cost of a call where there is next to nothing to search."""

    def setup(self):
        self.pair = gaussian_pair(20, 20, 2)

    def time_small(self):
        neighbor_distances(*self.pair, n_neighbors=5)
