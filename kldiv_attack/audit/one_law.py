"""What rows of one distribution give: floors of the divergence, and p-values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import DivergenceWarning, estimate_divergence
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import ClassTable
from kldiv_attack.audit.scoring import score, table_of

Rows = NDArray[np.float64]

# More rows cost time and tell nothing new.
MOST_ROWS = 2000
PERMUTATIONS = 199


def floors(
    train: Rows,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    seed: int,
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
    seed : int
        Of the halves.
    n_jobs : int, optional
        Classes scored at a time.
    bar : progress bar, optional
        Told of every class that is done.

    Returns
    -------
    list of float or None
        In nats, of at most ``MOST_ROWS`` rows; None where a half cannot be scored.
    """
    rng = np.random.default_rng(seed)
    halves: tuple[list[Any], list[Any]] = ([], [])
    for c in range(len(class_names)):
        rows = rng.permutation(np.flatnonzero(labels == c))[:MOST_ROWS]
        halves[0].append(rows[::2])
        halves[1].append(rows[1::2])
    first, second = (np.concatenate(half) for half in halves)
    scores = score(
        train[first],
        labels[first],
        train[second],
        Answers(labels[second]),
        class_names,
        n_jobs=n_jobs,
        bar=bar,
    )
    table = table_of(scores, class_names, victim="", defence="", aux="")
    return [
        table.value("kl", c) if table.evaluable(c) else None
        for c in range(len(class_names))
    ]


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
