"""Units of columns: whether columns share one, and whether both samples do."""

from __future__ import annotations

import numpy as np

from kldiv._typing import FloatArray, Floats
from kldiv._warnings import Note, TrustWarning

# Columns share a unit if their ranges are within this factor; pixels if at least this
# share of them begins at one value, and none reaches so many times as far as most do.
_RANGES, _PIXELS = 10.0, 0.5
# Samples are on different scales if the values of most columns are so many times as
# large in one of them; images if their largest values are.
_SCALES, _IMAGE_SCALES = 30.0, 5.0
# or only one holds negative values, of at least this share of the largest.
_NEGATIVE = 0.2


def share_a_unit(rows: FloatArray) -> bool:
    """Whether the columns of a sample look as if they were measured in one unit."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    ranges = high.astype(np.float64) - low
    ranges, low = ranges[ranges > 0], low[ranges > 0]
    if not ranges.size or ranges.max() <= _RANGES * ranges.min():
        return True
    # pixels at the edge of images hardly vary, but all are as dark as others
    most_common = np.unique(low, return_counts=True)[1].max()
    common = most_common >= _PIXELS * low.size
    return bool(common and ranges.max() <= _RANGES * np.median(ranges))


def scale_notes(
    train: FloatArray, aux: FloatArray, *, images: bool
) -> tuple[Note, ...]:
    """That the samples are on different scales, if they are."""
    if images:
        boxes = [(float(rows.min()), float(rows.max())) for rows in (train, aux)]
        sizes = [max(-low, high) for low, high in boxes]
        signs = [
            low < -_NEGATIVE * size for (low, _), size in zip(boxes, sizes, strict=True)
        ]
        if signs[0] == signs[1] and _times(*sizes) <= _IMAGE_SCALES:
            return ()
        spans = [f"from {low:.3g} to {high:.3g}" for low, high in boxes]
    else:
        lengths = [
            np.sqrt((rows.astype(float) ** 2).mean(axis=0)) for rows in (train, aux)
        ]
        known = (lengths[0] > 0) & (lengths[1] > 0)
        times = np.log(lengths[0][known] / lengths[1][known])
        if not known.any() or abs(np.median(times)) <= np.log(_SCALES):
            return ()
        spans = [_middle_of(rows[:, known]) for rows in (train, aux)]
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


def _middle_of(rows: Floats | FloatArray) -> str:
    """The middle half of a typical column, in words."""
    low, high = np.median(np.quantile(rows, [0.25, 0.75], axis=0), axis=1)
    return f"mostly from {low:.3g} to {high:.3g}"
