"""
How wrong is the estimate in many dimensions?
=============================================

The published estimator assumes that the density is constant in the ball of the k
nearest rows. In many dimensions that ball is not small, and the error depends on the
shapes of the two distributions: three pairs of Gaussians with a known divergence show
all three kinds.
"""

# %%
# Each pair is a sample of 1000 rows from P and 500 from Q, repeated five times.
# An estimate well below zero comes with a ``TrustWarning``; here such estimates are the
# subject.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from kldiv import TrustWarning, kl_divergence

warnings.simplefilter("ignore", TrustWarning)

PAIRS = {  # mean and scale of P, scale of Q
    "shift: N(-1, I) against N(0, I)": (-1.0, 1.0, 1.0),
    "narrow: N(0, I) against N(0, 4 I)": (0.0, 1.0, 2.0),
    "wide: N(0, 4 I) against N(0, I)": (0.0, 2.0, 1.0),
}
DIMENSIONS = np.array([1, 2, 5, 10, 20, 50])


def truth(mean, scale, reference_scale):
    """Divergence per dimension of N(mean, scale**2) from N(0, reference_scale**2)."""
    ratio = (scale / reference_scale) ** 2
    return ((mean / reference_scale) ** 2 + ratio - 1 - np.log(ratio)) / 2


rng = np.random.default_rng(0)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (name, (mean, scale, reference_scale)) in zip(axes, PAIRS.items(), strict=True):
    exact = DIMENSIONS * truth(mean, scale, reference_scale)
    ax.plot(DIMENSIONS, exact, "k--", label="truth")
    for correction in (None, "adaptive"):
        found = [
            np.mean(
                [
                    kl_divergence(
                        rng.normal(mean, scale, (1000, d)),
                        rng.normal(0, reference_scale, (500, d)),
                        correction=correction,
                    )
                    for _ in range(5)
                ]
            )
            for d in DIMENSIONS
        ]
        ax.plot(DIMENSIONS, found, "o-", label=f"correction={correction!r}")
    ax.axhline(0, color="gray", linewidth=0.8)
    ax.set(title=name, xlabel="dimensions", xscale="log")
    ax.title.set_fontsize(9)
axes[0].set_ylabel("divergence (nats)")
axes[0].legend()
plt.show()

# %%
# Too small for a shift, too large when P is narrower than Q, and below zero when P is
# wider. Choosing k per row helps in few dimensions and not in many. Reduce the
# dimension first, or choose a correction made for it: see :ref:`choosing`.
