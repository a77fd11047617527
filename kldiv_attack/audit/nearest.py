"""Private rows beside the auxiliary rows nearest to them; shown only on request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.audit.attacks import SHOWN, grid
from kldiv_attack.audit.comparing import Scored
from kldiv_attack.audit.content import Picture, TextTable
from kldiv_attack.audit.distances import nearest
from kldiv_attack.audit.samples import Sample

_CLASSES = 10
_COLUMNS = 8


def nearest_rows(
    train: Sample,
    aux: Sample,
    train_features: NDArray[np.float64],
    aux_features: NDArray[np.float64],
    scored: Scored,
) -> Picture | TextTable:
    """The closest pairs of each of the most exposed classes.

    Parameters
    ----------
    train, aux : Sample
        Rows as they are.
    train_features, aux_features : ndarray
        Features in which they are compared.
    scored : Scored
        Scores of the classes and answers to the auxiliary rows.

    Returns
    -------
    Picture or TextTable
        Pairs of images, or of rows of a table.
    """
    scores = [scored.table.value("kl", c) for c in range(len(scored.table.classes))]
    order = sorted(range(len(scores)), key=lambda c: _rank(scores[c]))[:_CLASSES]
    pairs = {c: _pairs(c, train, train_features, aux_features, scored) for c in order}
    if train.is_images:
        rows = [
            [
                [aux.rows[j] for _, j in found],
                [train.rows[i] for i, _ in found],
            ]
            for found in pairs.values()
        ]
        shown = ", ".join(scored.table.classes[c] for c in order)
        title = f"Nearest rows of {aux.name}"
        return Picture(
            title=title,
            alt=(
                f"Left: auxiliary images; right, at the same place: the private image "
                f"that each is nearest to. One row per class: {shown}."
            ),
            caption=(
                f"{title}, most exposed class first. Rows: {shown}. Left: auxiliary "
                "images; right: the private image each is nearest to. This picture "
                "shows private data."
            ),
            png=grid(rows),
            private=True,
        )
    header = ["class", "row", *(train.columns or _numbered(train))[:_COLUMNS]]
    cells = [
        line
        for c, found in pairs.items()
        for i, j in found[:2]
        for line in (
            [scored.table.classes[c], f"private {i}", *_cells(train, i)],
            [scored.table.classes[c], f"auxiliary {j}", *_cells(aux, j)],
        )
    ]
    return TextTable(f"Nearest rows of {aux.name} (shows private data)", header, cells)


def _rank(score: float | None) -> float:
    return np.inf if score is None else score


def _pairs(
    c: int,
    train: Sample,
    train_features: NDArray[np.float64],
    aux_features: NDArray[np.float64],
    scored: Scored,
) -> list[tuple[int, int]]:
    own = np.flatnonzero(train.labels == c)
    called = np.flatnonzero(scored.answers.labels == c)
    if not len(own) or not len(called):
        return []
    distance, found = nearest(train_features[own], aux_features[called])
    order = np.argsort(distance[:, 0], kind="stable")[:SHOWN]
    return [(int(own[i]), int(called[found[i, 0]])) for i in order]


def _numbered(sample: Sample) -> tuple[str, ...]:
    return tuple(f"column {i}" for i in range(sample.rows.shape[1]))


def _cells(sample: Sample, row: int) -> list[str]:
    if isinstance(sample.rows, np.ndarray):
        values = sample.rows[row]
    else:
        values = sample.rows.iloc[row].to_numpy()
    return [f"{v:.4g}" if isinstance(v, float) else str(v) for v in values[:_COLUMNS]]
