"""The published estimator within a limit of memory, on rows that are read in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kldiv._backends import ChunkedRows, check_chunked
from kldiv._estimation._categories import asked_of
from kldiv._estimation._columns import split_columns
from kldiv._estimation._options import Options
from kldiv._neighbors import BLOCKS, NeighborDistances, check_memory_limit, search
from kldiv._preparation import PreparedStore, prepare_stored
from kldiv._ratio._balls import Balls, ball_log_ratio
from kldiv._typing import Floats
from kldiv._validation import check_sizes, metric_name, one_blas_thread
from kldiv._warnings import Note, warn_of

# Copies of a part of the rows, in float64, that are held at a time.
_COPIES = 6


def stored_divergence(
    X: Any,
    Y: Any,
    options: Options,
    memory_limit: Any,
    *weights: Any,
) -> float:
    """A divergence by the published estimator; warns of what stands against it.

    `memory_limit` bounds the bytes of the rows that are held at a time, and of what
    is made of them.

    Raises
    ------
    ValueError
        For options that need all rows in memory, and as the estimate in memory.
    """
    limit = check_memory_limit(memory_limit)
    assert limit is not None
    _check_options(options, limit, weights)
    value, notes = _estimated(X, Y, options, limit)
    warn_of(notes)
    return value if options.base is None else value / float(np.log(options.base))


def _estimated(
    X: Any, Y: Any, options: Options, memory_limit: int
) -> tuple[float, tuple[Note, ...]]:
    x, y = check_chunked(X, Y)
    check_sizes(options.n_neighbors, len(x), len(y))
    step = max(1, memory_limit // (8 * _COPIES * x.shape[1]))
    parts = x.read(0, step), y.read(0, step)
    dtype = np.result_type(*parts)
    asked = asked_of(options.discrete, x.shape[1], None)
    if split_columns(*parts, asked, once=False) is not None:
        raise ValueError(
            "columns hold few values, which repeat, or values that many rows share; "
            "memory_limit is for continuous columns. Choose discrete=None to take them "
            "for continuous, or leave out memory_limit."
        )
    finite = options.entry.is_finite(options.order)
    with one_blas_thread():
        pair = prepare_stored(x, y, dtype, step, finite=finite)
        if pair.same_sample:
            return 0.0, pair.notes
        found = _search(pair, options, memory_limit)
    ratios: list[Floats | None] = [_log_ratios(found), None]
    if options.entry.needs == "xy":
        found = replace(found, n=found.m, m=found.n, xx=found.yy, xy=found.yx)
        ratios[1] = _log_ratios(found)
    value = options.entry.compute(*ratios, options.n_neighbors, options.order)
    return value, pair.notes


def _search(
    pair: PreparedStore, options: Options, memory_limit: int
) -> NeighborDistances:
    """Neighbours of the rows whose ratios are asked for."""
    X: Any = ChunkedRows(pair.samples[0], "X")
    Y: Any = ChunkedRows(pair.samples[1], "Y")
    found = search(
        X,
        Y,
        options.n_neighbors,
        blocks=BLOCKS if options.entry.needs == "xy" else ("xx", "xy"),
        algorithm="chunks",
        threads=options.settings.threads,
        memory_limit=memory_limit,
    )
    return replace(found, n_features=pair.dimension)


def _check_options(options: Options, memory_limit: int, weights: Any) -> None:
    """Raise ValueError for options that need all rows in memory."""
    if any(one is not None for one in weights):
        raise ValueError(
            f"memory_limit={memory_limit} is for rows that count alike, and these have "
            "weights. Leave out one of the two."
        )
    wanted: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "correction": (options.correction, (None,)),
        "metric": (metric_name(options.metric), ("euclidean",)),
        "duplicates": (options.duplicates, ("raise",)),
        "scale": (options.scale, ("auto", None)),
        "algorithm": (options.algorithm, ("auto", "chunks")),
        "exclusion_window": (options.exclusion_window, (0,)),
        "verbose": (options.verbose, (0,)),
    }
    for name, (given, able) in wanted.items():
        if given not in able:
            listed = " or ".join(map(repr, able))
            raise ValueError(
                f"memory_limit={memory_limit} reads rows in parts, and {name}="
                f"{given!r} needs all of them in memory. Choose {name}={listed}, or "
                "leave out memory_limit."
            )
    if options.entry.needs == "samples":
        raise ValueError(
            f"memory_limit={memory_limit}: divergence={options.name!r} averages the "
            "distances of all pairs of rows, which are held in memory. Use a "
            "divergence of density ratios, or leave out memory_limit."
        )


def _log_ratios(found: NeighborDistances) -> Floats:
    """log p/q at the rows of X."""
    rho, nu = found.block("xx")[:, -1], found.block("xy")[:, -1]
    if not (rho.all() and nu.all()):
        raise ValueError(
            "different rows are at distance zero, because their differences are too "
            "small to be squared. Bring the samples to a larger unit."
        )
    k = np.full(len(rho), found.n_neighbors)
    return ball_log_ratio(Balls(rho, nu, k, k), found)
