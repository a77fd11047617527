"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries."""

import numpy as np
from sklearn.datasets import load_digits as sklearn_digits
from sklearn.model_selection import train_test_split

from kldiv_attack.datasets._base import LabelledImages, check_part


def load_digits(
    *, part: str = "train", test_size: float = 0.5, random_state: int = 0
) -> LabelledImages:
    """Embedded handwritten digits, 8 x 8 pixels; needs no data and no network.

    Parameters
    ----------
    part : {"train", "test"}, default="train"
        Which of the two disjoint, stratified parts.
    test_size : float, default=0.5
        Share of the rows in the test part.
    random_state : int, default=0
        Seed of the division.

    Returns
    -------
    LabelledImages
        Images of shape (n, 1, 8, 8), ten classes.

    Examples
    --------
    >>> data = load_digits(part="test")
    >>> data.images.shape, data.class_names[3], data.name
    ((899, 1, 8, 8), '3', 'digits/test')
    """
    check_part(part)
    bunch = sklearn_digits()
    train, test = train_test_split(
        np.arange(len(bunch.target)),
        test_size=test_size,
        random_state=random_state,
        stratify=bunch.target,
    )
    rows = np.sort(train if part == "train" else test)
    return LabelledImages(
        images=(bunch.images[rows, None] / 16).astype(np.float32),
        labels=bunch.target[rows].astype(np.int64),
        class_names=tuple("0123456789"),
        name=f"digits/{part}",
    )
