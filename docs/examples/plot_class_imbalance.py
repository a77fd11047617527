"""
Are classes of different sizes comparable?
==========================================

The public images that a victim puts in a class may be a handful or thousands. Here both
samples come from one distribution, so that the true divergence is zero whatever their
sizes.
"""

# %%
# The total of 2000 rows is split unevenly between the two samples.
# An estimate well below zero comes with a ``TrustWarning``; here such estimates are the
# subject.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from kldiv import TrustWarning, kl_divergence

warnings.simplefilter("ignore", TrustWarning)

SHARES = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
rng = np.random.default_rng(0)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
for ax, correction in zip(axes, (None, "adaptive"), strict=True):
    for d, color in zip((2, 10, 30), ("#33658a", "#f26419", "#a23b2a"), strict=True):
        found = np.array(
            [
                [
                    kl_divergence(
                        rng.normal(size=(round(2000 * (1 - share)), d)),
                        rng.normal(size=(round(2000 * share), d)),
                        correction=correction,
                    )
                    for _ in range(4)
                ]
                for share in SHARES
            ]
        )
        ax.errorbar(
            SHARES,
            found.mean(axis=1),
            found.std(axis=1),
            color=color,
            marker="o",
            capsize=3,
            label=f"{d} dimensions",
        )
    ax.axhline(0, color="black", linestyle="--")
    ax.set(title=f"correction={correction!r}", xlabel="share of rows in the reference")
axes[0].set_ylabel("estimate (nats), truth 0")
axes[0].legend()
plt.show()

# %%
# With fixed k the ball in the smaller sample is the larger one. In two dimensions that
# does no harm; in thirty the imbalance alone moves the score by more than a nat, in
# either direction. Counting both samples in one common ball per row removes the effect.
