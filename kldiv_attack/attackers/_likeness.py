"""How public images lie among one another, and which of them stand for the rest."""

from __future__ import annotations

import heapq

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import nn

from kldiv_attack.attackers._pairs import Pairs, distil
from kldiv_attack.attackers._sureness import certainty
from kldiv_attack.attackers._training import QUERY_BATCH
from kldiv_attack.attackers._updates import largest_shift
from kldiv_attack.networks import VictimNetwork, seeded

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

_WIDTH = 24  # channels of the first layer of the network that learns the answers
_EPOCHS = 6
_COMPONENTS = 60  # of what its convolutions see
_FIT = 5000  # images that tell them
_NEAREST = 10  # images that have a say in how sure the victim is of another
_MOST = 3000  # images of a class among which representatives are looked for
_SHARE = 200  # one ball around an image holds one in so many of them,
_FEWEST = 3  # and this many at least
_CLOSEST = 1e-6  # radius of such a ball at least, for repeated images


def taught_features(
    images: Images, answers: NDArray[np.float32], random_state: int, verbose: int
) -> Floats:
    """What a network that learned a victim's answers sees in public images.

    Parameters
    ----------
    images : ndarray of shape (n, channels, height, width)
        Public images.
    answers : ndarray of shape (n, n_classes)
        Probabilities.
    random_state : int
        Seed.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    ndarray of shape (n, n_features), float64
        Principal components of its last convolution, which tell shapes, and its last
        features, which tell classes, each with a total variance of 1.
    """
    place = torch.device("cpu")
    shape = images.shape[1], images.shape[2], images.shape[3]
    with seeded(random_state):
        network = VictimNetwork(shape, answers.shape[1], _WIDTH)
    distil(
        network,
        Pairs(images, answers, place),
        torch.Generator().manual_seed(random_state),
        epochs=_EPOCHS,
        translation=largest_shift(None, shape),
        verbose=verbose,
    )
    shapes, classes = _look(network.eval(), images)
    few = shapes[:: -(-len(shapes) // _FIT)]
    reduced = PCA(min(_COMPONENTS, *few.shape), random_state=random_state).fit(few)
    return np.hstack([_scaled(reduced.transform(shapes)), _scaled(classes)])


@torch.no_grad()
def _look(
    network: VictimNetwork, images: Images
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Outputs of the last convolution and of the last layer but one."""
    cut = next(i for i, m in enumerate(network.body) if isinstance(m, nn.Flatten))
    shapes, classes = [], []
    for start in range(0, len(images), QUERY_BATCH):
        part = torch.from_numpy(images[start : start + QUERY_BATCH])
        seen = network.body[:cut](part * 2 - 1)
        shapes.append(seen.flatten(1).numpy())
        classes.append(network.body[cut:](seen).numpy())
    return np.concatenate(shapes), np.concatenate(classes)


def _scaled(rows: NDArray[np.float32]) -> Floats:
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(np.square(centred).sum(axis=1).mean())
    found: Floats = centred / spread if spread > 0 else centred
    return found


def backed_certainty(answers: NDArray[np.float32], features: Floats) -> Floats:
    """Log odds of every image's class, half its own and half those of the nearest.

    A victim can be sure of single images of a kind that it has never seen, not of the
    whole kind. The nearest images count with their log odds of the same class, and with
    0 where another is more likely.

    Parameters
    ----------
    answers : ndarray of shape (n, n_classes)
        What the victim said of the images.
    features : ndarray of shape (n, n_features)
        In which they are compared.

    Returns
    -------
    ndarray of shape (n,), float64
        In nats.
    """
    called = answers.argmax(axis=1)
    own = np.empty(len(answers))
    for c in np.unique(called):
        rows = called == c
        own[rows] = certainty(answers[rows], c)
    near = min(_NEAREST, len(answers) - 1)
    if not near:
        return own
    search = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(features)
    found = search.kneighbors(return_distance=False)
    odds = np.where(called[found] == called[:, None], own[found].clip(min=0), 0)
    backed: Floats = (own + odds.mean(axis=1)) / 2
    return backed


def representatives(
    features: Floats, n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Rows that lie near as many of the others as possible.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Rows to choose from.
    n : int
        Number of rows to choose, at most n_rows.
    rng : numpy.random.Generator
        Draws the rows that are looked at, where there are more than 3,000.

    Returns
    -------
    ndarray of shape (n,)
        Indices, ascending.

    Notes
    -----
    A row is stood for by another one to exp(-d^2 / r^2), with its distance d and the
    radius r of a ball that holds one in 200 of the rows. The greedy choice, which takes
    what adds most, reaches 63 % of the best at least (Nemhauser, Wolsey and Fisher
    1978). Medoids of k-means take too few rows from where they are dense.
    """
    rows = np.arange(len(features))
    if len(rows) > max(_MOST, n):
        rows = np.sort(rng.choice(rows, max(_MOST, n), replace=False))
    apart = cdist(features[rows], features[rows])
    ball = min(max(_FEWEST, len(rows) // _SHARE), len(rows) - 1)
    radius = np.partition(apart, ball, axis=1)[:, ball]
    apart /= np.maximum(radius, _CLOSEST)[:, None]
    stands = np.exp(-np.square(apart))
    chosen: NDArray[np.intp] = rows[np.sort(_greedy(stands, n))]
    return chosen


def _greedy(stands: Floats, n: int) -> list[int]:
    """Columns whose largest entry per row adds up to most; gains only ever shrink."""
    reached = np.zeros(len(stands))
    gains = [(-gain, j, 0) for j, gain in enumerate(stands.sum(axis=0))]
    heapq.heapify(gains)
    chosen: list[int] = []
    while len(chosen) < n:
        _, j, age = heapq.heappop(gains)
        if age == len(chosen):
            chosen.append(j)
            reached = np.maximum(reached, stands[:, j])
        else:
            gain = np.maximum(stands[:, j] - reached, 0).sum()
            heapq.heappush(gains, (-gain, j, len(chosen)))
    return chosen
