"""The options of an estimate, checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kldiv._backends import BACKENDS
from kldiv._backends._exclusion import check_in_memory
from kldiv._divergences import DIVERGENCES, Divergence, of_generator
from kldiv._estimation._categories import check_discrete
from kldiv._neighbors import check_metric
from kldiv._preparation import DUPLICATE_POLICIES
from kldiv._ratio._coordinates import SCALES
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._ratio._log_ratio import Settings
from kldiv._typing import UserMetric
from kldiv._validation import (
    check_base,
    check_choice,
    check_integer,
    check_memory_limit,
    check_n_jobs,
    check_order,
    check_seed,
    check_verbose,
    metric_name,
    n_threads,
)

# Corrections that look at neighbours only, so that some rows can be left out.
_APART = (None, "common")
# What estimates from rows that are read in parts.
_WITHIN_LIMIT: dict[str, tuple[Any, ...]] = {
    "correction": (None,),
    "metric": ("euclidean",),
    "duplicates": ("raise",),
    "scale": ("auto", None),
    "algorithm": ("auto", "chunks"),
    "exclusion_window": (0,),
    "verbose": (0,),
}


@dataclass(frozen=True)
class Options:
    """The parameters of :class:`kldiv.KNNDivergence`."""

    divergence: str | Callable[[Any], Any] = "kl"
    n_neighbors: int = 5
    correction: str | None = "auto"
    algorithm: str = "auto"
    duplicates: str = "raise"
    n_jobs: int | None = None
    random_state: Any = None
    scale: str | None = "auto"
    order: float = 0.5
    metric: str | UserMetric = "euclidean"
    discrete: Any = "auto"
    base: float | None = None
    verbose: int = 0
    exclusion_window: int = 0
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        # narrow numbers of NumPy overflow where they are multiplied
        for name in ("n_neighbors", "order", "base", "exclusion_window"):
            value = getattr(self, name)
            if isinstance(value, np.integer | np.floating):
                object.__setattr__(self, name, value.item())

    def check(self) -> None:
        """Raise ValueError or TypeError for an option that is not accepted."""
        check_integer(self.n_neighbors, "n_neighbors")
        if not callable(self.divergence):
            check_choice(self.divergence, tuple(DIVERGENCES), "divergence")
        check_order(self.order)
        check_choice(self.correction, ("auto", *CORRECTIONS), "correction")
        check_choice(self.algorithm, ("auto", *BACKENDS), "algorithm")
        check_choice(self.duplicates, DUPLICATE_POLICIES, "duplicates")
        check_choice(self.scale, SCALES, "scale")
        check_metric(self.metric)
        self._check_metric_suits()
        self._check_base_suits()
        self._check_window_suits()
        self._check_limit_suits()
        check_n_jobs(self.n_jobs)
        check_seed(self.random_state)
        check_verbose(self.verbose)
        check_discrete(self.discrete)

    def _check_metric_suits(self) -> None:
        """Raise ValueError if what was asked for needs Euclidean distances."""
        if self.metric == "euclidean":
            return
        name = metric_name(self.metric)
        if self.correction != "auto" and CORRECTIONS[self.correction].euclidean:
            raise ValueError(
                f"correction={self.correction!r} computes the masses of Euclidean "
                f"balls; metric={name!r} has others. Use correction=None or "
                "'adaptive', in which the volume of a ball cancels."
            )
        if self.entry.needs == "samples":
            raise ValueError(
                f"divergence={self.divergence!r} averages Euclidean distances and uses "
                f"no neighbours; metric={name!r} would be ignored. Use "
                "metric='euclidean' or another divergence."
            )

    def _check_window_suits(self) -> None:
        """Raise ValueError if what was asked for cannot leave out rows near in time."""
        window = check_integer(self.exclusion_window, "exclusion_window", 0)
        if not window:
            return
        check_in_memory(self.algorithm)
        if self.correction not in ("auto", *_APART):
            able = ", ".join(repr(name) for name in ("auto", *_APART))
            raise ValueError(
                f"exclusion_window={window} leaves neighbours out, and correction="
                f"{self.correction!r} is fitted to rows that depend on each other all "
                f"the same. These take it: {able}."
            )
        if self.entry.needs == "samples":
            raise ValueError(
                f"divergence={self.name!r} averages distances of all rows and uses no "
                "neighbours to leave out. Use exclusion_window=0, or 'kl' or another "
                "divergence of density ratios."
            )
        if self.duplicates == "expand":
            raise ValueError(
                "duplicates='expand' counts equal rows whenever they came; it has no "
                f"exclusion_window={window}. Use duplicates='drop' or 'dither'."
            )

    def _check_limit_suits(self) -> None:
        """Raise ValueError for options that need all rows in memory."""
        limit = check_memory_limit(self.memory_limit)
        if limit is None:
            return
        if self.entry.needs == "samples":
            raise ValueError(
                f"memory_limit={limit}: divergence={self.name!r} averages the "
                "distances of all pairs of rows, which are held in memory. Use a "
                "divergence of density ratios, or leave out memory_limit."
            )
        for name, able in _WITHIN_LIMIT.items():
            given = getattr(self, name)
            if given not in able:
                raise ValueError(
                    f"memory_limit={limit} reads rows in parts, and {name}="
                    f"{metric_name(given) if name == 'metric' else given!r} needs all "
                    f"of them in memory. Choose {name}="
                    f"{' or '.join(map(repr, able))}, or leave out memory_limit."
                )

    def _check_base_suits(self) -> None:
        """Raise ValueError if the divergence is no logarithm that could have a base."""
        check_base(self.base)
        if self.base is not None and not self.entry.logarithmic:
            logarithmic = [n for n, one in DIVERGENCES.items() if one.logarithmic]
            raise ValueError(
                f"base={self.base!r} is for divergences that are logarithms "
                f"({', '.join(logarithmic)}); {self.name!r} has no unit. Leave out "
                "base."
            )

    @property
    def robust(self) -> bool:
        """Whether rows that lie alone are left out.

        Published estimators look at near rows only, and their numbers are to be
        repeated.
        """
        published = self.correction in (None, "adaptive")
        return not published and self.metric == "euclidean"

    @property
    def looks_for_gaps(self) -> bool:
        """Whether rows of X are looked for that lie in gaps of Y.

        That is work beside a search of neighbours only, and little beside a fit. Rows
        that follow each other closely have gaps between them.
        """
        return self.robust and not self.exclusion_window and self.memory_limit is None

    @property
    def only_distances(self) -> bool:
        """Whether only distances between rows count, in whatever coordinates.

        Values that are spread at random follow the columns.
        """
        in_place = self.scale in (None, "auto") and self.duplicates != "dither"
        return self.correction is None and in_place

    @property
    def correction_apart(self) -> str | None:
        """The correction where rows near in time are no neighbours.

        Single log ratios of common balls have noise that is not known.
        """
        if self.correction != "auto":
            return self.correction
        linear = self.entry.linear and self.metric == "euclidean"
        return "common" if linear else None

    @property
    def _zeros_are_rounding(self) -> bool:
        """Whether balls of no extent can be grown until they have some."""
        return isinstance(self.metric, str) and self.memory_limit is None

    @property
    def entry(self) -> Divergence:
        """The divergence that was asked for."""
        if callable(self.divergence):
            return of_generator(self.divergence)
        return DIVERGENCES[self.divergence]

    @property
    def name(self) -> str:
        """What the result calls the divergence."""
        if isinstance(self.divergence, str):
            return self.divergence
        return getattr(self.divergence, "__name__", repr(self.divergence))

    @property
    def settings(self) -> Settings:
        """How log ratios are to be estimated."""
        return Settings(
            self.n_neighbors,
            self.scale,
            self.algorithm,
            self.metric,
            n_threads(self.n_jobs),
            zeros=self.duplicates == "expand" or self._zeros_are_rounding,
            exclusion_window=self.exclusion_window,
        )


def fewest_rows(correction: str | None) -> int:
    """Rows of each sample without which a correction has nothing to fit."""
    return 1 if correction == "auto" else CORRECTIONS[correction].fewest_rows
