"""How sure a victim is of an image, and how far it can be believed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kldiv_attack._classifier_training import random_affine
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._training import QUERY_BATCH

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

_CLAIMED = 0.99  # probability from which a victim that errs too often is overconfident
_PROBES = 2000  # images, at most, that it is asked about again
_PART = 10  # of what is left of a budget, one such part at most for that


def certainty(answers: NDArray[np.float32], label: int) -> Floats:
    """Log of the odds of a class, in nats; ties where a victim rounds its answers."""
    precise = answers.astype(np.float64)
    others = np.delete(precise, label, axis=1).sum(axis=1)
    tiny = np.finfo(np.float32).tiny
    odds: Floats = np.log(precise[:, label] + tiny) - np.log(others + tiny)
    return odds


def overconfidence(
    victim: QueryAccess,
    images: Images,
    answers: NDArray[np.float32],
    turn: float,
    random_state: int,
) -> float:
    """How much more often a victim changes its mind than its probabilities admit.

    Parameters
    ----------
    victim : QueryAccess
        Is asked again about 2,000 images at most, and for a tenth of its budget.
    images : ndarray of shape (n_aux, channels, height, width)
        Public images.
    answers : ndarray of shape (n_aux, n_classes)
        What it said of them.
    turn : float
        Strength of the random affine maps.
    random_state : int
        Seed.

    Returns
    -------
    float
        Turned images that are called otherwise than before, per one that the
        probabilities admit, among images of which the victim was 99 % sure;
        NaN where there is none to ask about.
    """
    said, left = answers.max(axis=1), victim.remaining
    most = _PROBES if left is None else min(_PROBES, left // _PART)
    rng = np.random.default_rng(random_state)
    rows = rng.permutation(np.flatnonzero(said >= _CLAIMED))[:most]
    if not len(rows):
        return np.nan
    source = torch.Generator().manual_seed(random_state)
    turned = random_affine(torch.from_numpy(images[rows]), turn, source)
    again = ask(victim, rounded(turned)).argmax(axis=1)
    changed = int((again != answers[rows].argmax(axis=1)).sum())
    admitted = float((1 - said[rows].astype(np.float64)).sum())
    return changed / max(admitted, float(np.finfo(np.float32).tiny))


def ask(victim: QueryAccess, images: Images) -> NDArray[np.float32]:
    """The victim's answers, asked for in batches."""
    parts = range(0, len(images), QUERY_BATCH)
    return np.concatenate([victim.query(images[i : i + QUERY_BATCH]) for i in parts])


def rounded(images: torch.Tensor) -> Images:
    """Images as a file of 8 bits holds them."""
    pixels = images.clamp(0, 1).mul(255).round().numpy()
    kept: Images = pixels.astype(np.float32) / np.float32(255)
    return kept


def count_sure(sure: Floats, least: float) -> int:
    """How many are at least so sure."""
    return int((sure >= least).sum())
