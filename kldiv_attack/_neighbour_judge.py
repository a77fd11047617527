"""A judge that compares pixels with those of real images and may say "none"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from kldiv_attack._classifier import images_of_shape
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.datasets._base import check_whole
from kldiv_attack.judge import fingerprints


class NeighbourJudge:
    """Judge that knows real images by heart: the nearest of them decide.

    No network, so no blind spots of networks: an image far from every real one belongs
    to none of the classes.

    Parameters
    ----------
    data : LabelledImages
        Real images; at least two.
    n_neighbors : int, default=5
        Nearest images that vote.
    reject : float, default=0.05
        Share of real images that may be called "none": the farthest of them from
        their nearest neighbour set how far is too far.

    Attributes
    ----------
    reach_ : float
        Largest distance to the nearest real image, in pixels, that is not too far.
    fingerprints : ndarray of uint64
        Of the images, so that it is noticed where a victim was trained on them.

    See Also
    --------
    kldiv_attack.train_panel : Makes one beside two networks.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack import NeighbourJudge, load_dataset
    >>> judge = NeighbourJudge(load_dataset("digits", part="train"))
    >>> judge.predict(load_dataset("digits", part="test").images[:5])
    array([ 0,  1, -1,  4,  6])
    >>> judge.predict(np.ones((1, 1, 8, 8)))
    array([-1])
    """

    def __init__(
        self, data: LabelledImages, *, n_neighbors: int = 5, reject: float = 0.05
    ):
        if len(data) <= check_whole("n_neighbors", n_neighbors, 1):
            raise ValueError(
                f"n_neighbors={n_neighbors}: expected more images than that, "
                f"{data.name} has {len(data)}."
            )
        if not 0 <= reject < 1:
            raise ValueError(f"reject={reject!r}: expected 0 <= reject < 1.")
        self.class_names = data.class_names
        self.image_shape = data.image_shape
        self.fingerprints = fingerprints(data.images)
        self._search = KNeighborsClassifier(n_neighbors, algorithm="brute")
        self._search.fit(data.images.reshape(len(data), -1), data.labels)
        nearest = self._search.kneighbors(n_neighbors=1)[0][:, 0]
        self.reach_ = float(np.quantile(nearest, 1 - reject))

    def __repr__(self) -> str:
        return f"NeighbourJudge({len(self.class_names)} classes)"

    def predict(self, images: Any) -> NDArray[np.int64]:
        """Label of every image; -1 where no real image is near.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of int64
            Labels.
        """
        rows = self.features(images)
        if not len(rows):
            return np.empty(0, dtype=np.int64)
        near = self._search.kneighbors(rows, n_neighbors=1)[0][:, 0]
        labels: NDArray[np.int64] = self._search.predict(rows).astype(np.int64)
        return np.where(near <= self.reach_, labels, -1)

    def features(self, images: Any) -> NDArray[np.float32]:
        """The pixels, in which coverage is measured.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of float32, shape (n, n_pixels)
            One row per image.
        """
        pixels = images_of_shape(images, self.image_shape, "judge")
        return pixels.reshape(len(pixels), int(np.prod(self.image_shape)))
