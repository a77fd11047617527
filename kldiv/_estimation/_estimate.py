"""From two checked samples to a result, whatever their columns are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kldiv._estimation._columns import Asked, split_columns
from kldiv._estimation._continuous import at_given_rows, estimate_continuous
from kldiv._estimation._mixed import estimate_mixed
from kldiv._estimation._options import Options
from kldiv._estimation._samples import compare_samples
from kldiv._estimation._stored import in_parts, refuse_discrete, refuse_unlimited
from kldiv._estimation._timing import say_how_long
from kldiv._results._results import DivergenceResult
from kldiv._typing import FloatArray, Rows
from kldiv._validation import Weights, one_blas_thread, within_limits


def estimate(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    asked: Asked,
    *,
    confidence_level: float | None = None,
    n_permutations: int = 0,
    weights: Weights | None = None,
) -> DivergenceResult:
    """Divergence of two checked samples; the caller warns of the notes."""
    if options.memory_limit is not None:
        refuse_unlimited(options.memory_limit, weights, n_permutations)
        X, Y = in_parts(X, Y, options.memory_limit)
    wanted: dict[str, Any] = {
        "confidence_level": confidence_level,
        "n_permutations": n_permutations,
    }
    if options.verbose:
        silent = replace(options, verbose=0, random_state=0)

        def of_parts(x: Rows, y: Rows) -> object:
            of_rows = None if weights is None else weights.taken(x, y)
            return estimate(X[x], Y[y], silent, asked, **wanted, weights=of_rows)

        say_how_long(of_parts, X, Y)
    with within_limits():
        if weights is None:
            result = _in_nats(X, Y, options, asked, **wanted)
        else:
            result = _weighted(X, Y, options, asked, weights, **wanted)
    if asked.named:
        result = replace(result, feature_names=asked.names)
    return result.in_base(options.base)


def _weighted(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    asked: Asked,
    weights: Weights,
    **wanted: Any,
) -> DivergenceResult:
    """The same of the rows whose weight is not zero."""
    x, y = np.flatnonzero(weights.of_x), np.flatnonzero(weights.of_y)
    left = weights.taken(x, y)
    if not left.uniform:
        _refuse_weights(options, wanted["n_permutations"])
        wanted["weights"] = left
    result = _in_nats(X[x], Y[y], options, asked, **wanted)
    if result.effects is not None:
        result = replace(result, effects=result.effects.among(x, y))
    if result.log_ratio is None:
        return result
    log_ratio = at_given_rows(result.log_ratio, (x, y), len(X))
    return replace(result, log_ratio=log_ratio)


def _in_nats(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    asked: Asked,
    **wanted: Any,
) -> DivergenceResult:
    if options.entry.needs == "samples":
        _refuse_categories(asked, options.name)
        return compare_samples(X, Y, options, wanted["n_permutations"])
    if not isinstance(options.metric, str):  # a user's may want all columns
        asked = replace(asked, look=False)
    # repeated rows that the user takes for copies are no point masses
    once = options.duplicates in ("drop", "expand")
    split = split_columns(X, Y, asked, once=once)
    if options.memory_limit is not None:
        refuse_discrete(split, asked.names)
    if split is None:
        return estimate_continuous(X, Y, options, **wanted)
    if options.exclusion_window:
        raise ValueError(
            f"exclusion_window={options.exclusion_window} is for columns that are all "
            "continuous, and some of these hold flags, codes or repeated values. "
            "Leave them out, or choose discrete=None to take them for continuous."
        )
    with one_blas_thread():
        return estimate_mixed(X, Y, split, asked, options, **wanted)


def _refuse_weights(options: Options, n_permutations: int) -> None:
    """Raise ValueError if what was asked for has no meaning for weighted rows."""
    if options.entry.needs == "samples":
        raise ValueError(
            f"divergence={options.name!r} averages distances between rows and takes no "
            "weights. Use 'kl', 'hellinger' or another divergence of density ratios."
        )
    if options.exclusion_window:
        raise ValueError(
            f"exclusion_window={options.exclusion_window} is for rows that count "
            "alike, and these have weights. Leave out one of the two."
        )
    if n_permutations:
        raise ValueError(
            f"n_permutations={n_permutations} permutes which sample a row is of, and "
            "rows with weights cannot be exchanged: they come from other "
            "distributions than those compared. Use n_permutations=0 and the "
            "confidence interval."
        )


def _refuse_categories(asked: Asked, name: str) -> None:
    """Raise ValueError if columns are categories for a divergence of distances."""
    if asked.discrete.any():
        columns = [asked.names[column] for column in np.flatnonzero(asked.discrete)]
        raise ValueError(
            f"divergence={name!r} averages distances of numbers, and these columns are "
            f"discrete: {', '.join(columns)}. Give numbers whose distances mean "
            "something (discrete=None takes codes for such), or use 'kl', 'hellinger' "
            "or another divergence of density ratios."
        )
