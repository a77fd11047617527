"""Corrections that learn the ratio: column by column, or by telling samples apart."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import digamma

from kldiv._neighbors import search
from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import grown_balls
from kldiv._ratio._classifier import fit_classifier
from kldiv._ratio._correction import Correction, Evidence, search_balls
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._marginals import Marginals, fit_marginals
from kldiv._ratio._mixtures import Mixture, fit_gaussian
from kldiv._ratio._references import bias_of_x, bias_of_y
from kldiv._typing import Floats, Rows


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
            neighbors, balls = search_balls(pair.X, pair.Y, pair.dimension, settings)
            # what the fit has seen is too large about as much as what it has not is
            # too small
            return LogRatio(
                (seen + held_out) / 2,
                pair.X,
                pair.Y,
                balls,
                neighbors,
                self.name,
                None,
                settings,
                row_effects=effects,
                fit_error=float(seen.mean() - held_out.mean()) / 2,
            )

        return Evidence(fitted.held_out, ratio)


class MarginalReferences(Correction):
    """Each sample in normal scores of its own columns, with a Gaussian as reference.

    The scores take what single columns do, the Gaussian how they depend on each other,
    and neighbour balls correct what the Gaussian misses.
    """

    name: ClassVar[str] = "marginal"
    euclidean = True

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        X, Y = pair.X.astype(np.float64), pair.Y.astype(np.float64)
        of_x, of_y = _Side.fit(X), _Side.fit(Y)
        p_at_x, q_at_y = of_x.left_out(X), of_y.left_out(Y)
        p_at_y, q_at_x = of_x.log_density(Y), of_y.log_density(X)
        held_out = np.concatenate([p_at_x - q_at_x, p_at_y - q_at_y])

        def ratio() -> LogRatio:
            return _ratio_in_scores(pair, X, Y, of_x, of_y, settings)

        return Evidence(held_out, ratio)


class _Side:
    """Maps of the columns of one sample, and the Gaussian of its scores."""

    def __init__(self, rows: Floats, marginals: Marginals) -> None:
        self.rows, self.marginals = rows, marginals
        self.scores, self.log_slopes = marginals.scores(rows)
        self.gaussian: Mixture = fit_gaussian(self.scores)

    @classmethod
    def fit(cls, rows: Floats) -> _Side:
        return cls(rows, fit_marginals(rows))

    def scores_of(self, rows: Floats) -> Floats:
        """Normal scores of any rows."""
        return self.marginals.scores(rows)[0]

    def log_density(self, rows: Floats) -> Floats:
        """Log density at rows that were not fitted."""
        scores, log_slopes = self.marginals.scores(rows)
        return self.gaussian.log_density(scores) + log_slopes

    def left_out(self, rows: Floats) -> Floats:
        """Log density at the fitted rows, each left out."""
        own = self.gaussian.log_density_left_out(self.scores)
        return own + self.log_slopes - self.marginals.influence(rows)

    def effects(self, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on a weighted sum of log densities elsewhere."""
        scores = self.scores_of(judged)
        through_gaussian = self.gaussian.effects(self.scores, scores, weights)
        return through_gaussian + self.marginals.effects(self.rows, judged, weights)


def _equal_rows(pair: PreparedPair, X: Floats, Y: Floats) -> tuple[Floats, Floats]:
    """Scores of both samples, the same for rows that were equal."""
    scores = pair.with_equal_rows(X, Y)
    return scores[0].astype(np.float64), scores[1].astype(np.float64)


def _balls(
    queries: Floats, data: Floats, name: str, k: int, threads: int
) -> tuple[Floats, Rows]:
    """Radii of the balls around rows of X in one of the samples, and rows in them."""
    block = "xx" if name == "X" else "xy"
    near = search(queries, data, k, blocks=(block,), threads=threads)
    return grown_balls(queries, data, near.block(block), name, threads)


def _ratio_in_scores(
    pair: PreparedPair,
    X: Floats,
    Y: Floats,
    of_x: _Side,
    of_y: _Side,
    settings: Settings,
) -> LogRatio:
    """log p/q at the rows of X: densities of scores from balls, and slopes of maps."""
    k, threads, n, m = settings.n_neighbors, settings.threads, len(X), len(Y)
    scores, log_slopes = of_y.marginals.scores(X)
    at_x, _ = _equal_rows(pair, of_x.scores, of_x.scores_of(Y))
    scores, at_y = _equal_rows(pair, scores, of_y.scores)
    own, k_own = _balls(at_x, at_x, "X", k, threads)
    radii, k_radii = _balls(scores, at_y, "Y", k, threads)
    rng = np.random.default_rng(0)
    x_bias = bias_of_x(of_x.gaussian, of_x.scores, k, threads, rng)
    y_bias = bias_of_y(of_y.gaussian, of_y.scores, scores, radii, threads, rng)
    # half of what the splines owe to the rows that they have seen
    x_bias += float(of_x.marginals.influence(X).mean()) / 2
    log_p = of_x.gaussian.log_ratio_to_ball(at_x, own, threads) + digamma(k_own)
    log_q = of_y.gaussian.log_ratio_to_ball(scores, radii, threads) + digamma(k_radii)
    log_p += of_x.log_slopes - digamma(n) - x_bias
    log_q += log_slopes - digamma(m + 1) - y_bias
    neighbors, balls = search_balls(pair.X, pair.Y, pair.dimension, settings)

    def effects(weights: Floats) -> tuple[Floats, Floats]:
        # a maximum of the likelihood does not change with the rows to first order
        return np.zeros(n), -of_y.effects(X, weights)

    return LogRatio(
        log_p - log_q,
        pair.X,
        pair.Y,
        balls,
        neighbors,
        MarginalReferences.name,
        "own",
        settings,
        row_effects=effects,
    )
