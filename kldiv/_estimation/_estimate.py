"""From two checked samples to a result, whatever their columns are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kldiv._backends import one_blas_thread
from kldiv._estimation._columns import Asked, split_columns
from kldiv._estimation._continuous import estimate_continuous
from kldiv._estimation._mixed import estimate_mixed
from kldiv._estimation._options import Options
from kldiv._estimation._samples import compare_samples
from kldiv._results._results import DivergenceResult
from kldiv._typing import FloatArray


def estimate(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    asked: Asked,
    *,
    confidence_level: float | None = None,
    n_permutations: int = 0,
) -> DivergenceResult:
    """Divergence of two checked samples; the caller warns of the notes."""
    wanted: dict[str, Any] = {
        "confidence_level": confidence_level,
        "n_permutations": n_permutations,
    }
    return _in_nats(X, Y, options, asked, **wanted).in_base(options.base)


def _in_nats(
    X: FloatArray, Y: FloatArray, options: Options, asked: Asked, **wanted: Any
) -> DivergenceResult:
    if options.entry.needs == "samples":
        _refuse_categories(asked, options.name)
        return compare_samples(X, Y, options, wanted["n_permutations"])
    if not isinstance(options.metric, str):  # a user's may want all columns
        asked = replace(asked, look=False)
    # repeated rows that the user takes for copies are no point masses
    once = options.duplicates in ("drop", "expand")
    split = split_columns(X, Y, asked, once=once)
    if split is None:
        return estimate_continuous(X, Y, options, **wanted)
    with one_blas_thread():
        return estimate_mixed(X, Y, split, asked, options, **wanted)


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
