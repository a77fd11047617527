"""Scores of reports compared: of two classes, of one in two reports, of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from kldiv._errors._differences import (
    Compared,
    Difference,
    TracedEffects,
    mean_difference,
)
from kldiv._validation import check_level


class Comparable:
    """What a report with standard errors can be asked about differences."""

    classes: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    pairing: Mapping[Any, TracedEffects]

    @overload
    def compare(
        self, first: Comparable, second: None = None, level: float = 0.95
    ) -> Self: ...

    @overload
    def compare(
        self, first: Any, second: Any, level: float = 0.95
    ) -> tuple[float, tuple[float, float]]: ...

    def compare(
        self, first: Any, second: Any = None, level: float = 0.95
    ) -> tuple[float, tuple[float, float]] | Self:
        """Differences of two classes, or of this report and another, with intervals.

        Parameters
        ----------
        first, second : object, or PerClassReport and optionally a class label
            Two class labels; or the report on another auxiliary set (or on other
            features, or another estimator), alone for all classes that both reports
            hold, or with the label of one class.
        level : float, default=0.95
            Of the intervals.

        Returns
        -------
        difference : float
            Score of `first` minus score of `second`, or score of this report minus
            score of the other one, in their unit. NaN if one of them could not be had.
        confidence_interval : tuple of float
            Its lower and upper end.
        report : PerClassReport
            Instead of both for another report without a class label: columns
            ``difference``, ``standard_error``, ``difference_low``,
            ``difference_high`` and ``paired``.

        Raises
        ------
        ValueError
            For an unknown class, reports without a class in common, or a report
            without standard errors.

        Notes
        -----
        What a row that both scores share does to one is subtracted from what it does
        to the other, so that the common part cancels: the training rows of
        reports on two auxiliary sets, the auxiliary rows that two answers of a victim
        put into one class, all auxiliary rows of two classes under soft
        conditioning. ``paired`` says whether there were any. Rows that only one score
        has count as drawn with their answers: the interval holds what other rows and
        other answers of the same kind would give. What rows do not say, such as which
        correction is right, cancels as far as rows are shared. Reports read from a
        file do not hold what this needs; their errors count as independent.

        Examples
        --------
        >>> import numpy as np
        >>> from kldiv import ConditionalKLScorer
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], 200)
        >>> train = (rng.normal(size=(400, 2)), y)
        >>> near, far = (rng.normal(s, 1, size=(400, 2)) for s in (0.2, 1.5))
        >>> scorer = ConditionalKLScorer(confidence_level=0.95)
        >>> reports = [scorer.fit(train, (aux, y)).report() for aux in (near, far)]
        >>> table = reports[1].compare(reports[0])
        >>> bool((table["difference_low"] > 0).all()), table["paired"].tolist()
        (True, [True, True])
        """
        _check_level(level)
        if isinstance(first, Comparable) and second is None:
            return self._differences(first, level)
        if second is None:
            raise TypeError(
                "compare takes two classes, or another report (and a class); got "
                f"{first!r} alone."
            )
        if isinstance(first, Comparable):
            difference = class_difference(self, second, first, second, level)
        else:
            difference = class_difference(self, first, self, second, level)
        return difference.value, difference.confidence_interval

    def compare_means(
        self, other: Comparable, level: float = 0.95
    ) -> tuple[float, tuple[float, float]]:
        """Mean over classes of the scores here minus those of another report.

        Parameters
        ----------
        other : PerClassReport
            Report on other answers or another auxiliary set.
        level : float, default=0.95
            Of the interval.

        Returns
        -------
        difference : float
            Mean over the classes that have a score in both reports, in their unit;
            NaN if there is none.
        confidence_interval : tuple of float
            Its lower and upper end.

        Raises
        ------
        ValueError
            For reports without a class in common or without standard errors.

        Notes
        -----
        Errors of classes are not independent: an auxiliary row that leaves one class
        enters another. Each row is counted once with all that it does.

        Examples
        --------
        >>> import numpy as np
        >>> from kldiv import ConditionalKLScorer
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], 200)
        >>> X, aux = rng.normal(size=(2, 400, 2)) + 2 * y[:, None]
        >>> scorer = ConditionalKLScorer(confidence_level=0.95)
        >>> wrong = np.where(rng.random(400) < 0.3, 1 - y, y)
        >>> reports = [scorer.fit((X, y), (aux, a)).report() for a in (y, wrong)]
        >>> difference, (low, high) = reports[1].compare_means(reports[0])
        >>> bool(low > 0)
        True
        """
        _check_level(level)
        if not isinstance(other, Comparable):
            raise TypeError(
                f"compare_means takes another report; got {type(other).__name__}."
            )
        difference = mean_over_classes(self, other, level)
        return difference.value, difference.confidence_interval

    def _differences(self, other: Comparable, level: float) -> Self:
        """Scores here minus those there, for all classes of both."""
        raise NotImplementedError


def _check_level(level: Any) -> None:
    """Differences come with intervals, whose level cannot be left out."""
    if level is None:
        raise TypeError("level must be between 0 and 1, for instance 0.95; got None.")
    check_level(level)


def class_difference(
    first: Comparable, mine: Any, second: Comparable, yours: Any, level: float
) -> Difference:
    """Score of a class of one report minus that of a class of another."""
    return mean_difference([_compared(first, mine, second, yours)], level)


def mean_over_classes(
    first: Comparable, second: Comparable, level: float
) -> Difference:
    """Mean over the classes that have a score in both reports."""
    both = [_compared(first, c, second, c) for c in common_classes(first, second)]
    scored = [one for one in both if np.isfinite(one[0]).all()]
    if not scored:
        return Difference(np.nan, np.nan, (np.nan, np.nan), False)
    return mean_difference(scored, level)


def common_classes(first: Comparable, second: Comparable) -> list[Any]:
    """Classes of both reports, in the order of the first; an error without any."""
    known = second.classes.tolist()
    common = [c for c in first.classes.tolist() if c in known]
    if not common:
        raise ValueError(
            f"the reports hold no class in common: {first.classes.tolist()} and "
            f"{known}."
        )
    return common


def _compared(first: Comparable, mine: Any, second: Comparable, yours: Any) -> Compared:
    units = {str(one.settings.get("unit", "nats")) for one in (first, second)}
    if len(units) > 1:
        raise ValueError(f"reports in {sorted(units)}: score both in one base.")
    a, b = _side(first, mine), _side(second, yours)
    return (a[0], b[0]), (a[1], b[1]), (a[2], b[2])


def _side(report: Comparable, label: Any) -> tuple[float, float, TracedEffects | None]:
    if "standard_error" not in report.columns:
        raise ValueError(
            "compare needs standard errors; fit "
            "ConditionalKLScorer(confidence_level=0.95) and take its report."
        )
    labels = report.classes.tolist()
    if label not in labels:
        raise ValueError(
            f"{label!r} is not a class of the report; its classes are {labels}."
        )
    row, score = labels.index(label), next(iter(report.columns.values()))
    return (
        float(score[row]),
        float(report.columns["standard_error"][row]),
        report.pairing.get(labels[row]),
    )
