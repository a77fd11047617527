"""Labelled samples that are read in parts: features, shared rows, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from kldiv._duplicates import count_duplicates, refuse_duplicates, row_hashes
from kldiv._typing import FloatArray
from kldiv._validation import as_array, check_sample


def fit_in_parts(transformer: Any, rows: Any) -> None:
    """Fit scalers and components to rows that are read in parts, by their moments.

    Raises
    ------
    ValueError
        For other transformers, which need all rows; frozen ones stay as they are.
    """
    whole = isinstance(transformer, Pipeline)
    for step in [one for _, one in transformer.steps] if whole else [transformer]:
        if isinstance(step, StandardScaler):
            for part in rows.parts():
                step.partial_fit(part.astype(np.float64, copy=False))
        elif isinstance(step, PCA):
            _fit_components(step, rows)
        elif not isinstance(step, FrozenEstimator):
            raise ValueError(
                f"transformer: {step!r} is fitted to all rows, and memory_limit reads "
                "them in parts. Choose None or 'auto', a StandardScaler, or a PCA with "
                "a number of components, or fit it to some of the rows and wrap it in "
                "sklearn.frozen.FrozenEstimator; or leave out memory_limit."
            )
        rows = with_features(step, rows)


def _fit_components(components: PCA, rows: Any) -> None:
    """Principal components from the scatter of the rows."""
    n, d = rows.shape
    k = min(n, d) if components.n_components is None else components.n_components
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k > min(n, d):
        raise ValueError(
            f"transformer: PCA with n_components={components.n_components!r} of {n} "
            f"rows and {d} columns; with memory_limit give an integer of at most "
            f"{min(n, d)}."
        )
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in rows.parts()) / n
    scatter = np.zeros((d, d))
    for part in rows.parts():
        centred = part - mean
        scatter += centred.T @ centred
    scatter /= n - 1
    values, vectors = np.linalg.eigh(scatter)
    values = np.maximum(values[::-1], 0.0)
    found = vectors[:, ::-1][:, :k].T
    largest = np.abs(found).argmax(axis=1)
    found *= np.sign(found[np.arange(k), largest])[:, np.newaxis]
    components.mean_, components.components_ = mean, np.ascontiguousarray(found)
    components.explained_variance_ = values[:k]
    components.explained_variance_ratio_ = values[:k] / values.sum()
    components.singular_values_ = np.sqrt(values[:k] * (n - 1))
    components.noise_variance_ = values[k:].mean() if k < min(n, d) else 0.0
    components.n_components_, components.n_samples_ = int(k), n
    components.n_features_in_ = d


def with_features(transformer: Any, rows: Any) -> Any:
    """What a fitted transformer makes of rows as they are read."""
    change = partial(_features, transformer, rows.name)
    return rows.changed(change, change(rows[:1]).shape[1])


def _features(transformer: Any, name: str, rows: FloatArray) -> FloatArray:
    features = transformer.transform(rows.astype(np.float64, copy=False))
    return check_sample(features, f"transformed {name}")


def shared_rows(
    train: Any,
    aux: Any,
    labels: tuple[NDArray[Any], NDArray[Any]],
    classes: Sequence[Any],
) -> int:
    """Rows that both samples share.

    Raises
    ------
    ValueError
        If features are made of a class with rows that repeat: they need not be equal to
        the last digit.
    """
    hashes: list[Any] = [row_hashes(rows)[:, np.newaxis] for rows in (train, aux)]
    counts, _, _ = count_duplicates(*hashes)
    for label in classes if counts.total else ():
        some = [one[of == label] for one, of in zip(hashes, labels, strict=True)]
        of_class, _, _ = count_duplicates(*some)
        if of_class.total:
            try:
                refuse_duplicates(of_class, in_parts=True)
            except ValueError as error:
                raise ValueError(f"class {label}: {error}") from error
    return counts.shared


def ask_in_parts(ask: Any, rows: Any) -> NDArray[Any]:
    """A victim's answers to rows that are read in parts."""
    answers = []
    for start in range(0, len(rows), rows.step):
        part = as_array(rows.source[start : start + rows.step], rows.name)
        answers.append(as_array(ask(part), "the victim's answer"))
    return np.concatenate(answers)
