"""Features in which rows are compared, and the rows that samples share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kldiv_attack._row_ids import row_ids
from kldiv_attack.audit.samples import Sample

# As many principal components as ConditionalKLScorer(transformer="auto") takes.
COMPONENTS = 15
# Another scale: most columns differ by more than this factor, in spread or in place.
_FACTOR = 10.0
_ROWS_OF_SCALE = 5000

Rows = NDArray[np.float64]


class ScaleError(ValueError):
    """Auxiliary rows that are measured in other units than the training rows."""


class Encoder:
    """Numbers for rows: pixels, columns, and indicators for columns of text.

    Parameters
    ----------
    train : Sample
        Rows whose categories and spreads count.
    """

    def __init__(self, train: Sample):
        self.description = f"{int(np.prod(train.rows.shape[1:]))} columns"
        self._text: list[str] = []
        if not isinstance(train.rows, np.ndarray):
            kinds = train.rows.dtypes
            self._text = [c for c in train.rows.columns if kinds[c].kind not in "buif"]
            self._numbers = [c for c in train.rows.columns if c not in self._text]
            self._categories = OneHotEncoder(
                handle_unknown="ignore", sparse_output=False
            ).fit(train.rows[self._text].astype(str))
            self.description += f", {len(self._text)} of them as indicators"
        self._scaler = None if train.is_images else StandardScaler()
        if self._scaler is not None:
            rows = self._plain(train)
            self._unit = _exponents(rows)
            self._scaler.fit(np.ldexp(rows, -self._unit))

    def _plain(self, sample: Sample) -> Rows:
        if isinstance(sample.rows, np.ndarray):
            flat: Rows = sample.rows.reshape(len(sample), -1)
            return flat
        numbers = sample.rows[self._numbers].to_numpy(dtype=np.float64)
        text = sample.rows[self._text].astype(str)
        return np.hstack([numbers, self._categories.transform(text)])

    def __call__(self, sample: Sample) -> Rows:
        rows = self._plain(sample)
        if self._scaler is None:
            return rows
        with np.errstate(over="ignore"):
            rows = np.ldexp(rows, -self._unit)
        if not np.isfinite(rows).all():
            raise ValueError(
                f"{sample.name}: a column holds numbers so much larger than those of "
                "the training rows that they cannot be compared. Bring both to the "
                "same units."
            )
        scaled: Rows = self._scaler.transform(rows)
        return scaled


def _exponents(*samples: Rows) -> NDArray[np.int32]:
    """Powers of two that bring the columns near one, where squares are exact."""
    largest = np.max([np.abs(rows).max(axis=0) for rows in samples], axis=0)
    exponents: NDArray[np.int32] = np.frexp(largest)[1]
    return exponents


@dataclass(frozen=True, eq=False)
class Space:
    """Features of all samples of an audit, fitted on the training rows.

    Attributes
    ----------
    train : ndarray
        Training rows.
    others : list of ndarray
        Other samples in the order in which they were given.
    ids : list of ndarray of int64
        One number for each row, training rows first: rows are equal where it is.
    description : str
        What was done.
    """

    train: Rows
    others: list[Rows]
    ids: list[NDArray[np.int64]]
    description: str


def make_space(train: Sample, others: Sequence[Sample], seed: int) -> Space:
    """Features of all samples; equal rows get equal features.

    Parameters
    ----------
    train : Sample
        Fits the features.
    others : sequence of Sample
        Transformed with them.
    seed : int
        Of the decomposition.

    Returns
    -------
    Space
        Numbers as they are up to fifteen columns, else principal components.
    """
    encode = Encoder(train)
    encoded = [encode(sample) for sample in (train, *others)]
    ids = row_ids(encoded)
    description = encode.description
    width = encoded[0].shape[1]
    if width > COMPONENTS:
        number = min(COMPONENTS, *encoded[0].shape)
        pca = PCA(number, random_state=seed).fit(encoded[0])
        # A matrix product may round equal rows differently, so each distinct row is
        # transformed once.
        stacked = np.concatenate(encoded)
        distinct, place = np.unique(np.concatenate(ids), return_inverse=True)
        del distinct
        first = np.full(place.max() + 1, len(stacked))
        np.minimum.at(first, place, np.arange(len(stacked)))
        features = pca.transform(stacked[first])[place].astype(np.float64)
        share = 100 * float(pca.explained_variance_ratio_.sum())
        description += (
            f", {number} principal components ({share:.0f} % of the variance)"
        )
        cuts = np.cumsum([len(rows) for rows in encoded])[:-1]
        encoded = np.split(features, cuts)
    rows = [np.ascontiguousarray(part, dtype=np.float64) for part in encoded]
    return Space(rows[0], rows[1:], ids, description)


def _some(rows: NDArray[Any]) -> Rows:
    """Enough rows to tell units by."""
    some: Rows = rows[:: -(-len(rows) // _ROWS_OF_SCALE)].astype(np.float64)
    return some


def check_scale(train: Sample, other: Sample, role: str) -> None:
    """Refuse rows in other units than those of the training rows.

    Raises
    ------
    ScaleError
        If most columns differ by more than a factor of ten in spread or in place.
    """
    if not isinstance(train.rows, np.ndarray):
        numbers = [c for c in train.rows.columns if train.rows[c].dtype.kind in "uif"]
        a, b = (s.rows[numbers].to_numpy(dtype=np.float64) for s in (train, other))
    else:
        a, b = (_some(s.rows.reshape(len(s), -1)) for s in (train, other))
    if train.is_images:  # single pixels may be empty; the picture counts
        a, b = a.reshape(-1, 1), b.reshape(-1, 1)
    if not a.shape[1] or min(len(a), len(b)) < 2:
        return
    unit = _exponents(a, b)
    a, b = np.ldexp(a, -unit), np.ldexp(b, -unit)
    spread, other_spread = a.std(axis=0), b.std(axis=0)
    moved = np.abs(a.mean(axis=0) - b.mean(axis=0))
    widest = np.maximum(spread, other_spread)
    varies = widest > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = other_spread / spread
        off = (ratio > _FACTOR) | (ratio < 1 / _FACTOR) | (moved > _FACTOR * widest)
    off &= varies
    if varies.any() and off.sum() > varies.sum() / 2:
        typical = float(np.median(ratio[off]))
        raise ScaleError(
            f"{role}: {other.name} is on another scale than {train.name}: "
            f"{int(off.sum())} of {int(varies.sum())} columns differ by more than a "
            f"factor of {_FACTOR:g} (spread {typical:.3g} times that of the training "
            "rows). Bring both to the same units, or give --any-scale if this is meant."
        )
