"""Parameters of the scorer, checked before anything is asked or fitted."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from kldiv._conditional._jobs import given_floors
from kldiv._estimators import KNNDivergence
from kldiv._threads import n_workers
from kldiv._validation import (
    check_choice,
    check_level,
    check_memory_limit,
    check_n_jobs,
    check_seed,
    check_verbose,
)

_CHOICES = {
    "conditioning": ("hard", "soft"),
    "on_unscored": ("nan", "raise"),
}


def _within_limit(scorer: Any, final: KNNDivergence) -> KNNDivergence:
    """The estimator for rows that are read in parts.

    Classes that are scored at a time share the limit.
    """
    limit = check_memory_limit(scorer.memory_limit, n_workers(scorer.n_jobs))
    for unable, told, able in (
        (scorer.conditioning == "soft", "conditioning='soft'", "conditioning='hard'"),
        (
            isinstance(scorer.estimator, Pipeline),
            "a pipeline as estimator",
            "a KNNDivergence, and a transformer for all classes",
        ),
    ):
        if unable:
            raise ValueError(
                f"memory_limit={scorer.memory_limit} reads rows in parts, and {told} "
                f"needs all rows of a class in memory. Choose {able}, or leave out "
                "memory_limit."
            )
    found: KNNDivergence = clone(final).set_params(memory_limit=limit)
    return found


def checked_estimator(scorer: Any) -> KNNDivergence:
    """The estimator of a scorer, or the end of its pipeline; parameters are checked."""
    for name, choices in _CHOICES.items():
        check_choice(getattr(scorer, name), choices, name)
    check_level(scorer.confidence_level)
    check_n_jobs(scorer.n_jobs)
    check_seed(scorer.random_state)
    check_verbose(scorer.verbose)
    given_floors(scorer.floors)
    estimator = KNNDivergence() if scorer.estimator is None else scorer.estimator
    final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(final, KNNDivergence):
        raise TypeError(
            "estimator must be a KNNDivergence or a Pipeline that ends in one; got "
            f"{estimator!r}."
        )
    if scorer.memory_limit is not None:
        final = _within_limit(scorer, final)
    final._check_parameters()
    if final.exclusion_window:
        raise ValueError(
            f"exclusion_window={final.exclusion_window}: the rows of a class are "
            "no series. Use 0, or KNNDivergence on one series at a time."
        )
    return final
