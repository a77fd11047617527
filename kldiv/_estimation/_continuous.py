"""A result for samples whose columns are continuous."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from kldiv._divergences import Divergence, Mean, Means
from kldiv._errors._dependence import of_dependent_rows, spread_of_blocks
from kldiv._errors._standard_errors import Effects, Spread, effects_of
from kldiv._estimation._gaps import rows_in_gaps
from kldiv._estimation._options import Options
from kldiv._estimation._overlap import apart_notes, coverage_of
from kldiv._estimation._samples import pvalue_of
from kldiv._estimation._unseen import measured_unseen, unseen_ratio
from kldiv._neighbors import check_algorithm
from kldiv._order import kept_in_mind
from kldiv._preparation import PreparedPair, prepare, prepare_stored
from kldiv._ratio._corrections import (
    CORRECTIONS,
    estimate_log_ratio,
    reference_correction,
)
from kldiv._ratio._log_ratio import LogRatio
from kldiv._results._results import DivergenceResult
from kldiv._trust import Outcome, notes_of, verdict
from kldiv._typing import FloatArray, Floats, Rows
from kldiv._validation import Weights, brought_into_range, metric_name, one_blas_thread
from kldiv._warnings import Note, SingularSampleWarning

# What rows unseen prove and claim of a divergence that is a mean of log ratios.
_OF_MEANS = ("proven", "claimed")


def estimate_continuous(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    *,
    confidence_level: float | None = None,
    n_permutations: int = 0,
    weights: Weights | None = None,
) -> DivergenceResult:
    """Divergence of two checked samples; the caller warns of the notes."""
    with kept_in_mind(X, Y):
        return _estimated(X, Y, options, confidence_level, n_permutations, weights)


def _estimated(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    confidence_level: float | None,
    n_permutations: int,
    weights: Weights | None,
) -> DivergenceResult:
    entry = options.entry
    pair = prepared_pair(X, Y, options, weights, robust=options.robust)
    facts: dict[str, Any] = {"correction": None, "coverage": 1.0, "value": 0.0}
    facts |= {"notes": pair.notes, "algorithm": "none: same sample"}
    facts["log_ratio"] = np.zeros(len(X))
    facts |= size_facts(pair.weights)
    if not pair.same_sample:
        check_algorithm(options.algorithm, options.metric, pair.X.shape[1])
        with one_blas_thread():
            if n_permutations:
                rows = pair.in_time() if options.exclusion_window else (pair.X, pair.Y)
                facts["pvalue"] = pvalue_of(*rows, options, n_permutations)
            facts |= _measure(pair, entry, options, confidence_level)
        facts["log_ratio"] = at_given_rows(facts["log_ratio"], pair.order, len(X))
        given = pair.kept(X, Y)
        level_asked = confidence_level is not None
        facts["notes"] += outcome_notes(
            *given, pair.dimension, facts, options, level_asked
        )
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


def size_facts(weights: Weights | None) -> dict[str, float]:
    """How many rows of equal weight the samples are worth, if weights differ."""
    if weights is None:
        return {}
    return dict(
        zip(("n_effective", "m_effective"), weights.effective_rows(), strict=True)
    )


def prepared_pair(
    X: FloatArray,
    Y: FloatArray,
    options: Options,
    weights: Weights | None = None,
    *,
    robust: bool = False,
) -> PreparedPair:
    finite = options.entry.is_finite(options.order)
    if options.memory_limit is not None:
        return prepare_stored(X, Y, options.n_neighbors, finite=finite)
    if isinstance(options.metric, str):  # a user's need not be homogeneous
        X, Y, _ = brought_into_range(X, Y)
    pair = prepare(
        X,
        Y,
        options.n_neighbors,
        duplicates=options.duplicates,
        metric=options.metric,
        random_state=options.random_state,
        finite=finite,
        robust=robust,
        any_basis=options.only_distances,
    )
    return pair if weights is None else pair.weighted(weights)


def _measure(
    pair: PreparedPair,
    entry: Divergence,
    options: Options,
    confidence_level: float | None,
) -> dict[str, Any]:
    """Value, interval and circumstances from log ratios."""
    unseen = unseen_ratio(pair, options)
    if unseen is not None and entry.terms is not None:
        found = measured_unseen(unseen, entry.terms, options.order)
        facts = search_facts(unseen, entry) | ratio_facts(unseen)
        facts |= {"log_ratio": unseen.values, "value": found["value"]}
        known = found["effects"]
        return facts | _error(pair, lambda: known, found["value"], confidence_level)
    correction = options.correction
    if options.exclusion_window:
        correction = options.correction_apart
    elif correction == "auto" and not entry.linear:
        correction = reference_correction(pair, options.metric)
    ratios = ratios_of(pair, options, correction)
    first = ratios[0]
    facts = search_facts(first, entry) | ratio_facts(first)
    facts["log_ratio"] = first.values
    if not (_infinite(pair) or entry.is_finite(options.order)):
        facts["notes"] = pair.notes + apart_notes(first)
        if options.looks_for_gaps:
            threads = options.settings.threads
            facts["doubts"]["in gaps"] = rows_in_gaps(pair, threads)
    functional, _ = formula_of([first], options, pair.weights)
    facts["value"] = value = functional(*(ratio.values for ratio in ratios))
    known = partial(effects_of, ratios, functional)
    window = options.exclusion_window
    error = _error(pair, known, value, confidence_level, window)
    return facts | (without_interval(error) if entry.plug_in else error)


def _infinite(pair: PreparedPair) -> bool:
    """Whether a note of the preparation says so already."""
    return any(note.category is SingularSampleWarning for note in pair.notes)


def _error(
    pair: PreparedPair,
    known: Callable[[], Effects | None],
    value: float,
    confidence_level: float | None,
    window: int = 0,
) -> dict[str, Any]:
    """Standard error and interval if asked for, effects of rows as they were given."""
    if confidence_level is None:
        return {}
    if window:
        spread = partial(spread_of_blocks, places=pair.places, window=window)
        in_blocks = partial(_in_blocks, known, pair, window)
        error = error_of(in_blocks, value, confidence_level, spread)
    else:
        error = error_of(known, value, confidence_level)
    if "effects" in error and pair.order is not None:
        error["effects"] = error["effects"].as_given(*pair.order)
    return error


def at_given_rows(values: Floats, order: tuple[Rows, Rows] | None, n: int) -> Floats:
    """Values of rows of X in the order in which n rows were given; NaN where dropped.

    `order` says which of the rows given each of these is.
    """
    if order is None:
        return values
    given = np.full(n, np.nan)
    given[order[0]] = values
    return given


def ratios_of(
    pair: PreparedPair, options: Options, correction: str | None
) -> list[LogRatio]:
    """Log ratios at the rows of X, and of Y if the divergence needs them."""
    pairs = [pair]
    if options.entry.needs == "xy":
        pairs.append(pair.exchanged())
    return [estimate_log_ratio(one, correction, options.settings) for one in pairs]


def formula_of(
    ratios: Sequence[LogRatio], options: Options, weights: Weights | None
) -> tuple[Callable[..., float], int | None]:
    """The divergence of log ratios, and the k whose noise it takes off, if known."""
    entry = options.entry
    varying = [one.parts or CORRECTIONS[one.correction].varying_k for one in ratios]
    k = options.n_neighbors if ratios and not any(varying) else None
    more: tuple[Means, ...] = ()
    if weights is not None:
        more = ((weighted_mean(weights.of_x), weighted_mean(weights.of_y)),)

    def formula(x: Any, y: Any = None) -> float:
        return entry.compute(x, y, k, options.order, *more)

    return formula, k


def weighted_mean(weights: Floats) -> Mean:
    """Mean of numbers at the rows that have these weights, of mean one."""

    def mean(values: Floats) -> float:
        # what one row more does is asked for a row of mean weight
        more = np.ones(len(values) - len(weights))
        return float(np.average(values, weights=np.append(weights, more)))

    return mean


def search_facts(ratio: LogRatio, entry: Divergence) -> dict[str, Any]:
    """How neighbours were found, and the formula evaluated."""
    return {
        "algorithm": ratio.neighbors.algorithm,
        "evaluated_by": entry.evaluated_by,
        "coverage": coverage_of(ratio),
    }


def ratio_facts(ratio: LogRatio) -> dict[str, Any]:
    """How log ratios were estimated."""
    return {
        "correction": ratio.correction,
        "scale": ratio.scale,
        "n_components": ratio.n_components,
        "weights": {str(one.correction): w for w, one in ratio.parts},
        "values": [one.mean for _, one in ratio.parts],
        "doubts": {
            **{one: getattr(ratio, one) for one in ("held", "misfit")},
            **{one: getattr(ratio, one) for one in ("proven", "claimed")},
            "restless": 0.0 if ratio.weighting is None else ratio.weighting.missed,
        },
    }


def outcome_notes(
    X: FloatArray,
    Y: FloatArray,
    dimension: int,
    facts: dict[str, Any],
    options: Options,
    level_asked: bool,
) -> tuple[Note, ...]:
    """What is found to stand against a result; takes some of the facts out."""
    weights, values = facts.get("weights", {}), facts.pop("values", [])
    doubts = facts.pop("doubts", {})
    if not options.entry.linear:  # what is proven are means of log ratios
        doubts = {one: doubts[one] for one in doubts if one not in _OF_MEANS}
    outcome = Outcome(
        X,
        Y,
        dimension,
        list(zip(weights, weights.values(), values, strict=True)),
        doubts,
        facts,
        level_asked,
        not options.entry.is_finite(options.order),
        options.entry.logarithmic,
        options.exclusion_window,
    )
    return notes_of(outcome)


def _in_blocks(
    known: Callable[[], Effects | None], pair: PreparedPair, window: int
) -> Effects | None:
    """Effects of rows that depend on those before them."""
    effects = known()
    return effects and of_dependent_rows(effects, pair.places, window)


def without_interval(error: dict[str, Any]) -> dict[str, Any]:
    """What is known of the error of a value whose bias is not known."""
    return {name: one for name, one in error.items() if name != "confidence_interval"}


def error_of(
    effects_known: Callable[[], Effects | None],
    value: float,
    confidence_level: float,
    spread_known: Callable[[Effects], Spread | None] | None = None,
) -> dict[str, Any]:
    """Standard error and interval; nothing where there are none in finite numbers."""
    if not np.isfinite(value):
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
        effects = effects_known()
        known = spread_known or Effects.spread
        spread = None if effects is None else known(effects)
    if spread is None or not np.isfinite(spread.standard_error):
        return {}
    return {
        "standard_error": spread.standard_error,
        "confidence_interval": spread.interval(value, confidence_level),
        "effects": effects,
    }
