"""Whether samples overlap: coverage, and a note where they lie apart."""

from __future__ import annotations

import numpy as np

from kldiv._neighbors import search
from kldiv._ratio._log_ratio import LogRatio
from kldiv._warnings import Note, SamplesApartWarning

# Samples lie apart if every row of X is farther from every row of Y than this many
# times the radii of both rows' balls in their own samples. Gaussians in many columns
# stay below it unless their means differ by 2.4 standard deviations in each column.
_APART = 2.0


def coverage_of(ratio: LogRatio) -> float:
    """Share of rows of X whose k-th-neighbour ball in X holds a row of Y.

    Naeem et al. 2020, equation 4, with balls around the rows of X; a share of their
    weight.
    """
    neighbors = ratio.neighbors
    nearest, ball = neighbors.block("xy")[:, 0], neighbors.block("xx")[:, -1]
    return float(np.average(nearest <= ball, weights=ratio.weights))


def apart_notes(ratio: LogRatio) -> tuple[Note, ...]:
    """Why the divergence may be infinite, if the samples lie apart.

    Low coverage alone does not say so: in fifty columns a distribution has other
    distributions between its rows without a row of theirs in its balls.
    """
    neighbors, settings = ratio.neighbors, ratio.settings
    nearest, ball = neighbors.block("xy")[:, 0], neighbors.block("xx")[:, -1]
    if (nearest <= _APART * ball).any():
        return ()
    # the nearest rows of Y may have wide balls themselves: then X is among them
    first = search(
        ratio.X,
        ratio.Y,
        1,
        blocks=("xy",),
        metric=settings.metric,
        threads=settings.threads,
        return_indices=True,
    )
    assert first.xy_indices is not None
    met, inverse = np.unique(first.xy_indices[:, 0], return_inverse=True)
    k = min(neighbors.n_neighbors + 1, len(ratio.Y))  # the first one is the row itself
    around = search(
        ratio.Y[met],
        ratio.Y,
        k,
        blocks=("xy",),
        metric=settings.metric,
        threads=settings.threads,
    )
    radii = np.maximum(ball, around.block("xy")[inverse, -1])
    times = float((nearest / radii).min())
    if times <= _APART:
        return ()
    text = (
        f"the samples lie apart: each row of X is at least {times:.1f} times as far "
        "from the nearest row of the reference as both have their own neighbours. The "
        "supports hardly overlap, the true divergence may be infinite, and the "
        "estimate is an extrapolation that only says that it is large. Use it to rank, "
        "not as a measurement, or compare features in which the samples overlap."
    )
    return (Note(text, SamplesApartWarning, name="samples apart"),)
