"""Neighbour distances: every search, by dimension, size and threads."""

from kldiv import neighbor_distances
from kldiv._backends import BACKENDS
from kldiv._neighbors import search

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
    """What a call costs where there is next to nothing to search: 50 rows each."""

    params = ([1, 2, 10], ["auto", "brute"])
    param_names = ("n_features", "algorithm")

    def setup(self, n_features, algorithm):
        self.pair = gaussian_pair(50, 50, n_features)

    def time_call_overhead(self, n_features, algorithm):
        """The core, on checked arrays, as an estimator calls it for each class."""
        search(*self.pair, 5, algorithm=algorithm)

    def time_public(self, n_features, algorithm):
        """The public function, which checks what it is given."""
        neighbor_distances(*self.pair, n_neighbors=5, algorithm=algorithm)


class UserMetric:
    """A metric in Python, compiled by Numba in the setup."""

    params = ([2, 128], N_JOBS)
    param_names = ("n_features", "n_jobs")

    def setup(self, n_features, n_jobs):
        self.pair = gaussian_pair(1000, 1000, n_features)
        small = [sample[:20] for sample in self.pair]
        try:
            neighbor_distances(*small, metric=by_hand, n_jobs=n_jobs)
        except ImportError as error:
            raise NotImplementedError(str(error)) from error

    def time_scan(self, n_features, n_jobs):
        neighbor_distances(*self.pair, metric=by_hand, n_jobs=n_jobs)


def by_hand(x, y):
    """The Euclidean metric, as a user would write it."""
    total = 0.0
    for i in range(len(x)):
        total += (x[i] - y[i]) ** 2
    return total**0.5
