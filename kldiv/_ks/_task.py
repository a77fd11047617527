"""One test with checked arguments: what every method starts from and ends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._ks._relabellings import LANES, Relabellings, permutation_pvalue
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import Weights, check_sample

Array = NDArray[np.float64]

# Rows drawn from a law, for each row of X, by the methods that compare two samples.
DRAWS_PER_ROW = 4


@dataclass(frozen=True)
class Task:
    """Checked arguments of one test. Exactly one of Y and distribution is None.

    Weights are None where all rows count alike; else those of X come with ones for Y,
    if that is None.
    """

    X: FloatArray
    Y: FloatArray | None
    law: Any
    scalar: bool
    method: str
    alternative: str
    pvalue_method: str
    n_permutations: int
    n_directions: int
    threads: int
    rng: np.random.Generator
    verbose: int = 0
    names: list[str] | None = None
    weights: Weights | None = None

    @property
    def sizes(self) -> tuple[float, float]:
        """Rows of X and of Y that count for the distribution of a statistic."""
        if self.weights is None:
            return len(self.X), self.m
        return self.weights.effective_rows()

    @property
    def m(self) -> int:
        """Rows of Y, 0 if there is none."""
        return 0 if self.Y is None else len(self.Y)

    def reference(self) -> FloatArray:
        """Y, or a sample that stands for the distribution."""
        if self.Y is not None:
            return self.Y
        n, d = self.X.shape
        rows = DRAWS_PER_ROW * n
        if not hasattr(self.law, "rvs"):
            raise TypeError(
                f"method={self.method!r} draws from the distribution, but "
                f"{self.law!r} has no rvs. Pass a frozen distribution of scipy.stats, "
                "or a sample."
            )
        # A law of whole rows knows its dimension, one of numbers is drawn per entry.
        size = rows if hasattr(self.law, "dim") else (rows, d)
        sample = self.law.rvs(size=size, random_state=self.rng)
        return check_sample(
            np.asarray(sample, dtype=np.float64),
            "the sample of the distribution",
            n_features=d,
        )

    def probabilities(self, values: Array) -> Array:
        """``law.cdf(values)``, or ValueError if it is not one probability per value."""
        probability = np.asarray(self.law.cdf(values), dtype=np.float64)
        if probability.shape != values.shape:
            raise ValueError(
                f"the distribution gave probabilities of shape {probability.shape} "
                f"for values of shape {values.shape}; a distribution of one number is "
                "needed here. Use method='sliced', 'max-sliced' or "
                "'fasano-franceschini' with a distribution of whole rows."
            )
        if not ((probability >= 0) & (probability <= 1)).all():
            raise ValueError(
                "the cdf of the distribution gave values outside [0, 1] or NaN; check "
                "its parameters."
            )
        return probability

    def relabellings(self, m: int) -> Relabellings:
        """Ways to call the pooled rows X or Y, for m rows called Y."""
        told = f"blocks of {LANES} relabellings" if self.verbose else ""
        return Relabellings(len(self.X), m, self.n_permutations, self.rng, told)

    def result(self, **values: Any) -> KSResult:
        """The record of this test, with what the method found."""
        permuted = "permutation" if self.n_permutations else "none"
        defaults: dict[str, Any] = {
            "method": self.method,
            "pvalue_method": permuted,
            "alternative": self.alternative,
            "n": len(self.X),
            "m": self.m,
            "n_features": self.X.shape[1],
            "n_permutations": self.n_permutations,
            "feature_names": None if self.names is None else tuple(self.names),
        }
        if self.weights is not None:
            n_effective, m_effective = self.sizes
            defaults["n_effective"] = n_effective
            defaults["m_effective"] = None if self.Y is None else m_effective
        return KSResult(**(defaults | values))

    def one_number(
        self, m: int, gaps: NDArray[np.int64], unit: float, **more: Any
    ) -> KSResult:
        """Result of a method whose p-value comes from permutations only."""
        statistic = float(gaps[0] * unit)
        permuted = self.n_permutations > 0
        pvalue = float(permutation_pvalue(gaps)) if permuted else float("nan")
        return self.result(
            statistic=statistic,
            pvalue=pvalue,
            global_statistic=statistic,
            global_pvalue=pvalue,
            m=m,
            **more,
        )
