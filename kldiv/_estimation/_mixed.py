"""A result for samples with discrete columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kldiv._divergences import Divergence
from kldiv._duplicates import DuplicateCounts, count_duplicates, refuse_duplicates
from kldiv._errors._cell_permutations import cell_pvalue
from kldiv._estimation._cells import Cells, Group
from kldiv._estimation._chain import Chain, Part
from kldiv._estimation._columns import Asked, Split
from kldiv._estimation._continuous import (
    at_given_rows,
    error_of,
    formula_of,
    outcome_notes,
    prepared_pair,
    ratio_facts,
    ratios_of,
    search_facts,
    size_facts,
    without_interval,
)
from kldiv._estimation._mixed_notes import (
    cell_notes,
    infinite_cells,
    part_notes,
    point_mass_note,
)
from kldiv._estimation._options import Options
from kldiv._neighbors import check_algorithm
from kldiv._preparation import PreparedPair
from kldiv._ratio._corrections import reference_correction
from kldiv._results._results import DivergenceResult
from kldiv._trust import verdict
from kldiv._typing import FloatArray, Floats, Rows
from kldiv._validation import Weights, generator_of, metric_name
from kldiv._warnings import Note

# References and standard errors need as many rows of both samples in a cell.
_FEWEST_ROWS, _GROUPS_OF_ROWS = 20, 5


def estimate_mixed(
    X: FloatArray,
    Y: FloatArray,
    split: Split,
    asked: Asked,
    options: Options,
    *,
    confidence_level: float | None,
    n_permutations: int,
    weights: Weights | None = None,
) -> DivergenceResult:
    """Divergence by the chain rule; the caller warns of the notes."""
    cells, n_given = Cells.of(X, Y, split), len(X)
    counts, kept = _distinct(X, Y, cells, options.duplicates)
    X, Y = X[kept[0]], Y[kept[1]]
    cells = Cells.of(X, Y, split, weights and weights.taken(*kept))
    needed = max(_FEWEST_ROWS, _GROUPS_OF_ROWS * (options.n_neighbors + 1))
    groups = cells.groups(needed)
    pairs, notes = _prepared(X, Y, groups, options, cells.weights)
    chain = _chain(cells, _parts(groups, pairs, options), options)
    level = None if infinite_cells(cells, options).any() else confidence_level
    facts = _facts(chain, options.entry) | _value_of(chain, options, level)
    facts["log_ratio"] = at_given_rows(_log_ratio(chain, options), kept, n_given)
    facts["notes"] = cell_notes(cells, groups, split, asked, options)
    facts["notes"] += notes or part_notes(chain.parts, options)
    if n_permutations:
        facts["pvalue"] = _pvalue(X, Y, split, cells, options, n_permutations)
    x, y = (rows[:, ~split.discrete] for rows in (X, Y))
    facts["notes"] += outcome_notes(x, y, x.shape[1], facts, options, level is not None)
    return DivergenceResult(
        n=len(X),
        m=len(Y),
        n_features=int(split.discrete.sum()) + _dimension(pairs),
        n_neighbors=options.n_neighbors,
        divergence=options.name,
        n_duplicates=counts.total,
        duplicates=options.duplicates,
        metric=metric_name(options.metric),
        trust=verdict(facts["notes"]),
        **facts,
    )


def _dimension(pairs: Sequence[PreparedPair | None]) -> int:
    """Continuous columns that were used, the most in any group."""
    return max((pair.dimension for pair in pairs if pair), default=0)


def _log_ratio(chain: Chain, options: Options) -> Floats:
    """At each row of X: of its cell, and within it."""
    infinite = infinite_cells(chain.cells, options)[chain.cells.of_x]
    of_cell, within = chain.sides()[0]
    return np.where(infinite, np.inf, of_cell + within)


def _value_of(chain: Chain, options: Options, level: float | None) -> dict[str, Any]:
    """The value, and an interval of a level if one was asked for."""
    infinite = infinite_cells(chain.cells, options).any()
    value = np.inf if infinite else chain.value()
    error = {} if level is None else error_of(chain.effects, value, level)
    if chain.entry.plug_in:
        error = without_interval(error)
    return {"value": value, **error}


def _distinct(
    X: FloatArray, Y: FloatArray, cells: Cells, duplicates: str
) -> tuple[DuplicateCounts, tuple[Rows, Rows]]:
    """Repeated rows among those with continuous columns, and rows of both that stay."""
    all_x, all_y = np.arange(len(X)), np.arange(len(Y))
    pure = cells.held.all(axis=1)
    rows_x, rows_y = (
        np.flatnonzero(np.logical_not(pure)[of]) for of in (cells.of_x, cells.of_y)
    )
    if not (rows_x.size and rows_y.size):
        return DuplicateCounts(0, 0, 0, False), (all_x, all_y)
    counts, keep_x, keep_y = count_duplicates(X[rows_x], Y[rows_y])
    if counts.total and duplicates == "raise":
        refuse_duplicates(counts)
    if counts.total and duplicates == "drop":
        _check_left(counts, int(keep_x.sum()), int(keep_y.sum()))
        all_x = np.delete(all_x, rows_x[~keep_x])
        all_y = np.delete(all_y, rows_y[~keep_y])
    return counts, (all_x, all_y)


def _check_left(counts: DuplicateCounts, n: int, m: int) -> None:
    """Raise ValueError if ``duplicates="drop"`` leaves nothing to compare."""
    if not (n and m):
        raise ValueError(
            f"{counts.describe()}; duplicates='drop' leaves {n} rows of X and {m} of Y "
            "with values in the continuous columns. Bring independent rows; for "
            "rounded values choose duplicates='dither'."
        )


def _prepared(
    X: FloatArray,
    Y: FloatArray,
    groups: Sequence[Group],
    options: Options,
    weights: Weights | None,
) -> tuple[list[PreparedPair | None], tuple[Note, ...]]:
    """The continuous columns of each group, and what stands against them."""
    pairs: list[PreparedPair | None] = []
    notes: tuple[Note, ...] = ()
    # repeated rows were looked for in all columns
    policy = "dither" if options.duplicates == "dither" else "expand"
    within = replace(options, duplicates=policy)
    for group in groups:
        x, y = X[group.x][:, group.columns], Y[group.y][:, group.columns]
        flat = [bool((rows == rows[:1]).all()) for rows in (x, y)]
        if not group.comparable or (all(flat) and (x[0] == y[0]).all()):
            pairs.append(None)
            continue
        if any(flat):
            notes += (point_mass_note(group, flat[0]),)
            pairs.append(None)
            continue
        mass = weights and weights.taken(group.x, group.y)
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        pair = prepared_pair(x, y, within, mass)
        notes += tuple(note for note in pair.notes if note not in notes)
        pairs.append(None if pair.same_sample else pair)
    return pairs, notes


def _parts(
    groups: Sequence[Group], pairs: Sequence[PreparedPair | None], options: Options
) -> list[Part]:
    """Log ratios within the groups, all by one correction where single ones count."""
    known = [pair for pair in pairs if pair is not None]
    correction = options.correction
    if known and correction == "auto" and not options.entry.linear:
        largest = max(known, key=lambda pair: len(pair.X))
        correction = reference_correction(largest, options.metric)
    parts = []
    for group, pair in zip(groups, pairs, strict=True):
        if pair is None:
            parts.append(Part(group))
            continue
        check_algorithm(options.algorithm, options.metric, pair.X.shape[1])
        ratios = ratios_of(pair, options, correction)
        parts.append(Part(_in_order_of(group, pair), tuple(ratios)))
    return parts


def _in_order_of(group: Group, pair: PreparedPair) -> Group:
    """The group with its rows in the order in which those of the pair are."""
    if pair.order is None:
        return group
    x, y = pair.order
    return replace(group, x=group.x[x], y=group.y[y])


def _chain(cells: Cells, parts: Sequence[Part], options: Options) -> Chain:
    entry = options.entry
    ratios = [part.ratios[0] for part in parts if part.ratios]
    formula, k = formula_of(ratios, options, cells.weights)
    return Chain(cells, parts, formula, entry, entry.noise(k, options.order))


def _facts(chain: Chain, entry: Divergence) -> dict[str, Any]:
    """How it was obtained, of the largest part; averages where there is a mean."""
    cells, mass = chain.cells, chain.cells.mass_of_x
    estimated = [part for part in chain.parts if part.ratios]
    reached = np.where(cells.n_y[cells.of_x] > 0, mass, 0.0)
    covered = float(reached.sum())
    n = len(mass)
    none: dict[str, Any] = {"correction": None, "algorithm": "none: discrete"}
    sizes = size_facts(cells.weights)
    if not estimated:
        none |= {"coverage": covered / n, "evaluated_by": entry.evaluated_by}
        return none | sizes
    largest = max(estimated, key=lambda part: part.group.x.size)
    facts = search_facts(largest.ratios[0], entry) | ratio_facts(largest.ratios[0])
    weights: dict[str, float] = {}
    values: dict[str, float] = {}
    total = sum(float(mass[part.group.x].sum()) for part in estimated)
    for part in estimated:
        first, share = part.ratios[0], float(mass[part.group.x].sum())
        within = 1 - search_facts(first, entry)["coverage"]
        covered -= float(reached[part.group.x].sum()) * within
        for weight, one in first.parts or ((1.0, first),):
            name = str(one.correction)
            weights[name] = weights.get(name, 0.0) + weight * share / total
            added = weight * share / total * one.mean
            values[name] = values.get(name, 0.0) + added
    several = {"weights": weights, "values": [values[w] / weights[w] for w in weights]}
    if len(weights) < 2:
        several = {"weights": {}, "values": []}
    firsts = [part.ratios[0] for part in estimated]
    doubts: dict[str, Any] = {"held": any(one.held for one in firsts)}
    weighted = [one.weighting.missed for one in firsts if one.weighting is not None]
    doubts["restless"] = max(weighted, default=0.0)
    return facts | several | sizes | {"coverage": covered / n, "doubts": doubts}


def _pvalue(
    X: FloatArray,
    Y: FloatArray,
    split: Split,
    cells: Cells,
    options: Options,
    n_permutations: int,
) -> float:
    pooled = np.concatenate([X, Y])
    return cell_pvalue(
        pooled[:, ~split.discrete],
        split.codes(pooled),
        np.concatenate([cells.of_x, cells.of_y]),
        len(X),
        options.n_neighbors,
        n_permutations,
        generator_of(options.random_state),
        options.settings.threads,
    )
