"""From two checked samples to a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kldiv._backends import one_blas_thread
from kldiv._divergences import Divergence
from kldiv._errors._standard_errors import effects_of, spread_of
from kldiv._estimation._options import Options
from kldiv._estimation._overlap import apart_notes, coverage_of
from kldiv._estimation._samples import compare_samples, pvalue_of
from kldiv._neighbors import check_algorithm
from kldiv._preparation import PreparedPair, prepare
from kldiv._ratio._corrections import (
    CORRECTIONS,
    estimate_log_ratio,
    reference_correction,
)
from kldiv._ratio._log_ratio import LogRatio
from kldiv._results._results import DivergenceResult
from kldiv._trust import Outcome, notes_of, verdict
from kldiv._typing import FloatArray
from kldiv._validation import brought_into_range, metric_name
from kldiv._warnings import Note, SingularSampleWarning


def estimate(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    *,
    confidence_level: float | None = None,
    n_permutations: int = 0,
) -> DivergenceResult:
    """Divergence of two checked samples; the caller warns of the notes."""
    entry = options.entry
    if entry.needs == "samples":
        return compare_samples(X, Y, options, n_permutations)
    pair = _prepared(X, Y, options)
    facts: dict[str, Any] = {"correction": None, "coverage": 1.0, "value": 0.0}
    facts |= {"notes": pair.notes, "algorithm": "none: same sample"}
    if not pair.same_sample:
        check_algorithm(options.algorithm, options.metric, pair.X.shape[1])
        with one_blas_thread():
            if n_permutations:
                facts["pvalue"] = pvalue_of(pair.X, pair.Y, options, n_permutations)
            facts |= _measure(pair, entry, options, confidence_level)
        given = pair.kept(X, Y)
        facts["notes"] += _notes(given, pair, entry, options, facts, confidence_level)
    facts["trust"] = verdict(facts["notes"])
    return DivergenceResult(
        n=len(pair.X),
        m=len(pair.Y),
        n_features=pair.dimension,
        n_neighbors=options.n_neighbors,
        divergence=options.name,
        n_duplicates=pair.n_duplicates,
        duplicates=options.duplicates,
        metric=metric_name(options.metric),
        **facts,
    )


def _prepared(X: FloatArray, Y: FloatArray, options: Options) -> PreparedPair:
    if isinstance(options.metric, str):  # a user's need not be homogeneous
        X, Y, _ = brought_into_range(X, Y)
    return prepare(
        X,
        Y,
        options.n_neighbors,
        duplicates=options.duplicates,
        metric=options.metric,
        random_state=options.random_state,
        finite=options.entry.is_finite(options.order),
    )


def _measure(
    pair: PreparedPair,
    entry: Divergence,
    options: Options,
    confidence_level: float | None,
) -> dict[str, Any]:
    """Value, interval and circumstances from log ratios."""
    settings, correction = options.settings, options.correction
    if correction == "auto" and not entry.linear:
        correction = reference_correction(pair, settings.metric)
    first = estimate_log_ratio(pair, correction, settings)
    facts = _search_facts(first, entry) | _ratio_facts(first)
    infinite = any(note.category is SingularSampleWarning for note in pair.notes)
    if not (infinite or entry.is_finite(options.order)):
        facts["notes"] = pair.notes + apart_notes(first)
    ratios = [first]
    if entry.needs == "xy":
        exchanged = pair.exchanged()
        ratios.append(estimate_log_ratio(exchanged, correction, settings))
    varying = first.parts or CORRECTIONS[first.correction].varying_k
    k = None if varying else options.n_neighbors

    def functional(x: Any, y: Any = None) -> float:
        return entry.compute(x, y, k, options.order)

    facts["value"] = value = functional(*(ratio.values for ratio in ratios))
    if confidence_level is None or not np.isfinite(value):
        return facts
    error = _error_of(ratios, functional, value, confidence_level)
    if "effects" in error and pair.order is not None:
        error["effects"] = error["effects"].as_given(*pair.order)
    return facts | error


def _search_facts(ratio: LogRatio, entry: Divergence) -> dict[str, Any]:
    """How neighbours were found, and the formula evaluated."""
    return {
        "algorithm": ratio.neighbors.algorithm,
        "evaluated_by": entry.evaluated_by,
        "coverage": coverage_of(ratio.neighbors),
    }


def _ratio_facts(ratio: LogRatio) -> dict[str, Any]:
    """How log ratios were estimated."""
    return {
        "correction": ratio.correction,
        "scale": ratio.scale,
        "n_components": ratio.n_components,
        "weights": {str(one.correction): w for w, one in ratio.parts},
        "values": [float(one.values.mean()) for _, one in ratio.parts],
    }


def _notes(
    given: tuple[FloatArray, FloatArray],
    pair: PreparedPair,
    entry: Divergence,
    options: Options,
    facts: dict[str, Any],
    confidence_level: float | None,
) -> tuple[Note, ...]:
    """What is found to stand against the result."""
    weights, values = facts.get("weights", {}), facts.pop("values", [])
    outcome = Outcome(
        *given,
        pair.dimension,
        list(zip(weights, weights.values(), values, strict=True)),
        facts,
        confidence_level is not None,
        not entry.is_finite(options.order),
    )
    return notes_of(outcome)


def _error_of(
    ratios: Sequence[LogRatio],
    functional: Callable[..., float],
    value: float,
    confidence_level: float,
) -> dict[str, Any]:
    """Standard error and interval; nothing where there are none in finite numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        effects = effects_of(ratios, functional)
        spread = None if effects is None else spread_of((effects.x, effects.y))
    if spread is None or not np.isfinite(spread.standard_error):
        return {}
    return {
        "standard_error": spread.standard_error,
        "confidence_interval": spread.interval(value, confidence_level),
        "effects": effects,
    }
