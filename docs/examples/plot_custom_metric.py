"""
When is a metric of my own worth writing?
=========================================

Angles, times of day and phases live on circles: 23:59 is near 0:01. A table of them has
to cut the circle somewhere, and the Euclidean metric takes both ends of the cut for far
apart. A divergence should not depend on where a table happens to begin.

A metric is a Python function of two rows. Numba compiles it, together with the loop
over all pairs of rows (``pip install "kldiv[numba]"``).
"""

# %%
# Two angles per row, from von Mises distributions 0.7 radians apart, whose divergence
# is known.
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ive

from kldiv import divergence

CONCENTRATION, SHIFT = 4.0, 0.7
rng = np.random.default_rng(0)
X = rng.vonmises(SHIFT, CONCENTRATION, (1000, 2))
Y = rng.vonmises(0, CONCENTRATION, (1000, 2))
resultant = ive(1, CONCENTRATION) / ive(0, CONCENTRATION)
truth = 2 * CONCENTRATION * resultant * (1 - np.cos(SHIFT))


def around(x, y):
    """Euclidean, but each gap is the shorter way around its circle."""
    total = 0.0
    for i in range(len(x)):
        gap = abs(x[i] - y[i])
        total += min(gap, 2 * np.pi - gap) ** 2
    return np.sqrt(total)


# %%
# The same rows, with the circles cut at different places:
cuts = np.linspace(-np.pi, np.pi, 17)
curves = {"euclidean": [], "around": []}
for cut in cuts:
    U, V = (np.mod(sample - cut, 2 * np.pi) for sample in (X, Y))
    for name, metric in zip(curves, ("euclidean", around), strict=True):
        curves[name].append(divergence(U, V, metric=metric))

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, values in curves.items():
    ax.plot(cuts, values, "o-", label=f"metric: {name}")
ax.axhline(truth, color="black", linestyle="--", label="truth")
ax.set(xlabel="where the circles are cut (radians)", ylabel="divergence (nats)")
ax.legend()
plt.show()

# %%
# The Euclidean estimate is good where the cut falls into a gap of the data and useless
# where it runs through them: what was one cloud is then two or four. The curve of the
# metric that goes around is flat, as it must be. It lies somewhat below the truth,
# because the corrections that would lift it need Euclidean balls.
#
# What the estimators need of a metric
# ------------------------------------
#
# With the same number of neighbours in both samples, the volume of the two balls around
# a row appears once in the numerator and once in the denominator. It need not be known,
# only grow with the radius to the power of the number of columns. Norms have that
# property, and so do distances along smooth curves such as this one. *Squared*
# distances do not (the radius counts twice), nor do distances that ignore a column, nor
# angles between vectors of three columns, which lie on a sphere of two dimensions. The
# corrections ``"gaussian"`` and ``"mixture"`` compute the masses of Euclidean balls and
# refuse other metrics.
#
# A function that returns NaN or a negative number is refused by its name, and so is
# one that is zero between different rows. It may be asymmetric: the row that looks for
# neighbours is the first argument. Its balls then lie off centre, and more rows are
# needed for the same bias.
