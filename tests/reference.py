"""Slow, readable twins of the compiled and vectorised code."""

import numpy as np
from scipy.special import digamma


def distances(X, Y):
    """All Euclidean distances, float64, shape (n, m)."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    return np.sqrt(((X[:, None] - Y[None]) ** 2).sum(axis=2))


def neighbor_block(X, Y, k, exclude_self=False):
    """Distances of each row of X to its k nearest rows of Y, ascending."""
    found = distances(X, Y)
    if exclude_self:
        np.fill_diagonal(found, np.inf)
    return np.sort(found, axis=1)[:, :k]


def kl_fixed(X, Y, k):
    """Perez-Cruz 2008, eq. 14."""
    n, d = X.shape
    rho = neighbor_block(X, X, k, exclude_self=True)[:, -1]
    nu = neighbor_block(X, Y, k)[:, -1]
    return d * np.mean(np.log(nu / rho)) + np.log(len(Y) / (n - 1))


def kl_weighted(X, Y, wx, wy, k):
    """Density of weighted rows: weight in the ball of k rows over all weight."""
    d = X.shape[1]
    total = 0.0
    for i, x in enumerate(X):
        own, of_own = np.delete(distances(x[None], X)[0], i), np.delete(wx, i)
        other = distances(x[None], Y)[0]
        logs = []
        for far, mass in ((own, of_own), (other, wy)):
            nearest = np.argsort(far)[:k]
            # a mean of weights has a log that is too small by half their relative
            # variance over their number
            inside, everything = (
                np.log(w.sum()) + w.var(ddof=1) / w.mean() ** 2 / (2 * len(w))
                for w in (mass[nearest], mass)
            )
            logs.append(inside - everything - d * np.log(far[nearest[-1]]))
        total += wx[i] * (logs[0] - logs[1])
    return total / wx.sum()


def kl_adaptive(X, Y, k=1):
    """Wang, Kulkarni and Verdu 2009, section IV, row by row."""
    n, d = X.shape
    total = 0.0
    for i, x in enumerate(X):
        own = np.delete(distances(x[None], X)[0], i)
        other = distances(x[None], Y)[0]
        radius = max(np.sort(own)[k - 1], np.sort(other)[k - 1]) * (1 + 1e-12)
        own, other = own[own <= radius], other[other <= radius]
        total += d * np.log(other.max() / own.max())
        total += digamma(len(own)) - digamma(len(other))
    return total / n + np.log(len(Y) / (n - 1))


def kl_expanded(X, Y, k):
    """Fixed k, but zero k-th distances give way to the first positive one."""
    n, d = X.shape
    total = 0.0
    for i, x in enumerate(X):
        own = np.sort(np.delete(distances(x[None], X)[0], i))
        other = np.sort(distances(x[None], Y)[0])
        radii, counts = [], []
        for ordered in (own, other):
            radius, count = ordered[k - 1], k
            if radius == 0:
                radius = ordered[ordered > 0][0]
                count = (ordered <= radius * (1 + 1e-12)).sum()
            radii.append(radius)
            counts.append(count)
        total += d * np.log(radii[1] / radii[0])
        total += digamma(counts[0]) - digamma(counts[1])
    return total / n + np.log(len(Y) / (n - 1))


# --- Kolmogorov-Smirnov ---------------------------------------------------------------


def ks_gap(x, y):
    """Largest |F_x - F_y| over all points of both samples."""
    points = np.concatenate([x, y])
    f = (np.asarray(x)[:, None] <= points).mean(axis=0)
    g = (np.asarray(y)[:, None] <= points).mean(axis=0)
    return np.abs(f - g).max()


def ks_weighted_gap(x, y, wx, wy):
    """Largest |F_x - F_y| where rows have weights."""
    points = np.concatenate([x, y])
    f = [wx[x <= point].sum() / wx.sum() for point in points]
    g = [wy[y <= point].sum() / wy.sum() for point in points]
    return np.abs(np.subtract(f, g)).max()


def ks_orthants(X, Y):
    """Fasano-Franceschini: every orthant around every row, averaged over X and Y."""
    d = X.shape[1]

    def largest(centres):
        worst = 0.0
        for centre in centres:
            for bits in range(2**d):
                shares = []
                for sample in (X, Y):
                    below = sample <= centre
                    wanted = np.array([bool(bits >> k & 1) for k in range(d)])
                    shares.append((below == wanted).all(axis=1).mean())
                worst = max(worst, abs(shares[0] - shares[1]))
        return worst

    return (largest(X) + largest(Y)) / 2


def ks_rows(X, Y):
    """Mean over rows of X of the gap of their coordinates to all numbers in Y."""
    return np.mean([ks_gap(row, np.ravel(Y)) for row in X])


def ks_exact_tail(x, y):
    """Share of all ways to divide the pooled sample with a gap at least as large."""
    from itertools import combinations

    pooled = np.concatenate([x, y])
    observed, count, total = ks_gap(x, y), 0, 0
    for chosen in combinations(range(len(pooled)), len(x)):
        inside = np.zeros(len(pooled), dtype=bool)
        inside[list(chosen)] = True
        count += ks_gap(pooled[inside], pooled[~inside]) >= observed - 1e-12
        total += 1
    return count / total


NORMS = {
    "euclidean": lambda t: np.sqrt((t**2).sum(axis=-1)),
    "manhattan": lambda t: abs(t).sum(axis=-1),
    "chebyshev": lambda t: abs(t).max(axis=-1),
}


def neighbor_blocks_longdouble(X, Y, k, blocks, metric="euclidean"):
    """Neighbour distances of each block by direct differences in long double."""
    samples = {"x": np.asarray(X, np.longdouble), "y": np.asarray(Y, np.longdouble)}
    found = {}
    for block in blocks:
        queries, data = samples[block[0]], samples[block[1]]
        far = np.empty((len(queries), len(data)), np.longdouble)
        for i, query in enumerate(queries):
            far[i] = NORMS[metric](query - data)
        if block[0] == block[1]:
            np.fill_diagonal(far, np.inf)
        found[block] = np.sort(far, axis=1)[:, :k].astype(float)
    return found


def neighbor_block_by(metric, X, Y, k, exclude_self=False):
    """`neighbor_block` in any metric, one pair of rows at a time."""
    found = np.array([[float(metric(x, y)) for y in Y] for x in X])
    if exclude_self:
        np.fill_diagonal(found, np.inf)
    return np.sort(found, axis=1)[:, :k]


def ssim(first, second, window):
    """Wang et al. 2004, window by window; images of shape (channels, height, width)."""
    values = []
    for x, y in zip(first, second, strict=True):
        for i in range(x.shape[0] - window + 1):
            for j in range(x.shape[1] - window + 1):
                a = x[i : i + window, j : j + window].ravel()
                b = y[i : i + window, j : j + window].ravel()
                (var_a, both), (_, var_b) = np.cov(a, b)
                top = (2 * a.mean() * b.mean() + 0.01**2) * (2 * both + 0.03**2)
                bottom = a.mean() ** 2 + b.mean() ** 2 + 0.01**2
                values.append(top / (bottom * (var_a + var_b + 0.03**2)))
    return np.mean(values)


def effects_fixed(X, Y, k, x_mask, y_mask):
    """What each row does to `kl_fixed` of the rows in two masks, times their number.

    The estimate with the row minus the one without it; sizes count as known, so that
    only distances speak. Of mean zero.
    """

    def total(rows, others):
        d = X.shape[1]
        rho = neighbor_block(X[rows], X[rows], k, exclude_self=True)[:, -1]
        return d * np.log(neighbor_block(X[rows], Y[others], k)[:, -1] / rho)

    rows, others = np.flatnonzero(x_mask), np.flatnonzero(y_mask)
    mean = total(rows, others).mean()
    x, y = np.empty(len(X)), np.empty(len(Y))
    for i in range(len(X)):
        without = rows[rows != i]
        x[i] = total(np.append(without, i), others).sum() - total(without, others).sum()
    for j in range(len(Y)):
        without = others[others != j]
        more = total(rows, np.append(without, j)).mean()
        y[j] = len(others) * (more - total(rows, without).mean())
    return x - mean - (x - mean).mean(), y - y.mean()


def neighbor_block_apart(X, places, k, window):
    """Distances to the k nearest rows that came more than a window away."""
    found = distances(X, X)
    for i, place in enumerate(places):
        found[i, np.abs(places - place) <= window] = np.inf
    return np.sort(found, axis=1)[:, :k]


def kl_apart(X, Y, k, window):
    """Perez-Cruz 2008 with the exclusion window of Theiler 1986, row by row."""
    n, m, d = len(X), len(Y), X.shape[1]
    places = np.arange(n)
    rho = neighbor_block_apart(X, places, k, window)[:, -1]
    nu = neighbor_block(X, Y, k)[:, -1]
    others = (np.abs(places[:, None] - places) > window).sum(axis=1)
    return np.mean(d * np.log(nu / rho) + np.log(m / others))


def common_apart(X, Y, k, window):
    """Rows of both samples counted in the larger ball, row by row, no correction."""
    values = []
    for i, x in enumerate(X):
        apart = np.abs(np.arange(len(X)) - i) > window
        own, other = distances(x[None], X[apart])[0], distances(x[None], Y)[0]
        rho, nu = np.sort(own)[k - 1], np.sort(other)[k - 1]
        radius = max(rho, nu) * (1 + 1e-12)
        in_x, in_y = (own <= radius).sum(), (other <= radius).sum()
        ratio = digamma(in_x + (rho < nu)) - digamma(in_y + (rho >= nu))
        values.append(ratio + np.log(len(Y) / apart.sum()))
    return np.array(values)
