"""From two checked samples to a prepared pair: ranges, duplicates, notes.

What the estimators need to know about the samples is found out here, once; everything
below takes a prepared pair and trusts it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kldiv._duplicates import (
    DuplicateCounts,
    count_duplicates,
    discrete_columns,
    dither,
    grid_steps,
    refuse_duplicates,
    row_ids,
)
from kldiv._far_rows import RANGES, far_rows
from kldiv._order import in_order, of_rows, row_order, taken
from kldiv._preparation._flat import singular_notes
from kldiv._ranges import (
    Moments,
    Sample,
    informative,
    informative_columns,
    moments_of,
    span_of,
)
from kldiv._typing import FloatArray, Mask, Rows, UserMetric
from kldiv._validation import Weights, check_sizes, generator_of
from kldiv._warnings import (
    DiscreteDataWarning,
    Note,
    SameSampleWarning,
    TrustWarning,
)

DUPLICATE_POLICIES = ("raise", "drop", "expand", "dither")

# Repeated rows up to this share of all rows leave duplicates="expand" an estimate.
_FEW_TIES = 0.05
_DISCRETE = {
    "raise": "",
    "drop": "duplicates='drop' leaves {n} rows of X and {m} of Y. ",
    "expand": "duplicates='expand' only keeps it finite. ",
}


@dataclass(frozen=True, eq=False)
class PreparedPair:
    """Two samples that nothing needs to be checked of any more.

    Attributes
    ----------
    X, Y : ndarray of shape (n, d) and (m, d), float32 or float64
        C-contiguous, of one dtype, in the plane that holds the rows. Samples that are
        read in parts for what only searches them.
    dimension : int
        Of that plane; below d only where the metric needs every column in its place.
    n_duplicates : int
        Rows that repeated another row or were shared, before anything was done.
    same_sample : bool
        Whether X and Y held the same rows: then there is nothing to estimate.
    ids : ndarray of shape (n + m,), or None
        The first row of X and Y that equals each row, where rows repeat: equal rows
        must keep equal coordinates, and a matrix product can round them differently.
    notes : tuple of Note
        What stands against an estimate.
    order : tuple of ndarray, or None
        Which of the rows given each row of X and of Y is; None if they are as given.
    weights : Weights, or None
        Of the rows of X and of Y, where they do not all count alike.
    """

    X: FloatArray
    Y: FloatArray
    dimension: int
    n_duplicates: int
    same_sample: bool = False
    ids: Rows | None = None
    notes: tuple[Note, ...] = ()
    order: tuple[Rows, Rows] | None = None
    weights: Weights | None = None

    def exchanged(self) -> PreparedPair:
        """The same pair with the roles of X and Y exchanged."""
        ids, n = self.ids, len(self.X)
        if ids is not None:
            moved = np.concatenate([ids[n:], ids[:n]])
            _, first, inverse = np.unique(moved, return_index=True, return_inverse=True)
            ids = first[inverse]
        order = None if self.order is None else self.order[::-1]
        weights = None if self.weights is None else self.weights.exchanged()
        return replace(self, X=self.Y, Y=self.X, ids=ids, order=order, weights=weights)

    def weighted(self, weights: Weights) -> PreparedPair:
        """The same pair with weights of the rows as they were given."""
        if self.order is not None:
            weights = weights.taken(*self.order)
        if self.same_sample:
            _check_same_weights(self.X, self.Y, weights)
        return replace(self, weights=weights)

    @property
    def places(self) -> tuple[Rows, Rows]:
        """When the rows of X and of Y came: their numbers among those given."""
        return self.order or (np.arange(len(self.X)), np.arange(len(self.Y)))

    def in_time(self) -> tuple[FloatArray, FloatArray]:
        """Both samples in the order in which they were given."""
        x, y = (np.argsort(of) for of in self.places)
        return self.X[x], self.Y[y]

    def kept(self, X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The samples as they were given, without the rows that were dropped."""
        if self.order is None or (len(self.X), len(self.Y)) == (len(X), len(Y)):
            return X, Y
        return X[np.sort(self.order[0])], Y[np.sort(self.order[1])]

    def with_equal_rows(
        self, X: FloatArray, Y: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """These coordinates of both samples, the same for rows that were equal."""
        if self.ids is None:
            return X, Y
        rows = np.concatenate([X, Y])[self.ids]
        return rows[: len(X)], rows[len(X) :]


def prepare(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    *,
    duplicates: str,
    metric: str | UserMetric,
    random_state: Any,
    finite: bool,
    robust: bool = False,
    any_basis: bool = False,
) -> PreparedPair:
    """Prepare two checked samples for neighbour estimators.

    `finite` says that the divergence is finite whatever the distributions are, which is
    all that notes need to know about it; `robust` that rows far from all others are
    left out; `any_basis` that only distances count of rows that are brought into a
    plane.
    """
    euclidean = metric == "euclidean"
    # another metric may need every column in its place
    kept = informative(X, Y) if euclidean else None
    given, moved = (X, Y), isinstance(metric, str) and not any_basis
    X, Y, order, columns = whole = in_order(X, Y, columns=moved, kept=kept)
    counts, keep_x, keep_y = count_duplicates(X, Y)
    if counts.same_sample:
        note = same_sample_note(len(X))
        return PreparedPair(X, Y, X.shape[1], counts.total, True, None, (note,), order)
    discrete = _looks_discrete(X, Y, counts)
    if counts.total and duplicates == "raise":
        refuse_duplicates(counts, discrete=discrete)
    notes = duplicate_notes(counts, discrete, duplicates, keep_x, keep_y)
    if counts.total and duplicates == "drop":
        _check_left(int(keep_x.sum()), int(keep_y.sum()), n_neighbors, counts)
        X, Y, order = _left(X, Y, order, (keep_x, keep_y), metric)
    if robust:
        X, Y, order, told = _without_far_rows(X, Y, order)
        notes += told
    if duplicates == "dither" and (counts.total or discrete):
        X, Y = _spread(X, Y, random_state)
    check_sizes(n_neighbors, len(X), len(Y))
    ids = row_ids(X, Y) if counts.total and duplicates == "expand" else None
    samples = (X, Y) if euclidean else informative_columns(X, Y)
    span = span_of(*_known(samples, whole[:2], given, columns), any_basis=any_basis)
    d, X, Y = span.X.shape[1], *((span.X, span.Y) if euclidean else (X, Y))
    notes += singular_notes(span.X, span.Y, span.flat, finite=finite)
    return PreparedPair(X, Y, d, counts.total, False, ids, notes, order)


def _known(
    samples: tuple[FloatArray, FloatArray],
    whole: tuple[FloatArray, FloatArray],
    given: tuple[FloatArray, FloatArray],
    columns: Rows,
) -> list[Sample]:
    """The samples, with the moments of those given if they are still all of these."""
    return [
        Sample(
            rows, partial(_known_moments, one, columns) if rows is all_rows else None
        )
        for rows, all_rows, one in zip(samples, whole, given, strict=True)
    ]


def _known_moments(given: FloatArray, columns: Rows) -> Moments:
    """Moments of some columns of the rows as they were given."""
    return _moments_in_order(given).of_columns(columns)


@of_rows
def _moments_in_order(rows: FloatArray) -> Moments:
    """Moments of rows, whose order has no say in the last digits."""
    d = rows.shape[1]
    varies = np.flatnonzero((rows != rows[0]).any(axis=0))
    some = moments_of(taken(rows, row_order(rows), varies))
    if varies.size == d:
        return some
    # columns of one value, as at the edge of images, would take part in the products
    mean, scatter = rows[0].astype(np.float64), np.zeros((d, d))
    mean[varies], scatter[np.ix_(varies, varies)] = some.mean, some.scatter
    return Moments(some.n, mean, scatter)


def _check_same_weights(X: FloatArray, Y: FloatArray, weights: Weights) -> None:
    """Raise ValueError if two samples of the same rows are weighted differently."""
    ids = row_ids(X, Y)
    of_x, of_y = (
        np.bincount(one, mass, minlength=ids.size)
        for one, mass in ((ids[: len(X)], weights.of_x), (ids[len(X) :], weights.of_y))
    )
    if not np.allclose(of_x, of_y, rtol=1e-9, atol=0):
        raise ValueError(
            f"X and Y hold the same {len(X)} rows with different weights: neighbours "
            "say nothing that the weights do not. For weights w of X and v of Y, each "
            "divided by its sum, the divergence is sum(w * log(w / v)); for an "
            "estimate from neighbours bring independent rows for Y."
        )


def _left(
    X: FloatArray,
    Y: FloatArray,
    order: tuple[Rows, Rows],
    stay: tuple[Mask, Mask],
    metric: str | UserMetric = "euclidean",
) -> tuple[FloatArray, FloatArray, tuple[Rows, Rows]]:
    """The rows that stay, in order again, and which of the rows given they are."""
    X, Y, kept, _ = in_order(X[stay[0]], Y[stay[1]], columns=isinstance(metric, str))
    return X, Y, (order[0][stay[0]][kept[0]], order[1][stay[1]][kept[1]])


def _without_far_rows(
    X: FloatArray, Y: FloatArray, order: tuple[Rows, Rows]
) -> tuple[FloatArray, FloatArray, tuple[Rows, Rows], tuple[Note, ...]]:
    """Both samples without rows that lie alone, and a note of it."""
    far_x, far_y = far_rows(X), far_rows(Y)
    if not (far_x.any() or far_y.any()):
        return X, Y, order, ()
    told = _far_rows_note(far_x, far_y)
    return *_left(X, Y, order, (~far_x, ~far_y)), (told,)


def _far_rows_note(far_x: Mask, far_y: Mask) -> Note:
    """What was left out, and what that means."""
    counts = [
        f"{far.sum()} of {far.size} rows of {name}"
        for name, far in (("X", far_x), ("Y", far_y))
        if far.any()
    ]
    text = (
        f"{' and '.join(counts)} lie alone, more than {RANGES:.0f} interquartile "
        "ranges from all others of their sample, and were left out: so few rows would "
        "decide the scales and the fits. Remove them if they are fill values or "
        "misprints; if they belong to the distribution, the value is that of the other "
        "rows."
    )
    return Note(text, TrustWarning, "caution", "far rows")


def same_sample_note(n_rows: int) -> Note:
    return Note(
        f"X and the reference hold the same {n_rows} rows, so their empirical "
        "distributions are equal and the divergence is exactly 0; nothing was "
        "estimated. Compare with an independent sample.",
        SameSampleWarning,
        name="same sample",
    )


def duplicate_notes(
    counts: DuplicateCounts, discrete: str, duplicates: str, keep_x: Mask, keep_y: Mask
) -> tuple[Note, ...]:
    """What repeated rows and values say against an estimate."""
    if duplicates != "dither" and discrete:
        text = (
            f"{discrete}: the data look discrete or rounded, and the estimate for "
            f"continuous data is rough or meaningless. {_DISCRETE[duplicates]}"
            "Choose duplicates='dither' (spread each value evenly over its grid "
            "cell, which leaves the divergence as it is)."
        )
        text = text.format(n=int(keep_x.sum()), m=int(keep_y.sum()))
        return (Note(text, DiscreteDataWarning, name="discrete values"),)
    repeated = counts.total > _FEW_TIES * (keep_x.size + keep_y.size)
    if duplicates == "expand" and repeated:
        text = (
            f"{counts.describe()}: duplicates='expand' takes them as weight of the "
            "distributions at single points, where there is no density, and the "
            "estimate is rough. If rows were copied or leaked, choose "
            "duplicates='drop'."
        )
        return (Note(text, DiscreteDataWarning, name="repeated rows"),)
    return ()


def _check_distinct(X: FloatArray, Y: FloatArray) -> None:
    """Raise ValueError if one sample is a point mass."""
    for name, sample in (("X", X), ("Y", Y)):
        if len(sample) > 1 and (sample == sample[0]).all():
            raise ValueError(
                f"all {len(sample)} rows of {name} are equal, so no neighbour has a "
                "positive distance: the sample has no density and the divergence is "
                "infinite or undefined."
            )


def _looks_discrete(X: FloatArray, Y: FloatArray, counts: DuplicateCounts) -> str:
    """Why the samples look discrete or rounded, or "".

    Raises ValueError if one sample is a point mass.
    """
    _check_distinct(X, Y)
    reason = discrete_columns(X, Y)
    if not reason and counts.total:
        steps = grid_steps(X, Y)
        if steps.all():
            reason = f"all values lie on grids (of step {steps.min():.3g})"
    return reason


def _check_left(n: int, m: int, n_neighbors: int, counts: DuplicateCounts) -> None:
    """Raise ValueError if ``duplicates="drop"`` leaves too few rows."""
    if n < n_neighbors + 1 or m < n_neighbors:
        raise ValueError(
            f"{counts.describe()}; duplicates='drop' leaves {n} rows of X and "
            f"{m} of Y, but n_neighbors={n_neighbors} needs {n_neighbors + 1} and "
            f"{n_neighbors}. Bring independent rows, or lower n_neighbors; for "
            "discrete or rounded data choose duplicates='dither'."
        )


def _spread(
    X: FloatArray, Y: FloatArray, random_state: Any
) -> tuple[FloatArray, FloatArray]:
    """Both samples with values on a grid spread over its cells.

    Raises ValueError if rows repeat that do not lie on a grid.
    """
    X, Y = dither(X, Y, generator_of(random_state))
    counts, _, _ = count_duplicates(X, Y)
    if counts.total:
        raise ValueError(
            f"{counts.describe()} after values on a grid were spread; choose "
            "duplicates='drop' for copied rows."
        )
    return X, Y
