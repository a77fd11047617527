"""Pairs of samples whose divergence is known: for tests, documentation, benchmarks.

Every maker returns ``(X, Y, true_divergence)`` with X from P, Y from Q and D(P || Q) in
nats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import logsumexp

from kldiv._validation import check_choice, check_sample, generator_of

__all__ = [
    "make_embedded_pair",
    "make_gaussian_pair",
    "make_image_like_pair",
    "make_lognormal_pair",
    "make_mixture_pair",
    "make_poisson_pair",
    "make_rounded_pair",
    "make_student_pair",
]


def __dir__() -> list[str]:
    return sorted(__all__)


Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats, float]

GAUSSIAN_KINDS = ("shift", "narrow", "wide", "null", "corr")
_ROWS_FOR_TRUTH = 40_000


def make_gaussian_pair(
    kind: str = "shift",
    *,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 2,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Two Gaussian samples.

    Parameters
    ----------
    kind : {"shift", "narrow", "wide", "null", "corr"}, default="shift"
        N(-1, I) against N(0, I); N(0, I) against N(0, 4 I); N(0, 4 I) against N(0, I);
        N(0, I) against itself; variances 1 and correlations 0.5 against N(0, I).
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=2
        Columns.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y : ndarray of shape (n, n_features) and (m, n_features), float64
        The samples.
    true_divergence : float
        D(P || Q) in nats.

    Examples
    --------
    >>> from kldiv.datasets import make_gaussian_pair
    >>> X, Y, truth = make_gaussian_pair("shift", n_features=3, random_state=0)
    >>> X.shape, Y.shape, truth
    ((1000, 3), (500, 3), 1.5)
    """
    check_choice(kind, GAUSSIAN_KINDS, "kind")
    rng, d = generator_of(random_state), n_features
    X, Y = (rng.normal(size=(rows, d)) for rows in n_samples)
    if kind == "shift":
        return X - 1, Y, d / 2
    if kind == "narrow":
        return X, 2 * Y, d * (np.log(2) - 3 / 8)
    if kind == "wide":
        return 2 * X, Y, d * (1.5 - np.log(2))
    if kind == "corr":
        common = rng.normal(size=(len(X), 1))
        half = np.sqrt(0.5)
        log_determinant = (d - 1) * np.log(0.5) + np.log((d + 1) / 2)
        return half * X + half * common, Y, float(-log_determinant / 2) + 0.0
    return X, Y, 0.0


def make_student_pair(
    *,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 2,
    degrees: float = 5.0,
    shift: float = 0.3,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Products of Student t distributions, one shifted in every column.

    Parameters
    ----------
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=2
        Columns.
    degrees : float, default=5.0
        Degrees of freedom.
    shift : float, default=0.3
        Distance of the medians in each column.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`; the divergence by numerical integration.

    Examples
    --------
    >>> from kldiv.datasets import make_student_pair
    >>> round(make_student_pair(n_features=10, random_state=0)[2], 2)
    0.34
    """
    rng = generator_of(random_state)
    X, Y = (rng.standard_t(degrees, (rows, n_features)) for rows in n_samples)
    law = stats.t(degrees)
    one = law.expect(lambda x: law.logpdf(x) - law.logpdf(x + shift))
    return X + shift, Y, n_features * float(one)


def make_lognormal_pair(
    *,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 2,
    scale: float = 0.5,
    shift: float = 0.3,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Products of log-normal distributions: skewed columns on the positive half-line.

    Parameters
    ----------
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=2
        Columns.
    scale : float, default=0.5
        Standard deviation of the logarithms.
    shift : float, default=0.3
        Distance of the means of the logarithms.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`.

    Examples
    --------
    >>> from kldiv.datasets import make_lognormal_pair
    >>> round(make_lognormal_pair(n_features=10, random_state=0)[2], 2)
    1.8
    """
    rng = generator_of(random_state)
    X = np.exp(rng.normal(0, scale, (n_samples[0], n_features)))
    Y = np.exp(rng.normal(shift, scale, (n_samples[1], n_features)))
    return X, Y, n_features * shift**2 / (2 * scale**2)


def make_embedded_pair(
    kind: str = "shift",
    *,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 50,
    rank: int = 2,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """A Gaussian pair mapped linearly into more columns; the divergence stays.

    Parameters
    ----------
    kind : str, default="shift"
        As in :func:`make_gaussian_pair`.
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=50
        Columns after the map.
    rank : int, default=2
        Columns before the map.
    random_state : None, int or Generator
        Seed. The rows before the map are those of ``make_gaussian_pair(kind,
        n_features=rank)`` with the same seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`.

    Examples
    --------
    >>> from kldiv.datasets import make_embedded_pair
    >>> X, Y, truth = make_embedded_pair(random_state=0)
    >>> X.shape, truth
    ((1000, 50), 1.0)
    """
    rng = generator_of(random_state)
    X, Y, truth = make_gaussian_pair(
        kind, n_samples=n_samples, n_features=rank, random_state=rng
    )
    embedding = rng.normal(size=(rank, n_features))
    return X @ embedding, Y @ embedding, truth


def make_poisson_pair(
    *,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 2,
    rates: tuple[float, float] = (4.0, 5.0),
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Products of Poisson distributions: counts, so that rows repeat.

    Parameters
    ----------
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=2
        Columns.
    rates : tuple of float, default=(4.0, 5.0)
        Means of X and of Y in every column.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`; float64 whole numbers.

    Examples
    --------
    >>> from kldiv.datasets import make_poisson_pair
    >>> round(make_poisson_pair(random_state=0)[2], 3)
    0.215
    """
    rng = generator_of(random_state)
    X, Y = (
        rng.poisson(rate, (rows, n_features)).astype(np.float64)
        for rate, rows in zip(rates, n_samples, strict=True)
    )
    p, q = rates
    return X, Y, n_features * float(p * np.log(p / q) - p + q)


def make_rounded_pair(
    kind: str = "shift",
    *,
    decimals: int = 1,
    n_samples: tuple[int, int] = (1000, 500),
    n_features: int = 1,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """A Gaussian pair rounded to a few decimals, as measured values often are.

    Parameters
    ----------
    kind : str, default="shift"
        As in :func:`make_gaussian_pair`.
    decimals : int, default=1
        Decimals that are kept.
    n_samples : tuple of int, default=(1000, 500)
        Rows of X and of Y.
    n_features : int, default=1
        Columns.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`; the divergence is that before rounding, an upper
        bound of the divergence of the rounded distributions.

    Examples
    --------
    >>> from kldiv.datasets import make_rounded_pair
    >>> make_rounded_pair(random_state=0)[0][:2, 0].tolist()
    [-0.9, -1.1]
    """
    X, Y, truth = make_gaussian_pair(
        kind, n_samples=n_samples, n_features=n_features, random_state=random_state
    )
    return np.round(X, decimals), np.round(Y, decimals), truth


def make_mixture_pair(
    *,
    n_samples: tuple[int, int] = (3000, 1000),
    n_features: int = 5,
    n_components: int = 5,
    shift: float = 0.3,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Random Gaussian mixtures with full covariances.

    Parameters
    ----------
    n_samples : tuple of int, default=(3000, 1000)
        Rows of X and of Y.
    n_features : int, default=5
        Columns.
    n_components : int, default=5
        Gaussians in each mixture.
    shift : float, default=0.3
        Length of the vector by which the means of Q are moved.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`; the divergence is a mean over 40,000 draws of P.

    Examples
    --------
    >>> from kldiv.datasets import make_mixture_pair
    >>> X, Y, truth = make_mixture_pair(n_features=2, random_state=0)
    >>> X.shape, Y.shape, truth > 0
    ((3000, 2), (1000, 2), True)
    """
    rng = generator_of(random_state)
    laws = []
    for offset in (0.0, shift / np.sqrt(n_features)):
        roots = rng.normal(size=(n_components, n_features, n_features))
        covariances = 0.5 * roots @ roots.transpose(0, 2, 1) / n_features
        laws.append(
            Mixture(
                rng.dirichlet(np.full(n_components, 5.0)),
                1.5 * rng.normal(size=(n_components, n_features)) + offset,
                covariances + 0.2 * np.eye(n_features),
            )
        )
    return _draw_pair(laws[0], laws[1], n_samples, rng)


def make_image_like_pair(
    train: ArrayLike | None = None,
    aux: ArrayLike | None = None,
    *,
    n_samples: tuple[int, int] = (3000, 1000),
    n_features: int = 10,
    n_components: int = 12,
    regularisation: float = 0.01,
    random_state: int | np.random.Generator | None = None,
) -> Pair:
    """Samples of mixtures fitted to images, so that a realistic divergence is known.

    Gaussian mixtures with full covariances are fitted to two sets of rows in their
    first principal components and the samples are drawn from the mixtures.

    Parameters
    ----------
    train, aux : array-like of shape (rows, ...), optional
        What P and Q are fitted to, for instance one class of private images and the
        auxiliary images that a victim puts in it. Without them scikit-learn's embedded
        digits are used: P from the threes, Q from the eights and nines.
    n_samples : tuple of int, default=(3000, 1000)
        Rows of X and of Y.
    n_features : int, default=10
        Principal components of `train` that are kept.
    n_components : int, default=12
        Gaussians in each mixture; fewer where there are not five rows for each.
    regularisation : float, default=0.01
        Added to the diagonals, as a share of the mean variance of a column.
    random_state : None, int or Generator
        Seed.

    Returns
    -------
    X, Y, true_divergence
        As :func:`make_gaussian_pair`; the divergence is a mean over 40,000 draws of P.

    Raises
    ------
    ValueError
        If only one of `train` and `aux` is given.

    Examples
    --------
    >>> from kldiv.datasets import make_image_like_pair
    >>> X, Y, truth = make_image_like_pair(n_samples=(300, 200), random_state=0)
    >>> X.shape, Y.shape, truth > 0
    ((300, 10), (200, 10), True)
    """
    from sklearn.decomposition import PCA

    if (train is None) != (aux is None):
        raise ValueError("give both train and aux, or neither for the embedded digits.")
    if train is None or aux is None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        train, aux = images[labels == 3], images[labels >= 8]
    rows = check_sample(train, "train")
    others = check_sample(aux, "aux", n_features=rows.shape[1])
    rng = generator_of(random_state)
    seed = int(rng.integers(2**31))
    pca = PCA(n_features, random_state=seed).fit(rows)
    laws = []
    for sample in (rows, others):
        features = pca.transform(sample).astype(np.float64)
        laws.append(fit_mixture(features, n_components, regularisation, seed))
    return _draw_pair(laws[0], laws[1], n_samples, rng)


class Mixture:
    """A Gaussian mixture to draw from and to evaluate."""

    def __init__(self, weights: Floats, means: Floats, covariances: Floats) -> None:
        self.weights, self.means = weights, means
        self.roots = np.linalg.cholesky(covariances)

    def draw(self, rows: int, rng: np.random.Generator) -> Floats:
        labels = rng.choice(len(self.weights), rows, p=self.weights)
        noise = rng.normal(size=(rows, self.means.shape[1], 1))
        drawn: Floats = self.means[labels] + (self.roots[labels] @ noise)[..., 0]
        return drawn

    def log_density(self, rows: Floats) -> Floats:
        d = rows.shape[1]
        logs = np.empty((len(rows), len(self.weights)))
        for c, (mean, root) in enumerate(zip(self.means, self.roots, strict=True)):
            scaled = np.linalg.solve(root, (rows - mean).T)
            logs[:, c] = -0.5 * (scaled**2).sum(axis=0) - np.log(np.diag(root)).sum()
        total: Floats = logsumexp(logs + np.log(self.weights), axis=1)
        total -= d / 2 * np.log(2 * np.pi)
        return total


def fit_mixture(
    rows: Floats, n_components: int, regularisation: float, seed: int
) -> Mixture:
    """Gaussian mixture with full covariances; fewer components for few rows."""
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(
        max(1, min(n_components, len(rows) // 5)),
        reg_covar=regularisation * rows.var(axis=0).mean(),
        random_state=seed,
        max_iter=60,
        tol=1e-2,
    ).fit(rows)
    weights = fitted.weights_ / fitted.weights_.sum()
    return Mixture(weights, fitted.means_, fitted.covariances_)


def _draw_pair(
    p: Mixture, q: Mixture, n_samples: tuple[int, int], rng: np.random.Generator
) -> Pair:
    X, Y = p.draw(n_samples[0], rng), q.draw(n_samples[1], rng)
    total, step = 0.0, 5000
    for _ in range(_ROWS_FOR_TRUTH // step):
        rows = p.draw(step, rng)
        total += float((p.log_density(rows) - q.log_density(rows)).sum())
    return X, Y, total / _ROWS_FOR_TRUTH
