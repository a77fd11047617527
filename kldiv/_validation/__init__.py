"""What comes in from outside: arrays, parameters, and the size of numbers."""

from __future__ import annotations

from kldiv._validation._arrays import (
    as_array,
    as_rows,
    check_finite,
    check_pair,
    check_rows,
    check_same_columns,
    check_sample,
    column_names,
    refuse_two_vectors,
    rounding_of,
)
from kldiv._validation._frames import whole_frame
from kldiv._validation._labels import (
    PROBABILITY_TOLERANCE,
    check_labels,
    check_probabilities,
)
from kldiv._validation._magnitudes import (
    brought_into_range,
    columns_near_one,
    restored,
)
from kldiv._validation._objects import is_sparse
from kldiv._validation._parameters import (
    check_base,
    check_choice,
    check_integer,
    check_level,
    check_memory_limit,
    check_n_jobs,
    check_order,
    check_seed,
    check_sizes,
    check_verbose,
    generator_of,
    metric_name,
    n_threads,
)
from kldiv._validation._room import (
    check_workers,
    one_blas_thread,
    shared,
    within_limits,
)
from kldiv._validation._weights import (
    WEIGHT_NAMES,
    Weights,
    check_weights,
    joined_weights,
)

__all__ = [
    "PROBABILITY_TOLERANCE",
    "WEIGHT_NAMES",
    "Weights",
    "as_array",
    "as_rows",
    "brought_into_range",
    "check_base",
    "check_choice",
    "check_finite",
    "check_integer",
    "check_labels",
    "check_level",
    "check_memory_limit",
    "check_n_jobs",
    "check_order",
    "check_pair",
    "check_probabilities",
    "check_rows",
    "check_same_columns",
    "check_sample",
    "check_seed",
    "check_sizes",
    "check_verbose",
    "check_weights",
    "check_workers",
    "column_names",
    "columns_near_one",
    "generator_of",
    "is_sparse",
    "joined_weights",
    "metric_name",
    "n_threads",
    "one_blas_thread",
    "refuse_two_vectors",
    "restored",
    "rounding_of",
    "shared",
    "whole_frame",
    "within_limits",
]
