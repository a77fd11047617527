"""
Does tomorrow's data still look like the training data?
=======================================================

A divergence at the end of a scikit-learn pipeline watches a stream of batches. The
alarm level comes from batches that are known to be good.
"""

# %%
# The stream: digits, in batches of 150, whose ink fades from the 15th batch on. The
# monitor reduces them to five components and compares with the reference.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from kldiv import KNNDivergence

rng = np.random.default_rng(0)
images, _ = load_digits(return_X_y=True)
images = rng.permutation(images)
reference, good, later = images[:800], images[800:1200], images[1200:]
monitor = make_pipeline(PCA(5, random_state=0), KNNDivergence()).fit(reference)


def batch(rows, ink):
    """150 of `rows`, every pixel multiplied by `ink`."""
    return ink * rng.choice(rows, 150, replace=False)


# %%
# Good batches give the usual scatter around zero, and its upper end the alarm level.
known = [monitor.score(batch(good, 1)) for _ in range(40)]
alarm = np.quantile(known, 0.975)

ink = np.r_[np.ones(15), np.linspace(0.98, 0.7, 15)]
scores = np.array([monitor.score(batch(later, level)) for level in ink])

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.bar(np.arange(30), scores, color=np.where(scores > alarm, "#a23b2a", "#33658a"))
ax.axhline(alarm, color="black", linestyle="--", label="alarm level")
ax.axvline(14.5, color="gray", label="fading begins")
ax.set(xlabel="batch", ylabel="divergence from the reference (nats)")
ax.legend()
plt.show()

# %%
# The direction matters: the divergence of the batch from the reference is large when
# the batch holds something new. The pipeline is an ordinary estimator: its steps can be
# changed with ``set_params``, and ``clone`` makes an unfitted copy.
