"""Units of columns: whether columns share one, and whether both samples do."""

from __future__ import annotations

import numpy as np

from kldiv._order import extremes, in_columns, quartiles
from kldiv._typing import FloatArray, Floats, Mask
from kldiv._warnings import Note, TrustWarning

# Columns share a unit if their ranges are within this factor; pixels if at least this
# share of them begins at one value, and none reaches so many times as far as most do.
_RANGES, _PIXELS = 10.0, 0.5
# Samples are on different scales if the values of most columns are so many times as
# large in one of them; images if their largest values are.
_SCALES, _IMAGE_SCALES = 30.0, 5.0
# or only one holds negative values, of at least this share of the largest.
_NEGATIVE = 0.2
# Columns are sorted some at a time, in the cache.
_NUMBERS_AT_A_TIME = 1 << 18


def share_a_unit(rows: FloatArray) -> bool:
    """Whether the columns of a sample look as if they were measured in one unit."""
    low, high = extremes(rows)
    # a quarter of the ranges, of which no sum of two passes the largest number
    ranges = high.astype(np.float64) / 4 - low.astype(np.float64) / 4
    ranges, low = ranges[ranges > 0], low[ranges > 0]
    if not ranges.size or ranges.max() / _RANGES <= ranges.min():
        return True
    # pixels at the edge of images hardly vary, but all are as dark as others
    most_common = np.unique(low, return_counts=True)[1].max()
    common = most_common >= _PIXELS * low.size
    return bool(common and ranges.max() / _RANGES <= np.median(ranges))


def scale_notes(
    train: FloatArray, aux: FloatArray, *, images: bool
) -> tuple[Note, ...]:
    """That the samples are on different scales, if they are."""
    if images:
        ends = [extremes(rows) for rows in (train, aux)]
        boxes = [(float(low.min()), float(high.max())) for low, high in ends]
        sizes = [max(-low, high) for low, high in boxes]
        signs = [
            low < -_NEGATIVE * size for (low, _), size in zip(boxes, sizes, strict=True)
        ]
        if signs[0] == signs[1] and _times(*sizes) <= _IMAGE_SCALES:
            return ()
        spans = [f"from {low:.3g} to {high:.3g}" for low, high in boxes]
    else:
        sizes_of = [_quartile_sizes(rows) for rows in (train, aux)]
        known = np.all([(of > 0).all(axis=0) for of in sizes_of], axis=0)
        logs = [np.log(found[:, known]) for found in sizes_of]
        times = np.median(logs[0] - logs[1], axis=1) if known.any() else np.zeros(2)
        # a class or two far away from all others move one of the quartiles only
        if max(times.min(), -times.max()) <= np.log(_SCALES):
            return ()
        spans = [_middle_of(rows, known) for rows in (train, aux)]
    text = (
        f"the auxiliary rows are on another scale than the training rows: the training "
        f"values run {spans[0]}, the auxiliary ones {spans[1]}, so that every class "
        "looks far away. Bring both to the same units (images to 0 to 1, say) and "
        "score again."
    )
    return (Note(text, TrustWarning, "do not use", "another scale"),)


def _times(one: float, other: float) -> float:
    """How many times as large the larger of two sizes is; 1 without one."""
    least, most = sorted((one, other))
    return most / least if least > 0 else 1.0


def _quartile_sizes(rows: FloatArray) -> Floats:
    """Quartiles of the sizes of values that are not 0, by column; 0 without any."""
    found, last = np.empty((2, rows.shape[1])), len(rows) - 1
    for columns, part in in_columns(rows, _NUMBERS_AT_A_TIME):
        sizes = np.abs(part.T)
        sizes.sort(axis=1)
        zeros = (sizes == 0).sum(axis=1)
        ranks = np.stack([zeros + (last - zeros) * share // 4 for share in (1, 3)])
        found[:, columns] = np.take_along_axis(sizes, ranks.T, axis=1).T
    return found


def _middle_of(rows: FloatArray, known: Mask) -> str:
    """The middle half of a typical one of some columns, in words."""
    found = quartiles(rows)[:, known]
    low, high = 4 * np.quantile(found / 4, 0.5, axis=1)  # as `quartiles` does
    return f"mostly from {low:.3g} to {high:.3g}"
