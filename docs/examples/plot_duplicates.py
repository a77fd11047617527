"""
What do repeated rows do to an estimate?
========================================

A continuous distribution never produces one row twice; data sets do. The figure repeats
a growing share of the rows of X and compares what the two policies make of it with the
formula that knows nothing of ties.
"""

# %%
# Without a policy, repeated rows are an error that counts them:
import warnings

import matplotlib.pyplot as plt
import numpy as np

from kldiv import kl_divergence, neighbor_distances

rng = np.random.default_rng(0)
X, Y = rng.normal(1, 1, (1000, 2)), rng.normal(0, 1, (1000, 2))
try:
    kl_divergence(np.concatenate([X, X[:50]]), Y)
except ValueError as error:
    print(error)


# %%
# The formula on its own takes the logarithm of whatever distance it gets. Once a row
# has k copies, its distance is zero and the estimate infinite.
def formula(X, Y, k):
    """Perez-Cruz 2008 without a look at ties."""
    found = neighbor_distances(X, Y, n_neighbors=k)
    with np.errstate(divide="ignore"):
        ratio = np.log(found.xy[:, -1]) - np.log(found.xx[:, -1])
    return X.shape[1] * ratio.mean() + np.log(len(Y) / (len(X) - 1))


# ``"expand"`` warns that so many ties are more than it is made for; that is the point.
warnings.filterwarnings("ignore", message=".*weight of the distributions at single")
shares = np.linspace(0, 0.5, 11)
curves = {"formula": [], "drop": [], "expand": []}
for share in shares:
    repeated = np.concatenate([X, np.repeat(X[: int(share * len(X))], 9, axis=0)])
    curves["formula"].append(formula(repeated, Y, 5))
    for policy in ("drop", "expand"):
        curves[policy].append(
            kl_divergence(repeated, Y, duplicates=policy, correction=None)
        )

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
infinite = shares[np.isinf(curves["formula"])]
ax.axvspan(infinite[0], shares[-1], alpha=0.15, label="formula: infinite")
for policy in ("drop", "expand"):
    ax.plot(shares, curves[policy], "o-", label=f"duplicates={policy!r}")
ax.axhline(1, color="black", linestyle="--", label="truth without copies")
ax.set(xlabel="share of rows that occur ten times", ylabel="divergence (nats)")
ax.legend()
plt.show()

# %%
# ``"drop"`` recovers the sample without copies exactly. ``"expand"`` takes the copies
# as part of the distribution: a distribution with ties has more weight at the repeated
# rows, and the estimate grows accordingly, without ever taking the logarithm of zero.
# For whole numbers and rounded values there is a third policy, ``"dither"``; see the
# user guide, "When not to trust a score".
