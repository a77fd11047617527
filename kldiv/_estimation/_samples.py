"""Divergences of the samples themselves, without neighbours or densities."""

from __future__ import annotations

import numpy as np

from kldiv._duplicates import count_duplicates
from kldiv._errors._permutations import permutation_pvalue
from kldiv._estimation._options import Options
from kldiv._order import in_order
from kldiv._results._results import DivergenceResult
from kldiv._trust import Outcome, notes_of, verdict
from kldiv._typing import FloatArray
from kldiv._validation import brought_into_range, generator_of, restored


def compare_samples(
    X: FloatArray, Y: FloatArray, options: Options, n_permutations: int
) -> DivergenceResult:
    """A divergence that is defined by the distances of all rows, as they are given.

    Rows may repeat, and two of each sample are enough.
    """
    if min(len(X), len(Y)) < 2:
        raise ValueError(
            f"divergence={options.name!r} needs at least 2 rows in each sample; X has "
            f"n_samples={len(X)}, Y has n_samples={len(Y)}. Add rows."
        )
    X, Y, shift = brought_into_range(X, Y)
    X, Y, _, _ = in_order(X, Y)
    value = options.entry.compute(X.astype(np.float64), Y.astype(np.float64))
    facts = {"notes": (), "coverage": np.nan}
    outcome = Outcome(X, Y, X.shape[1], [], {}, facts, False, False, False)
    notes = notes_of(outcome, ("few rows",))
    return DivergenceResult(
        value=restored(value, shift * options.entry.degree, f"{options.name} distance"),
        n=len(X),
        m=len(Y),
        n_features=X.shape[1],
        n_neighbors=options.n_neighbors,
        divergence=options.name,
        correction=None,
        algorithm="none: all distances",
        n_duplicates=count_duplicates(X, Y)[0].total,
        duplicates=options.duplicates,
        coverage=np.nan,
        pvalue=pvalue_of(X, Y, options, n_permutations) if n_permutations else None,
        notes=notes,
        trust=verdict(notes),
    )


def pvalue_of(
    X: FloatArray, Y: FloatArray, options: Options, n_permutations: int
) -> float:
    """Permutation p-value of "both samples have one distribution"."""
    rng, threads = generator_of(options.random_state), options.settings.threads
    return permutation_pvalue(
        X,
        Y,
        options.n_neighbors,
        n_permutations,
        rng,
        threads,
        options.metric,
        options.exclusion_window,
    )
