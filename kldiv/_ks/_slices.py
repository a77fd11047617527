"""Kolmogorov-Smirnov along directions: their mean, and a searched maximum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._ks as kernels
from kldiv._ks._relabellings import LANES, Relabellings, relabelled_gaps
from kldiv._ks._task import Task
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import brought_into_range, columns_near_one, one_blas_thread

Array = NDArray[np.float64]

# Steps of the search, per relabelling: power iterations towards the direction in which
# the second moments differ most, then ascent on the gap with these step sizes.
POWER_ITERATIONS = 6
ASCENT_STEPS = (1.0, 0.6, 0.4, 0.25, 0.15, 0.1, 0.06, 0.04)
_PRODUCTS = (-1000, 900)  # powers of two whose products with directions are normal
BANDWIDTH = 0.3  # of the smoothed gap, in standard deviations of the projection
# Interquartile ranges beyond the quartiles: where a number is far from all others, and
# where the search sees it.
FAR, NEARER = 1024, 4


def sliced(task: Task) -> KSResult:
    """Mean gap along uniformly random directions."""
    Y = task.reference()
    relabellings = task.relabellings(len(Y))
    pooled = np.concatenate(brought_into_range(task.X, Y, bounds=_PRODUCTS)[:2])
    directions = random_directions(pooled.shape[1], task.n_directions, task.rng)
    gaps = sliced_gaps(pooled, directions, relabellings, task.threads)
    unit = 1 / (relabellings.multiple * task.n_directions)
    return task.one_number(len(Y), gaps, unit, n_directions=task.n_directions)


def max_sliced(task: Task) -> KSResult:
    """Largest gap along any direction that a search finds."""
    Y = task.reference()
    pooled, relabellings = np.concatenate([task.X, Y]), task.relabellings(len(Y))
    gaps, direction = max_sliced_gaps(
        pooled, task.n_directions, relabellings, task.rng, task.threads
    )
    return task.one_number(
        len(Y),
        gaps,
        1 / relabellings.multiple,
        direction=direction,
        n_directions=task.n_directions,
    )


def random_directions(
    n_features: int, n_directions: int, rng: np.random.Generator
) -> Array:
    """Uniform directions on the unit sphere, shape (n_features, n_directions)."""
    directions = rng.standard_normal((n_features, n_directions))
    return np.asarray(directions / np.linalg.norm(directions, axis=0))


def sliced_gaps(
    pooled: FloatArray, directions: Array, relabellings: Relabellings, threads: int
) -> NDArray[np.int64]:
    """Sum of the gaps over all directions, per relabelling, in units of 1 / lcm."""
    projected = pooled.astype(np.float64) @ directions
    gaps = relabelled_gaps(projected, relabellings, threads)
    return np.asarray(gaps.sum(axis=0))


def max_sliced_gaps(
    pooled: FloatArray,
    n_directions: int,
    relabellings: Relabellings,
    rng: np.random.Generator,
    threads: int,
) -> tuple[NDArray[np.int64], Array]:
    """Largest gap found per relabelling, in units of 1 / lcm, and a direction.

    The direction is that of the given labels.

    Every relabelling goes through the whole search; only what does not depend on labels
    (whitening, first directions, their sorted order) is shared. Numbers far from all
    others would leave the search blind to the rest: it looks at rows in which they are
    nearer, and what it finds is measured on the rows as they are.
    """
    r = relabellings
    tame = _without_far_numbers(pooled)
    near, exponents = columns_near_one(tame)
    white, whiten, colour = _whitened(near)
    # The columns themselves are directions too, and exact in any unit.
    axes = colour / np.maximum(np.linalg.norm(colour, axis=0), np.finfo(float).tiny)
    axis_gaps = relabelled_gaps(pooled, r, threads)
    first = random_directions(white.shape[1], n_directions, rng)
    first_gaps = np.vstack([relabelled_gaps(white @ first, r, threads), axis_gaps])
    first = np.hstack([first, axes])
    found = np.zeros((r.n_blocks, white.shape[1]))
    measured = None if tame is pooled else _for_products(pooled, r.n)

    def work(block: int, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        lanes = slice(block * LANES, block * LANES + r.lanes(block))
        start = first[:, first_gaps[:, lanes].argmax(axis=0)]
        search = _Search(white, labels[:, : start.shape[1]], r.n, start)
        search.run()
        directions = _in_units(whiten @ search.directions, exponents)
        if measured is not None:
            search = _Search(measured, search.labels, r.n, directions)
        found[block] = directions[:, 0]
        steps = np.abs(search.gaps) * r.multiple
        return np.asarray(np.rint(steps), dtype=np.int64)

    with one_blas_thread():
        gaps = r.collect(work, threads)
    if axis_gaps[:, 0].max() > gaps[0]:
        found[0] = np.arange(white.shape[1]) == axis_gaps[:, 0].argmax()
    return np.maximum(gaps, axis_gaps.max(axis=0)), found[0]


def _without_far_numbers(pooled: FloatArray) -> FloatArray:
    """The rows with columns that have far numbers cut off, or themselves."""
    low, high = np.quantile(pooled, (0.25, 0.75), axis=0, method="lower")
    with np.errstate(over="ignore"):  # nothing is farther than infinity
        spread = np.where(high > low, high - low, np.inf).astype(pooled.dtype)
        far = (pooled < low - FAR * spread) | (pooled > high + FAR * spread)
        tame = np.clip(pooled, low - NEARER * spread, high + NEARER * spread)
    return np.where(far.any(axis=0), tame, pooled) if far.any() else pooled


def _for_products(pooled: FloatArray, n: int) -> Array:
    X, Y, _ = brought_into_range(pooled[:n], pooled[n:], bounds=_PRODUCTS)
    return np.concatenate([X, Y]).astype(np.float64)


def _in_units(directions: Array, exponents: NDArray[np.int64]) -> Array:
    """Unit vectors for columns before each was multiplied by a power of two."""
    mantissa, own = np.frexp(directions)
    own = np.where(mantissa != 0, own + exponents[:, None], np.iinfo(np.int64).min // 2)
    # Only ratios of the entries matter, so the largest is brought near 1.
    return _unit(np.ldexp(mantissa, np.maximum(own - own.max(axis=0), -1100)))


def _whitened(pooled: FloatArray) -> tuple[Array, Array, Array]:
    """Pooled rows with nearly uncorrelated columns of variance one.

    The correlation is shrunk towards the identity by d / (d + N), so that with more
    columns than rows directions are not all alike. Returns the rows, the map from
    original columns and the directions that are the original columns.
    """
    centred = pooled.astype(np.float64) - pooled.mean(axis=0, dtype=np.float64)
    scale = centred.std(axis=0)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    centred *= inverse
    rows, d = centred.shape
    shrinkage = d / (d + rows)
    correlation = (1 - shrinkage) * (centred.T @ centred) / rows
    correlation[np.diag_indices(d)] += shrinkage
    values, vectors = np.linalg.eigh(correlation)
    values = np.maximum(values, np.finfo(float).eps * d)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    return centred @ inverse_root, inverse[:, None] * inverse_root, root


class _Search:
    """The best direction so far for each of up to 64 relabellings."""

    def __init__(
        self, white: Array, labels: NDArray[np.uint8], n: int, start: Array
    ) -> None:
        self.white, self.n = white, n
        self.labels = np.ascontiguousarray(labels)
        m = len(white) - n
        self.weights = np.where(labels == 1, 1 / n, -1 / m)
        self.directions = start.copy()
        self.projected = white @ start
        self.gaps, self.locations = self._measure(self.projected)

    def run(self) -> None:
        """Try what differs most in mean and in moments, then ascend from the best."""
        self.try_directions(self.mean_difference())
        self.try_directions(self.moment_difference())
        for step in ASCENT_STEPS:
            self.try_directions(self.ascended(step))

    def _measure(self, projected: Array) -> tuple[Array, Array]:
        lanes = projected.shape[1]
        gaps, locations = np.empty((2, lanes))
        values = np.array(projected.T, order="C")
        kernels.labelled_gaps(values, self.labels, 0, self.n, gaps, locations)
        return gaps, locations

    def try_directions(self, directions: Array) -> None:
        """Keep each direction that has a larger gap than the best so far."""
        projected = self.white @ directions
        gaps, locations = self._measure(projected)
        better = np.abs(gaps) > np.abs(self.gaps)
        self.directions[:, better] = directions[:, better]
        self.projected[:, better] = projected[:, better]
        self.gaps[better] = gaps[better]
        self.locations[better] = locations[better]

    def mean_difference(self) -> Array:
        """Fisher's discriminant: in whitened rows, the difference of the means."""
        return _unit(self.white.T @ self.weights)

    def moment_difference(self) -> Array:
        """Direction of the largest difference of second moments."""
        directions = self.directions
        for _ in range(POWER_ITERATIONS):
            weighted = self.weights * (self.white @ directions)
            directions = _unit(self.white.T @ weighted)
        return directions

    def ascended(self, step: float) -> Array:
        """One step along the gradient of the gap with smoothed indicators."""
        distance = (self.locations - self.projected) / BANDWIDTH
        slope = np.exp(-0.5 * distance**2) * self.weights * -np.sign(self.gaps)
        return _unit(self.directions + step * _unit(self.white.T @ slope))


def _unit(directions: Array) -> Array:
    norm = np.linalg.norm(directions, axis=0)
    return np.asarray(directions / np.where(norm > 0, norm, 1))
