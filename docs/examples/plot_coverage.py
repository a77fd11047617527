"""
What does coverage tell?
========================

Two uniform squares move apart. As soon as they do not overlap completely, a part of P
lies where Q has nothing, and the true divergence is infinite. The estimate stays
finite; coverage is what gives the situation away.
"""

# %%
# A thousand rows on each side; P is the unit square moved by the value on the axis.
# What the warnings say is kept in the notes of each result.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from kldiv import DivergenceWarning, estimate_divergence

warnings.simplefilter("ignore", DivergenceWarning)
rng = np.random.default_rng(0)
X, Y = rng.uniform(size=(1000, 2)), rng.uniform(size=(1000, 2))
moves = np.linspace(0, 2, 21)
results = [estimate_divergence(X + np.array([move, 0]), Y) for move in moves]

figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(moves, [r.value for r in results], "o-", color="#33658a")
ax.set(xlabel="distance moved", ylabel="estimate (nats), truth ∞ beyond 0")
ax.yaxis.label.set_color("#33658a")
twin = ax.twinx()
twin.plot(moves, [r.coverage for r in results], "s-", color="#a23b2a")
twin.set(ylabel="coverage", ylim=(0, 1.02))
twin.yaxis.label.set_color("#a23b2a")
plt.show()

# %%
# Coverage equals the share of P that Q reaches, and is zero once the squares are apart.
# From there on the estimate grows with the logarithm of the gap: it orders gaps, and
# measures no divergence.
