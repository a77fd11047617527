"""Image sets for the accuracy benchmark: private digits, and what is taken for them.

EMNIST as torchvision lays it out gives thirty pairs: for each digit the training images
of that digit, and the images of another set (other digits, letters, both) that a victim
takes for it. The victim is a nearest-neighbour classifier on principal components, so
that nothing has to be trained. Without EMNIST the digits that scikit-learn ships give
ten small pairs: one digit against all that a victim trained on half of them confuses
least with it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

SPLITS = ("mnist", "letters", "balanced")
# The classes on which choices of the library were made; the others are the hold-out.
DEVELOPMENT_CLASSES = (1, 3, 6, 8)
_ROWS_OF_THE_VICTIM, _COMPONENTS_OF_THE_VICTIM = 6000, 50

Pair = tuple[str, int, np.ndarray, np.ndarray]


def emnist_pairs(root: Path) -> Iterator[Pair]:
    """Name of the set, class, private rows and rows taken for that class."""
    images, labels = read(root, "mnist", "train")
    step = len(images) // _ROWS_OF_THE_VICTIM
    pca = PCA(_COMPONENTS_OF_THE_VICTIM, random_state=0).fit(images[::step])
    victim = KNeighborsClassifier(5, algorithm="brute")
    victim.fit(pca.transform(images[::step]), labels[::step])
    for split in SPLITS:
        others, _ = read(root, split, "test")
        taken_for = victim.predict(pca.transform(others))
        for digit in range(10):
            yield split, digit, images[labels == digit], others[taken_for == digit]


def digits_pairs() -> Iterator[Pair]:
    """The same from scikit-learn's 1,797 digits: each against the next two."""
    images, labels = load_digits(return_X_y=True)
    for digit in range(10):
        other = np.isin(labels, [(digit + 1) % 10, (digit + 2) % 10])
        yield "digits", digit, images[labels == digit], images[other]


def read(root: Path, split: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [0, 1], one row per image, and labels, from the idx files."""
    stem = root / "EMNIST" / "raw" / f"emnist-{split}-{part}"
    pixels = np.fromfile(f"{stem}-images-idx3-ubyte", np.uint8)[16:]
    labels = np.fromfile(f"{stem}-labels-idx1-ubyte", np.uint8)[8:]
    return pixels.reshape(len(labels), -1).astype(np.float32) / 255, labels
