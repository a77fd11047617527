"""Corrections that learn the ratio: column by column, or by telling samples apart."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from scipy.special import digamma

from kldiv._neighbors import search
from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import grown_balls
from kldiv._ratio._classifier import fit_classifier, judged_rows
from kldiv._ratio._common import common_balls, common_members
from kldiv._ratio._correction import Correction, Evidence
from kldiv._ratio._layers import fit_layers
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._mixtures import Mixture, fit_gaussian
from kldiv._ratio._references import bias_of_x, bias_of_y
from kldiv._ratio._relabelled import missed_beyond_chance
from kldiv._typing import Floats


class ClassifierRatio(Correction):
    """Logit of a classifier that tells the samples apart."""

    name: ClassVar[str] = "classifier"
    euclidean = True

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        X, Y = pair.X.astype(np.float64), pair.Y.astype(np.float64)
        fitted, n = fit_classifier(X, Y), len(X)
        seen, held_out = fitted.logits[:n], fitted.held_out[:n]

        def effects(weights: Floats) -> tuple[Floats, Floats]:
            at_both = np.concatenate([weights, np.zeros(len(Y))])
            both = fitted.effects(at_both)
            return both[:n] * n, both[n:] * len(Y)

        def ratio() -> LogRatio:
            found = common_balls(pair, settings)
            members = common_members(pair, settings)
            lost, error = missed_beyond_chance(found, members, fitted)
            apart = float((seen - held_out).mean()) / 2
            return replace(
                found,
                values=fitted.learned[:n] + lost,
                correction=self.name,
                row_effects=effects,
                fit_error=float(np.hypot(apart, error)),
            )

        rows = np.concatenate([judged_rows(n), n + judged_rows(len(Y))])
        return Evidence(fitted.held_out[rows], ratio)


class MarginalReferences(Correction):
    """Each sample in normal scores of its own columns, with a Gaussian as reference.

    The scores take what single columns do, the Gaussian how they depend on each other,
    and neighbour balls correct what the Gaussian misses.
    """

    name: ClassVar[str] = "marginal"
    euclidean = True
    fewest_rows = 2

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        X, Y = pair.X.astype(np.float64), pair.Y.astype(np.float64)
        of_x, of_y = (_Side(sample[judged_rows(len(sample))]) for sample in (X, Y))
        p_at_x, q_at_y = of_x.left_out(), of_y.left_out()
        p_at_y, q_at_x = of_x.log_density(of_y.rows), of_y.log_density(of_x.rows)
        held_out = np.concatenate([p_at_x - q_at_x, p_at_y - q_at_y])

        def ratio() -> LogRatio:
            log_p, p_bias = _log_p(pair, of_x, X, Y, settings)
            log_q, q_bias = _log_q(pair, of_y, X, Y, settings)
            return replace(
                common_balls(pair, settings),
                values=log_p - log_q - p_bias + q_bias,
                correction=self.name,
                scale="own",
                row_effects=effects,
                fit_error=of_x.fit_error(of_y),
                misfit=of_x.misfit(X, log_p - p_bias) + of_y.misfit(X, log_q - q_bias),
            )

        def effects(weights: Floats) -> tuple[Floats, Floats]:
            # a maximum of the likelihood does not change with the rows to first order
            found, rows = np.zeros(len(Y)), judged_rows(len(Y))
            found[rows] = -of_y.effects(X, weights) * (len(Y) / len(rows))
            return np.zeros(len(X)), found

        return Evidence(held_out, ratio)


class _Side:
    """Maps that make one sample Gaussian, and the Gaussian of its scores."""

    def __init__(self, rows: Floats) -> None:
        self.rows, self.layers = rows, fit_layers(rows)
        self.scores, self.log_slopes = self.layers.scores(rows)
        self.gaussian: Mixture = fit_gaussian(self.scores)

    def scores_of(self, rows: Floats) -> Floats:
        """Normal scores of any rows."""
        return self.layers.scores(rows)[0]

    def log_density(self, rows: Floats) -> Floats:
        """Log density at rows that were not fitted."""
        scores, log_slopes = self.layers.scores(rows)
        return self.gaussian.log_density(scores) + log_slopes

    def left_out(self) -> Floats:
        """Log density at the fitted rows, each left out."""
        return self.layers.log_density_left_out(self.rows, self.gaussian)

    def fit_error(self, other: _Side) -> float:
        """What both fits owe to the rows that they have seen, of which half is taken
        out: it may be too much, or not enough."""
        owed = [one.layers.influence(one.rows).mean() for one in (self, other)]
        return float(np.hypot(*owed))

    def misfit(self, rows: Floats, seen: Floats) -> float:
        """How far balls move the log density, on average over rows."""
        return abs(float((seen - self.log_density(rows)).mean()))

    def effects(self, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on a weighted sum of log densities elsewhere."""
        scores = self.scores_of(judged)
        through_gaussian = self.gaussian.effects(self.scores, scores, weights)
        return through_gaussian + self.layers.effects(self.rows, judged, weights)


def _log_p(
    pair: PreparedPair, of_x: _Side, X: Floats, Y: Floats, settings: Settings
) -> tuple[Floats, float]:
    """log p at the rows of X, and how much too large it is on average."""
    k, threads = settings.n_neighbors, settings.threads
    at_x, log_slopes = of_x.layers.scores(X)
    scores, others = pair.with_equal_rows(at_x, of_x.scores_of(Y))
    near = search(scores, others, k, blocks=("xx",), threads=threads).block("xx")
    radii, counts = grown_balls(scores, scores, near, "X", threads)
    rows = scores.astype(np.float64)
    log_p = of_x.gaussian.log_ratio_to_ball(rows, radii, threads) + log_slopes
    log_p += digamma(counts) - digamma(len(rows))
    rng = np.random.default_rng(0)
    bias = bias_of_x(of_x.gaussian, of_x.scores, k, threads, rng)
    # half of what the splines owe to the rows that they have seen
    return log_p, bias + float(of_x.layers.influence(of_x.rows).mean()) / 2


def _log_q(
    pair: PreparedPair, of_y: _Side, X: Floats, Y: Floats, settings: Settings
) -> tuple[Floats, float]:
    """log q at the rows of X, and how much too large it is on average."""
    threads = settings.threads
    at_x, log_slopes = of_y.layers.scores(X)
    scores, others = pair.with_equal_rows(at_x, of_y.scores_of(Y))
    near = search(
        scores, others, settings.n_neighbors, blocks=("xy",), threads=threads
    ).block("xy")
    radii, counts = grown_balls(scores, others, near, "Y", threads)
    rows = scores.astype(np.float64)
    log_q = of_y.gaussian.log_ratio_to_ball(rows, radii, threads) + log_slopes
    log_q += digamma(counts) - digamma(len(others) + 1)
    rng = np.random.default_rng(0)
    return log_q, bias_of_y(of_y.gaussian, of_y.scores, rows, radii, threads, rng)
