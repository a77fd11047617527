"""Samples for the tests of the Kolmogorov-Smirnov statistics."""

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
alternatives = st.sampled_from(["two-sided", "less", "greater"])


def draw(kind, rng, size):
    """Samples of each kind that has a different path through the kernel."""
    if kind == "normal":
        return rng.normal(size=size)
    if kind == "float32":
        return rng.normal(size=size).astype(np.float32)
    if kind == "far":
        return 1e12 + rng.normal(size=size)
    if kind == "heavy":
        return rng.standard_cauchy(size=size) ** 5
    if kind == "huge":
        return 1.7e308 * rng.uniform(-1, 1, size=size)
    if kind == "tiny":
        return rng.integers(0, 50, size=size) * 5e-324
    if kind == "ties":
        return rng.integers(0, 4, size=size).astype(float)
    if kind == "pixels":
        ink = rng.integers(0, 256, size=size) * (rng.random(size) < 0.3)
        return (ink / 255).astype(np.float32)
    assert kind == "constant"
    return np.full(size, 3.0)


KINDS = [
    *("normal", "float32", "far", "heavy", "huge", "tiny"),
    *("ties", "pixels", "constant"),
]
