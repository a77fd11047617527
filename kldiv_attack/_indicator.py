"""Divergences per class of one run, under one or several choices of features."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from kldiv import (
    ConditionalKLScorer,
    DivergenceWarning,
    KNNDivergence,
    PerClassReport,
)
from kldiv_attack._files import read_json, write_json
from kldiv_attack._progress import progress
from kldiv_attack._row_ids import row_ids
from kldiv_attack._rules import Rule, Whole, optional
from kldiv_attack._run_folder import report_to_dict, reports_of
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.judge import Judge

#: What one entry of the setting ``indicator`` may say.
INDICATOR: dict[str, Any] = {
    "features": "pca6",
    "n_neighbors": 1,
    "correction": None,
    "duplicates": "raise",
    "max_rows": None,
}


INDICATOR_RULES: dict[str, Rule] = {
    "n_neighbors": Whole(),
    "max_rows": optional(Whole(2)),
}


def check_indicator(one: Mapping[str, Any]) -> None:
    """Refuse features and options of the estimator before anything is trained."""
    parse_features(one["features"])
    rows = np.random.default_rng(0).normal(size=(2, 40, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        _estimator({**one, "n_neighbors": 1}).fit(rows[0]).score(rows[1])


def indicator_name(one: Mapping[str, Any]) -> str:
    """How an entry of the setting ``indicator`` is called in tables."""
    name, number = parse_features(one["features"])
    features = {"pixels": "pixels", "pca": "PCA", "judge": "judge PCA"}[name]
    features += f" {number}" if number else ""
    correction = f", {one['correction']}" if one["correction"] else ""
    return f"{features}, k={one['n_neighbors']}{correction}"


def parse_features(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(pixels)|(pca|judge)([1-9][0-9]*)", str(text))
    if not match:
        raise ValueError(
            f"features={text!r}: expected 'pixels', 'pca<d>' (principal components of "
            "the pixels) or 'judge<d>' (of the judge's last hidden layer)."
        )
    return (match[1], 0) if match[1] else (match[2], int(match[3]))


class Features:
    """Features of training and auxiliary images, fitted on the training images.

    Pixels are float32, all others float64. Equal images get equal features: each
    distinct image is transformed once, because a matrix product can round equal rows
    differently and hide that rows are shared.
    """

    def __init__(
        self, train: LabelledImages, aux: LabelledImages, judge: Judge
    ) -> None:
        self._images = np.concatenate([train.images, aux.images])
        self._image_of: NDArray[np.int64] | None = None
        (ids,) = row_ids([self._images])
        _, first = np.unique(ids, return_index=True)
        if len(first) < len(ids):
            self._images, self._image_of = self._images[first], ids
        self._n, self._judge = len(train), judge
        self._bases: dict[str, tuple[NDArray[np.float64], int]] = {}

    def __call__(self, text: str) -> tuple[NDArray[Any], NDArray[Any]]:
        name, number = parse_features(text)
        rows = self._components(name, number) if number else self._base(name)
        train, aux = slice(None, self._n), slice(self._n, None)
        return self._as_given(rows, train), self._as_given(rows, aux)

    def _as_given(self, rows: NDArray[Any], which: slice) -> NDArray[Any]:
        """Rows of distinct images, as often as these of the images were given."""
        return rows[which if self._image_of is None else self._image_of[which]]

    def _base(self, name: str) -> NDArray[Any]:
        rows = self._judge.features(self._images) if name == "judge" else self._images
        return rows.reshape(len(rows), -1)

    def _components(self, name: str, number: int) -> NDArray[np.float64]:
        if name not in self._bases:
            rows = self._base(name).astype(np.float64)
            fitted = self._as_given(rows, slice(None, self._n))
            most = min(fitted.shape)
            pca = PCA(min(most, 50), random_state=0).fit(fitted)
            self._bases[name] = pca.transform(rows), most
        components, most = self._bases[name]
        if number > components.shape[1]:
            raise ValueError(
                f"features={name}{number}: expected at most "
                f"{components.shape[1]} components for {self._n} images of {most} "
                "features."
            )
        return components[:, :number]


def score_indicators(
    entries: Sequence[Mapping[str, Any]],
    train: LabelledImages,
    aux: LabelledImages,
    responses: NDArray[np.float64],
    judge: Judge,
    path: Path,
    *,
    random_state: int,
    verbose: int,
    train_responses: NDArray[np.float64] | None = None,
) -> dict[str, PerClassReport]:
    """Divergence per class under every entry of the setting; kept in a file.

    With the victim's probabilities for the training images, column ``soft`` holds the
    scores under soft conditioning beside those under hard conditioning.
    """
    if path.exists():
        return reports_of(path, read_json(path))
    features = Features(train, aux, judge)
    labels = responses.argmax(axis=1)
    reports = {}
    for one in progress(entries, desc="divergence", disable=not verbose):
        X, Y = features(one["features"])
        report = _score(
            one,
            (X, train.labels),
            (Y, labels),
            train.class_names,
            random_state,
        )
        if train_responses is not None:
            soft = _score_soft(
                one,
                (X, train.labels, train_responses),
                (Y, responses),
                train.class_names,
                random_state,
            )
            columns = {"kl": report["kl"], "soft": soft, **report.columns}
            report = replace(report, columns=columns)
        reports[indicator_name(one)] = report
    write_json(path, {k: report_to_dict(v) for k, v in reports.items()})
    return reports


Labelled = tuple[NDArray[np.float64], NDArray[np.int64]]


def _score(
    one: Mapping[str, Any],
    train: Labelled,
    aux: Labelled,
    class_names: Sequence[str],
    seed: int,
) -> PerClassReport:
    """Divergence per class, beside what two parts of the training rows give."""
    rng = np.random.default_rng(seed)
    pair = at_most(train, one["max_rows"], rng), at_most(aux, one["max_rows"], rng)
    estimator = _estimator(one)
    with warnings.catch_warnings():  # they are kept as notes of the report
        warnings.simplefilter("ignore", DivergenceWarning)
        scorer = ConditionalKLScorer(estimator, None, floors=False)
        measured = _fill(scorer.fit(*pair), class_names)
        split = _halves(pair[0], measured["n_aux"], rng)
        same = _fill(scorer.fit(*split), class_names)
    names = list(class_names)
    return PerClassReport(
        classes=np.asarray(names),
        columns={
            "kl": measured["kl"],
            "floor": same["kl"],
            "n_train": measured["n_train"].astype(int),
            "n_aux": measured["n_aux"].astype(int),
            "coverage": measured["coverage"],
        },
        reasons=dict(measured.reasons),
        settings={**one, "conditioning": "hard"},
        title=f"Divergence per class, {indicator_name(one)}",
        notes=dict(measured.notes),
    )


def _estimator(one: Mapping[str, Any]) -> KNNDivergence:
    return KNNDivergence(
        n_neighbors=one["n_neighbors"],
        correction=one["correction"],
        duplicates=one["duplicates"],
    )


def _score_soft(
    one: Mapping[str, Any],
    train: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
    aux: tuple[NDArray[np.float64], NDArray[np.float64]],
    class_names: Sequence[str],
    seed: int,
) -> NDArray[np.float64]:
    """Divergence per class with all auxiliary rows weighted by the victim's answers.

    NaN for every class if the training rows lack one: the victim's probabilities are
    then not those of the classes that are scored.
    """
    X, y, answers = train
    Z, responses = aux
    if len(np.unique(y)) < len(class_names):
        return np.full(len(class_names), np.nan)
    rng = np.random.default_rng(seed)
    most = one["max_rows"]
    if most is not None:  # of all auxiliary rows: soft conditioning has no classes
        kept = [rng.permutation(np.flatnonzero(y == c))[:most] for c in np.unique(y)]
        rows = np.sort(np.concatenate(kept))
        X, y, answers = X[rows], y[rows], answers[rows]
        rows = np.sort(rng.permutation(len(Z))[: most * len(class_names)])
        Z, responses = Z[rows], responses[rows]
    X, Z = np.asarray(X, dtype=np.float64), np.asarray(Z, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        scorer = ConditionalKLScorer(
            _estimator(one), None, conditioning="soft", floors=False
        )
        return scorer.fit((X, y, answers), (Z, responses)).score_per_class()


def at_most(
    sample: tuple[NDArray[Any], NDArray[np.int64]],
    max_rows: int | None,
    rng: np.random.Generator,
) -> Labelled:
    """At most so many random rows of every class, in float64."""
    X, y = sample
    if max_rows is None:
        return np.asarray(X, dtype=np.float64), y
    kept = [rng.permutation(np.flatnonzero(y == c))[:max_rows] for c in np.unique(y)]
    rows = np.sort(np.concatenate(kept))
    return np.asarray(X[rows], dtype=np.float64), y[rows]


def _halves(
    train: Labelled, n_aux: NDArray[Any], rng: np.random.Generator
) -> tuple[Labelled, Labelled]:
    """Two parts of the training rows; the second as large as the auxiliary class.

    It takes at most half of a class, so that something is left to compare it with.
    """
    X, y = train
    second = np.zeros(len(y), dtype=bool)
    for c, wanted in enumerate(n_aux.astype(int)):
        rows = np.flatnonzero(y == c)
        second[rng.permutation(rows)[: min(wanted, len(rows) // 2)]] = True
    return (X[~second], y[~second]), (X[second], y[second])


def _fill(scorer: ConditionalKLScorer, class_names: Sequence[str]) -> PerClassReport:
    """The scorer's report with one row for every class, also those without rows."""
    report = scorer.report()
    columns = {}
    for name, values in report.columns.items():
        unknown = "" if values.dtype.kind == "U" else np.nan
        gap = 0 if name in ("n_train", "n_aux") else unknown
        kind = np.result_type(values.dtype, np.asarray(gap).dtype)
        columns[name] = np.full(len(class_names), gap, dtype=kind)
        columns[name][report.classes] = values
    reasons = {class_names[c]: why for c, why in report.reasons.items()}
    for c in set(range(len(class_names))) - set(report.classes.tolist()):
        reasons[class_names[c]] = "no training row has this label"
    notes = {class_names[c]: note for c, note in report.notes.items()}
    return PerClassReport(
        np.asarray(class_names), columns, reasons, report.settings, report.title, notes
    )
