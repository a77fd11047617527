"""Kolmogorov-Smirnov: cost of every method, and error against closed forms."""

import numpy as np
from scipy import stats

from kldiv import ks_test


class Columns:
    """784 columns of 6000 and 1000 rows, p-values included."""

    params = (["gaussian", "pixels"], ["float32", "float64"], [None, 2])
    param_names = ("data", "dtype", "n_jobs")

    def setup(self, data, dtype, n_jobs):
        rng = np.random.default_rng(0)
        sizes = ((6000, 784), (1000, 784))
        if data == "gaussian":
            samples = [rng.standard_normal(size) for size in sizes]
        else:
            samples = [
                rng.integers(0, 256, size) * (rng.random(size) < 0.2) / 255
                for size in sizes
            ]
        self.X, self.Y = (sample.astype(dtype) for sample in samples)
        self.n_jobs = n_jobs

    def time_asymptotic(self, data, dtype, n_jobs):
        ks_test(self.X, self.Y, pvalue_method="asymp", n_jobs=n_jobs)

    def time_exact(self, data, dtype, n_jobs):
        ks_test(self.X, self.Y, pvalue_method="exact", n_jobs=n_jobs)

    def peakmem_asymptotic(self, data, dtype, n_jobs):
        ks_test(self.X, self.Y, pvalue_method="asymp", n_jobs=n_jobs)


class Permutations:
    """1000 relabellings of 6000 and 1000 rows."""

    params = ([1, 16, 784],)
    param_names = ("columns",)

    def setup(self, columns):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((6000, columns))
        self.Y = rng.standard_normal((1000, columns))

    def time_columns(self, columns):
        ks_test(self.X, self.Y, n_permutations=1000, random_state=0)


class Orthants:
    """Fasano-Franceschini, n = m."""

    params = ([(2, 5000), (2, 100_000), (3, 2000), (5, 2000)], [0, 199])
    param_names = ("d_and_n", "n_permutations")
    timeout = 300

    def setup(self, d_and_n, n_permutations):
        d, n = d_and_n
        if n == 100_000 and n_permutations:
            raise NotImplementedError("minutes")
        rng = np.random.default_rng(0)
        self.X, self.Y = rng.standard_normal((2, n, d))

    def time_statistic(self, d_and_n, n_permutations):
        ks_test(
            self.X,
            self.Y,
            method="fasano-franceschini",
            n_permutations=n_permutations,
            random_state=0,
        )


class Slices:
    """Directions and rows, 1000 rows in each sample."""

    params = (["sliced", "max-sliced", "rows"], [2, 20, 784], [0, 199])
    param_names = ("method", "d", "n_permutations")

    def setup(self, method, d, n_permutations):
        self.X, self.Y = np.random.default_rng(0).standard_normal((2, 1000, d))

    def time_test(self, method, d, n_permutations):
        ks_test(
            self.X,
            self.Y,
            method=method,
            n_permutations=n_permutations,
            random_state=0,
        )


class Search:
    """How much of the largest gap the search of "max-sliced" finds."""

    params = ([2, 10, 50],)
    param_names = ("d",)

    def setup(self, d):
        rng = np.random.default_rng(0)
        direction = np.ones(d) / np.sqrt(d)
        self.X = rng.standard_normal((2000, d))
        self.Y = rng.standard_normal((2000, d)) + 2 * direction

    def track_missing_gap(self, d):
        """Total variation of the two laws, less the gap that was found."""
        found = ks_test(self.X, self.Y, method="max-sliced", random_state=0)
        return 2 * stats.norm.cdf(1) - 1 - found.statistic


class Law:
    """Distance of the compiled law from scipy's."""

    params = ([857, 10_000],)
    param_names = ("n",)

    def track_error_of_pvalues(self, n):
        from kldiv._ks._pvalues import kstwo_sf

        x = np.linspace(0.2, 3, 200) / np.sqrt(n)
        return np.abs(kstwo_sf(x, n) - stats.kstwo.sf(x, n)).max()
