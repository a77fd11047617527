"""Distributions of the one-dimensional Kolmogorov-Smirnov statistic under the null."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, smirnov
from scipy.stats import ksone, kstwo, kstwobign

import kldiv._kernels._ks as kernels

Array = NDArray[np.float64]

# scipy's rule: exact up to this many rows in the larger sample.
LARGEST_EXACT = 10_000
# Above, the series of Pelz and Good has ten digits wherever Durbin's matrix was used.
LARGEST_DURBIN = 5000
# Logarithms of binomials keep ten digits up to here.
LARGEST_SUM = 100_000
PVALUE_METHODS = ("auto", "exact", "asymp")


def two_sample_pvalues(
    statistic: Array, n: float, m: float, alternative: str, method: str
) -> tuple[Array, str]:
    """P-values of two-sample statistics, and the method that ``"auto"`` chose.

    Sizes need not be whole for ``"asymp"``.
    """
    if method == "auto":
        method = "exact" if max(n, m) <= LARGEST_EXACT else "asymp"
    if method == "exact":
        return _exact(statistic, int(n), int(m), alternative), method
    effective = n * m / (n + m)
    if alternative == "two-sided":
        if round(effective) == 0:
            raise ValueError(
                "pvalue_method='asymp' needs more rows than one in each sample; got "
                f"n={n}, m={m}. Use pvalue_method='exact'."
            )
        pvalue = kstwo_sf(statistic, round(effective))
    else:  # Hodges 1958, equation 5.3
        larger, smaller = max(n, m), min(n, m)
        z = np.sqrt(effective) * statistic
        slope = (larger + 2.0 * smaller) / math.sqrt(
            float(larger) * smaller * (larger + smaller)
        )
        pvalue = np.exp(-2 * z**2 - 2 * z * slope / 3)
    return np.clip(pvalue, 0, 1), method


def one_sample_pvalues(
    statistic: Array, n: int, alternative: str, method: str
) -> tuple[Array, str]:
    """P-values of statistics against a continuous distribution, and the method used."""
    if alternative != "two-sided":
        return np.asarray(ksone.sf(statistic, n)), "exact"
    if method == "asymp":
        return np.asarray(kstwobign.sf(statistic * math.sqrt(n))), method
    return np.clip(kstwo_sf(statistic, n), 0, 1), "exact"


def _exact(statistic: Array, n: int, m: int, alternative: str) -> Array:
    divisor = math.gcd(n, m)
    steps = np.rint(statistic * (n // divisor * m)).astype(np.int64)
    distinct, inverse = np.unique(steps, return_inverse=True)
    pvalue = np.empty(len(distinct))
    # Short rows and long columns: the lattice is symmetric in the two samples.
    kernels.exact_pvalues(
        distinct, min(n, m), max(n, m), divisor, alternative == "two-sided", pvalue
    )
    return np.clip(pvalue, 0, 1)[inverse]


def kstwo_sf(statistic: Array, n: int) -> Array:
    """``scipy.stats.kstwo.sf`` for one n, compiled or vectorised where n > 140.

    The choice among formulas is that of Simard and L'Ecuyer 2011.
    """
    distinct, inverse = np.unique(statistic, return_inverse=True)
    pvalue = np.empty(len(distinct))
    usual = (n > 140) & (n * distinct > 1) & (distinct < 0.5)
    tail = usual & (n * distinct**2 >= 2.2)
    durbin = usual & (n * distinct**1.5 <= 1.4) & (n <= LARGEST_DURBIN)
    series = usual & ~tail & ~durbin
    pvalue[tail] = 2 * one_sided_sf(distinct[tail], n)
    pvalue[series] = 1 - _pelz_good_cdf(distinct[series], n)
    if durbin.any():
        probability = np.empty(durbin.sum())
        kernels.durbin_cdf(distinct[durbin], n, probability)
        pvalue[durbin] = 1 - probability
    pvalue[~usual] = kstwo.sf(distinct[~usual], n)
    return pvalue[inverse]


def one_sided_sf(statistic: Array, n: int) -> Array:
    """P(D_n^+ >= x), the sum of Birnbaum and Tingey 1951."""
    if n > LARGEST_SUM:
        return np.asarray(smirnov(n, statistic))
    pvalue = np.empty(len(statistic))
    if len(pvalue):
        log_factorial = gammaln(np.arange(n + 1) + 1.0)
        kernels.one_sided_sf(statistic, log_factorial, pvalue)
    return pvalue


def _pelz_good_cdf(statistic: Array, n: int) -> Array:
    """Pelz and Good 1976: four terms of the expansion of P(D_n <= x) in 1 / sqrt(n)."""
    z = math.sqrt(n) * statistic
    odd = 2 * np.arange(1, int(np.ceil(16 * z.max(initial=0) / np.pi)) + 1)[:, None] - 1
    whole = (odd + 1) / 2
    a = (np.pi * odd / 2) ** 2  # half-integer frequencies, squared
    b = (np.pi * whole) ** 2
    theta = np.exp(-a / (2 * z**2))
    extra = b * np.exp(-b / (2 * z**2))
    k0 = theta.sum(axis=0) / z
    k1 = ((a - z**2) * theta).sum(axis=0) / (6 * z**4)
    k2 = 6 * z**6 + 2 * z**4 + (2 * z**4 - 5 * z**2) * a + (1 - 2 * z**2) * a**2
    k3 = (
        -30 * z**6
        - 90 * z**8
        + (135 * z**4 - 96 * z**6) * a
        + (212 * z**4 - 60 * z**2) * a**2
        + (5 - 30 * z**2) * a**3
    )
    second = (k2 * theta).sum(axis=0) / (72 * z**7) - extra.sum(axis=0) / (36 * z**3)
    third = (k3 * theta).sum(axis=0) / (6480 * z**10)
    third += ((3 * z**2 - b) * extra).sum(axis=0) / (216 * z**6)
    total = k0 + k1 / n**0.5 + second / n + third / n**1.5
    return np.asarray(math.sqrt(2 * np.pi) * total)


def bonferroni(pvalue: Array) -> Array:
    """Adjusted p-values that control the family-wise error under any dependence."""
    return np.minimum(1.0, pvalue * len(pvalue))


def holm(pvalue: Array) -> Array:
    """Holm's step-down adjustment: never larger than Bonferroni's."""
    order = np.argsort(pvalue)
    stepped = pvalue[order] * np.arange(len(pvalue), 0, -1)
    adjusted = np.empty(len(pvalue))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted


def benjamini_hochberg(pvalue: Array) -> Array:
    """Adjusted p-values that control the false discovery rate."""
    order = np.argsort(pvalue)[::-1]
    stepped = pvalue[order] * len(pvalue) / np.arange(len(pvalue), 0, -1)
    adjusted = np.empty(len(pvalue))
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(stepped))
    return adjusted


ADJUSTMENTS: dict[str, Callable[[Array], Array]] = {
    "bonferroni": bonferroni,
    "holm": holm,
    "benjamini_hochberg": benjamini_hochberg,
}
