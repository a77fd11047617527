"""Are training rows covered more than rows of the class that were not trained on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._coverage import Balls
from kldiv_attack._shares import difference_interval, over_strata
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.datasets._base import to_array
from kldiv_attack.judge import Judge

Rows = NDArray[np.float64]
Images = NDArray[np.float32]

COLUMNS = ("coverage_held_out", "excess", "excess_low", "excess_high")
_FEWEST = 10


@dataclass(frozen=True)
class How:
    """How the judge measures a class."""

    judge: Judge
    n_neighbors: int
    max_rows: int
    level: float
    random_state: int

    def draw(
        self, data: LabelledImages, label: int, rng: np.random.Generator
    ) -> Images:
        """At most so many rows of a class."""
        rows = np.flatnonzero(data.labels == label)
        kept: Images = data.images[np.sort(rng.permutation(rows)[: self.max_rows])]
        return kept

    def features(self, images: Images) -> NDArray[np.float64]:
        """What distances are taken in."""
        return to_array(self.judge.features(images)).astype(np.float64)


def check_held_out(held_out: LabelledImages, private: LabelledImages) -> None:
    for name in ("image_shape", "n_classes"):
        ours, theirs = getattr(private, name), getattr(held_out, name)
        if ours != theirs:
            raise ValueError(
                f"held_out: expected {name} {ours} as {private.name}, {held_out.name} "
                f"has {theirs}."
            )


def compare_held_out(
    images: Images, drawn: Images, unseen: Images, how: How
) -> tuple[dict[str, float], str]:
    """The comparison of one class, on as many rows of either kind.

    Parameters
    ----------
    images : ndarray of shape (m, channels, height, width)
        Reconstructions of the class.
    drawn, unseen : ndarray of shape (n, channels, height, width)
        Training rows and held-out rows.
    how : How
        What measures.

    Returns
    -------
    tuple
        The columns, and what is missing in them.
    """
    n = min(len(drawn), len(unseen))
    least = max(_FEWEST, how.n_neighbors + 1)
    if n < least:
        return {}, (
            f"the held-out control needs at least {least} rows of either kind, there "
            f"are {n}"
        )
    rng = np.random.default_rng(how.random_state)
    ours, theirs = (rows[rng.permutation(len(rows))[:n]] for rows in (drawn, unseen))
    return coverage_excess(
        how.features(ours),
        how.features(theirs),
        how.features(images),
        how.n_neighbors,
        how.level,
    ), ""


def coverage_excess(
    private: Rows, held_out: Rows, made: Rows, n_neighbors: int, level: float
) -> dict[str, float]:
    """Coverage of training rows minus that of held-out rows, for one class.

    Parameters
    ----------
    private, held_out : ndarray of shape (n, n_features)
        Features of as many training rows as held-out rows.
    made : ndarray of shape (m, n_features)
        Features of the reconstructions.
    n_neighbors : int
        Neighbour that a ball reaches to.
    level : float
        Of the interval.

    Returns
    -------
    dict of str to float
        The columns.

    Notes
    -----
    Both kinds meet the same reconstructions, and the balls reach to the k-th neighbour
    among both kinds together, so that rows of one distribution are exchangeable. The
    interval is Newcombe's (1998, method 10).
    """
    n = len(private)
    both = np.concatenate([private, held_out])
    covered = Balls.around(both, made, n_neighbors).covered
    inside, outside = float(covered[:n].mean()), float(covered[n:].mean())
    low, high = difference_interval(inside, n, outside, n, level)
    return {
        "compared": n,
        "coverage_held_out": outside,
        "excess": inside - outside,
        "excess_low": low,
        "excess_high": high,
    }


def excess_of_all(found: Mapping[str, NDArray[Any]]) -> str:
    """The excess over all classes, its interval and what it is taken of, in words."""
    used = np.isfinite(found["excess"])
    if not used.any():
        return "not measured"
    sizes = found["compared"][used].astype(int)
    ends = np.stack([found[name][used] for name in COLUMNS[1:]], axis=1)
    middle, low, high = over_strata(sizes, ends)
    return (
        f"{middle:+.4f} ({low:+.4f} to {high:+.4f}), {sizes.sum()} rows of either kind"
    )
