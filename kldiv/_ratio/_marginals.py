"""Columns of one sample made Gaussian, each by a map of its own.

A density can be estimated in any smooth increasing map of the columns as long as the
slope of the map is counted. Here every sample has maps of its own: a power and a tail
transform where they help, then the normal scores of a log-spline density. What is left
for a reference measure is how the columns depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kldiv._ratio._coordinates import SHAPES, choose_shape
from kldiv._ratio._log_splines import LogSpline, fit_log_splines
from kldiv._typing import Floats


@dataclass(frozen=True)
class Marginals:
    """Increasing maps of the columns that make one sample Gaussian column by column.

    Attributes
    ----------
    centres, sizes : list of ndarray of shape (d,)
        Standardisation before each shape and before the splines.
    parameters : list of ndarray of shape (d,)
        Of the power and of the tail transform.
    splines : list of LogSpline
        Density of each column after these.
    """

    centres: list[Floats]
    sizes: list[Floats]
    parameters: list[Floats]
    splines: list[LogSpline]

    def standardise(self, X: Floats) -> tuple[Floats, Floats]:
        """Rows as the splines take them, and log of the slope of the map so far."""
        Z = (X - self.centres[0]) / self.sizes[0]
        slopes = np.full(len(X), -np.log(self.sizes[0]).sum())
        for i, shape in enumerate(SHAPES):
            slopes += shape.log_slope(Z, self.parameters[i]).sum(axis=1)
            Z = shape.transform(Z, self.parameters[i])
            Z = (Z - self.centres[i + 1]) / self.sizes[i + 1]
            slopes -= np.log(self.sizes[i + 1]).sum()
        return Z, slopes

    def scores(self, X: Floats) -> tuple[Floats, Floats]:
        """Normal scores of rows, shape (n, d), and log of the slope of the whole map.

        A density of the rows is the density of the scores times that slope.
        """
        Z, slopes = self.standardise(X)
        scores = np.empty_like(Z)
        for j, spline in enumerate(self.splines):
            z = Z[:, j]
            scores[:, j] = spline.scores_at(z)
            slopes += spline.log_ratio_at(z) + (scores[:, j] ** 2 - z**2) / 2
        return scores, slopes

    def influence(self, X: Floats) -> Floats:
        """What leaving a fitted row out takes from its log density, shape (n,)."""
        Z, _ = self.standardise(X)
        columns = [one.influence_at(Z[:, j]) for j, one in enumerate(self.splines)]
        return np.sum(columns, axis=0)

    def effects(self, rows: Floats, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on the weighted mean log density at others."""
        fitted, others = self.standardise(rows)[0], self.standardise(judged)[0]
        columns = [
            spline.effects(fitted[:, j], others[:, j], weights)
            for j, spline in enumerate(self.splines)
        ]
        return np.sum(columns, axis=0)


def fit_marginals(X: Floats) -> Marginals:
    """Maps of the columns of one sample, by likelihood."""
    centres, sizes, parameters, Z = [], [], [], X
    for shape in (None, *SHAPES):
        if shape is not None:
            parameters.append(choose_shape((Z,), shape))
            Z = shape.transform(Z, parameters[-1])
        centres.append(Z.mean(axis=0))
        size = Z.std(axis=0)
        sizes.append(np.where(size > 0, size, 1.0))
        Z = (Z - centres[-1]) / sizes[-1]
    return Marginals(centres, sizes, parameters, fit_log_splines(Z))
