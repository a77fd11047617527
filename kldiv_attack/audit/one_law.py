"""What rows of one distribution give: floors of the divergence, and p-values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import (
    ConditionalKLScorer,
    DivergenceWarning,
    KNNDivergence,
    estimate_divergence,
)
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import ClassTable

Rows = NDArray[np.float64]

# More rows cost time and tell nothing new.
MOST_ROWS = 2000
PERMUTATIONS = 199


def floors(
    train: Rows,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    *,
    n_jobs: int | None = None,
    bar: Any = None,
) -> list[float | None]:
    """Divergence of one half of the training rows of each class from the other.

    Parameters
    ----------
    train, labels : ndarray
        Features and classes of the training rows.
    class_names : sequence of str
        Names of the classes.
    n_jobs : int, optional
        Classes scored at a time.
    bar : tqdm, optional
        Told of the classes once all are done.

    Returns
    -------
    list of float or None
        In nats, as ``ConditionalKLScorer.score_halves`` has them; None where a half
        cannot be scored.
    """
    scorer = ConditionalKLScorer(
        KNNDivergence(duplicates="drop"), transformer=None, n_jobs=n_jobs
    )
    halves = scorer.score_halves((train, labels))
    if bar is not None:
        bar.update(len(np.unique(labels)))
    found = (halves.get(c, np.nan) for c in range(len(class_names)))
    return [None if np.isnan(one) else one for one in found]


def pvalues(
    train: Rows,
    labels: NDArray[np.int64],
    aux: Rows,
    answers: Answers,
    n_classes: int,
    seed: int,
) -> list[float | None]:
    """p-value per class of "training and auxiliary rows have one distribution".

    Parameters
    ----------
    train, labels : ndarray
        Features and classes of the training rows.
    aux, answers : ndarray and Answers
        Auxiliary rows and what the victim calls them.
    n_classes : int
        Number of classes.
    seed : int
        Of the permutations and of the rows, at most ``MOST_ROWS`` of either kind.

    Returns
    -------
    list of float or None
        None where rows are too few.
    """
    found: list[float | None] = []
    for c in range(n_classes):
        rng = np.random.default_rng([seed, c])
        pair = [
            rows[rng.permutation(len(rows))[:MOST_ROWS]]
            for rows in (train[labels == c], aux[answers.labels == c])
        ]
        try:
            with warnings.catch_warnings():  # notes of the score tell
                warnings.simplefilter("ignore", DivergenceWarning)
                result = estimate_divergence(
                    *pair,
                    correction=None,
                    duplicates="drop",
                    n_permutations=PERMUTATIONS,
                    random_state=rng,
                )
        except ValueError:  # too few rows, which the table gives as a reason
            found.append(None)
        else:
            found.append(result.pvalue)
    return found


def with_columns(table: ClassTable, **columns: list[float | None]) -> ClassTable:
    """The table with further columns."""
    return replace(table, columns={**table.columns, **columns})
