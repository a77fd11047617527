"""Attackers without a generator, that every attack must be printed beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kldiv_attack.datasets import check_images

Images = NDArray[np.float32]


def random_rows(
    images: ArrayLike, responses: ArrayLike, n: int, *, random_state: int = 0
) -> dict[int, Images]:
    """Control without a GAN: random auxiliary rows that the victim puts in a class.

    Parameters
    ----------
    images : array of shape (n_aux, channels, height, width)
        Auxiliary images.
    responses : array of shape (n_aux, n_classes)
        The victim's answers to them.
    n : int
        Rows per class; fewer where the victim gave the class fewer rows.
    random_state : int, default=0
        Seed.

    Returns
    -------
    dict of int to ndarray
        Images per class, without the classes that the victim never answered.
    """
    rng = np.random.default_rng(random_state)
    return _pick(images, responses, lambda rows, _: rng.permutation(rows)[:n])


def confident_rows(
    images: ArrayLike, responses: ArrayLike, n: int, *, random_state: int = 0
) -> dict[int, Images]:
    """Control without a GAN: the auxiliary rows most surely put in a class.

    Parameters
    ----------
    images : array of shape (n_aux, channels, height, width)
        Auxiliary images.
    responses : array of shape (n_aux, n_classes)
        The victim's answers to them.
    n : int
        Rows per class; fewer where the victim gave the class fewer rows.
    random_state : int, default=0
        Seed that decides between equally sure rows.

    Returns
    -------
    dict of int to ndarray
        Images per class, without the classes that the victim never answered.
    """
    rng = np.random.default_rng(random_state)

    def surest(rows: NDArray[np.intp], sure: NDArray[Any]) -> NDArray[np.intp]:
        mixed = rng.permutation(len(rows))
        return rows[mixed[np.argsort(-sure[mixed], kind="stable")[:n]]]

    return _pick(images, responses, surest)


#: The attackers that every attack must be printed beside.
CONTROLS: dict[str, Callable[..., dict[int, Images]]] = {
    "random": random_rows,
    "confident": confident_rows,
}


def _pick(
    images: ArrayLike,
    responses: ArrayLike,
    choose: Callable[[NDArray[np.intp], NDArray[Any]], NDArray[np.intp]],
) -> dict[int, Images]:
    pictures, answers = check_images(images), np.asarray(responses)
    if answers.ndim != 2 or len(answers) != len(pictures):
        raise ValueError(
            f"responses: expected shape ({len(pictures)}, n_classes), one row of class "
            f"probabilities per auxiliary image, got {answers.shape}."
        )
    label = answers.argmax(axis=1)
    chosen = {}
    for c in range(answers.shape[1]):
        rows = np.flatnonzero(label == c)
        if len(rows):
            chosen[c] = pictures[choose(rows, answers[rows, c])]
    return chosen
