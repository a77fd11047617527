"""Rank correlations over pairs of auxiliary set and class, and what chance gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

Floats = NDArray[np.float64]

__all__ = ["RankCorrelations", "rank_correlations", "spearman", "spearman_interval"]


@dataclass(frozen=True)
class RankCorrelations:
    """Spearman correlation of several predictors with one outcome.

    Attributes
    ----------
    n_pairs : int
        Pairs that could be compared.
    rho : ndarray of shape (n_predictors,)
        Mean over the seeds; NaN where there is no order to compare.
    lowest, highest : ndarray of shape (n_predictors,)
        Smallest and largest over the seeds.
    null_low, null_high : ndarray of shape (n_predictors,)
        Where 95 % of the permutations lie.
    pvalue : ndarray of shape (n_predictors,)
        Share of permutations with a correlation at least as far from zero, two-sided.
    pvalue_any : ndarray of shape (n_predictors,)
        The same for the largest of all predictors (Westfall and Young 1993): allows for
        having looked at several.
    low, high : ndarray of shape (n_predictors,)
        Where 95 % of the correlations lie when the pairs are drawn anew (bootstrap).
    strongest : ndarray of shape (n_predictors,)
        Share of bootstrap samples of the pairs in which this predictor has the
        correlation farthest on the expected side.
    """

    n_pairs: int
    rho: Floats
    lowest: Floats
    highest: Floats
    null_low: Floats
    null_high: Floats
    pvalue: Floats
    pvalue_any: Floats
    low: Floats
    high: Floats
    strongest: Floats


def rank_correlations(
    predictors: Floats,
    outcome: Floats,
    groups: NDArray[np.intp],
    *,
    within: bool = False,
    sign: int = -1,
    n_permutations: int = 2000,
    random_state: int = 0,
) -> RankCorrelations:
    """Spearman correlations, averaged over seeds, with permutations of the pairs.

    Parameters
    ----------
    predictors : array of shape (n_seeds, n_pairs, n_predictors)
        Known before the attack.
    outcome : array of shape (n_seeds, n_pairs)
        Measured after it.
    groups : array of shape (n_pairs,)
        Auxiliary set of each pair.
    within : bool, default=False
        Rank and permute inside each group, and average over the groups; else all pairs
        together.
    sign : {-1, 1}, default=-1
        Sign that is expected.
    n_permutations : int, default=2000
        Permutations, and bootstrap samples.
    random_state : int, default=0
        Seed of both.

    Returns
    -------
    RankCorrelations
        One value per predictor.

    Notes
    -----
    A pair is permuted in all seeds alike: seeds are repetitions on the same data and
    add no independent pairs. A pair that lacks a number in any seed is left out.
    """
    known = np.isfinite(predictors).all((0, 2)) & np.isfinite(outcome).all(0)
    x, y, groups = predictors[:, known], outcome[:, known], groups[known]
    parts = [groups == g for g in np.unique(groups)] if within else [groups == groups]
    parts = [part for part in parts if part.sum() > 2]
    n_predictors = predictors.shape[2]
    if not parts:
        empty = np.full(n_predictors, np.nan)
        return RankCorrelations(int(known.sum()), *[empty] * 10)
    rng = np.random.default_rng(random_state)
    ranks = [(_unit_ranks(x[:, p]), _unit_ranks(y[:, p])) for p in parts]
    per_seed = _correlate(ranks)
    rho = _mean(per_seed)
    shuffled = _shuffles(ranks, n_permutations, rng)
    null = np.stack([_mean(_correlate(one)) for one in shuffled])
    largest = np.nanmax(np.abs(np.nan_to_num(null)), axis=1)[:, None]
    low, high, strongest = _drawn_anew(x, y, parts, sign, n_permutations, rng)
    ends = np.stack([_least(per_seed), -_least(-per_seed), low, high])
    ends[:, np.isnan(rho)] = np.nan
    inner = np.quantile(null, [0.025, 0.975], axis=0)
    return RankCorrelations(
        int(known.sum()), rho, ends[0], ends[1], inner[0], inner[1],
        _pvalues(null, rho), _pvalues(largest, rho), ends[2], ends[3], strongest,
    )  # fmt: skip


Ranks = list[tuple[Floats, Floats]]


def _unit_ranks(values: Floats) -> Floats:
    """Ranks along the pairs, centred and of length one; NaN where all are equal."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    unit: Floats = ranks / np.where(length == 0, np.nan, length)
    return unit


def _correlate(ranks: Ranks) -> Floats:
    """Correlations per seed and predictor: the mean of the parts that have an order."""
    values = np.stack([np.einsum("snp,sn->sp", x, y) for x, y in ranks])
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(count, total / np.maximum(count, 1), np.nan)


def _mean(per_seed: Floats) -> Floats:
    """Mean over the seeds; NaN if any seed has no order to compare."""
    mean: Floats = per_seed.mean(axis=0)
    return mean


def _least(per_seed: Floats) -> Floats:
    least: Floats = per_seed.min(axis=0)
    return least


def _shuffles(ranks: Ranks, n: int, rng: np.random.Generator) -> Iterator[Ranks]:
    for _ in range(n):
        yield [(x, y[:, rng.permutation(y.shape[1])]) for x, y in ranks]


def _pvalues(null: Floats, rho: Floats) -> Floats:
    """Share of permutations at least as far from zero; NaN without an order."""
    hits = (np.abs(null) >= np.abs(rho) - 1e-12).sum(axis=0)
    return np.where(np.isnan(rho), np.nan, (hits + 1) / (len(null) + 1))


def _drawn_anew(
    x: Floats,
    y: Floats,
    parts: list[NDArray[np.bool_]],
    sign: int,
    n: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Interval of each predictor, and how often it wins, in bootstrap samples."""
    wins = np.zeros(x.shape[2])
    found = np.full((max(n, 1), x.shape[2]), np.nan)
    for i in range(n):
        drawn = []
        for part in parts:
            rows = np.flatnonzero(part)
            rows = rows[rng.integers(0, len(rows), len(rows))]
            drawn.append((_unit_ranks(x[:, rows]), _unit_ranks(y[:, rows])))
        found[i] = _mean(_correlate(drawn))
        score = sign * found[i]
        if np.isfinite(score).any():
            best = score == np.nanmax(score)
            wins += best / best.sum()
    ends = np.full((2, x.shape[2]), np.nan)
    known = np.isfinite(found).any(axis=0)
    ends[:, known] = np.nanquantile(found[:, known], [0.025, 0.975], axis=0)
    strongest = wins / n if wins.any() else np.full(x.shape[2], np.nan)
    return ends[0], ends[1], strongest


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation of the pairs that are known, NaN without an order to compare."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return np.nan
    return float(spearmanr(a, b).statistic)


def spearman_interval(
    a: Floats, b: Floats, *, n_resamples: int = 2000, random_state: int = 0
) -> tuple[float, float, float]:
    """Rank correlation and the 95 % percentile interval over resampled pairs."""
    rng = np.random.default_rng(random_state)
    drawn = rng.integers(0, len(a), (n_resamples, len(a)))
    values = np.array([spearman(a[rows], b[rows]) for rows in drawn])
    if not np.isfinite(values).any():
        return np.nan, np.nan, np.nan
    low, high = np.nanquantile(values, [0.025, 0.975])
    return spearman(a, b), float(low), float(high)
