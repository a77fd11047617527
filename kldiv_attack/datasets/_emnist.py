"""EMNIST through torchvision, turned upright."""

from os import PathLike
from pathlib import Path

import numpy as np

from kldiv_attack._files import checked_path
from kldiv_attack.datasets._base import LabelledImages, check_choice, check_part

SPLITS = ("mnist", "letters", "balanced", "digits", "byclass")


def load_emnist(
    root: str | PathLike[str] | None = None,
    split: str | None = None,
    *,
    part: str = "train",
    download: bool = False,
) -> LabelledImages:
    """Handwritten characters of 28 x 28 pixels (Cohen et al., 2017).

    Parameters
    ----------
    root : path
        Folder that holds ``EMNIST/raw``, as torchvision lays it out.
    split : {"mnist", "letters", "balanced", "digits", "byclass"}, default="mnist"
        Which of the published divisions. Labels start at 0 in all of them; the
        letters of the official files start at 1.
    part : {"train", "test"}, default="train"
        Which of the two published parts.
    download : bool, default=False
        Fetch missing files; torchvision compares their checksum.

    Returns
    -------
    LabelledImages
        Images of shape (n, 1, 28, 28), upright.

    Raises
    ------
    FileNotFoundError
        If a file is missing and ``download`` is false.

    Examples
    --------
    Nothing is fetched unless asked for:

    >>> load_emnist("no/such/folder", "letters")
    Traceback (most recent call last):
        ...
    FileNotFoundError: emnist: emnist-letters-train-images-idx3-ubyte and ... not found
    ...

    With the files, ``load_emnist(root, "letters").images`` has the shape
    (124800, 1, 28, 28).
    """
    from torchvision.datasets import EMNIST

    split = check_choice("split", "mnist" if split is None else split, SPLITS)
    check_part(part)
    if root is None:
        raise ValueError(
            "emnist: expected root=<folder that holds EMNIST/raw>; on the command "
            "line --data. With download=True the folder is filled."
        )
    root = checked_path(root, "root")
    if not download:
        _check_files(root, split, part)
    data = EMNIST(str(root), split=split, train=part == "train", download=download)
    # Official files hold every image transposed.
    images = data.data.numpy().transpose(0, 2, 1)
    names, labels = list(data.classes), data.targets.numpy().astype(np.int64)
    if split == "letters":
        names, labels = names[1:], labels - 1
    return LabelledImages(
        images=images[:, None].astype(np.float32) / np.float32(255),
        labels=labels,
        class_names=tuple(names),
        name=f"emnist/{split}/{part}",
    )


def _check_files(root: Path, split: str, part: str) -> None:
    raw = root / "EMNIST" / "raw"
    names = (
        f"emnist-{split}-{part}-images-idx3-ubyte",
        f"emnist-{split}-{part}-labels-idx1-ubyte",
    )
    missing = [name for name in names if not (raw / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"emnist: {' and '.join(missing)} not found in {raw.resolve()}. Give the "
            "folder that holds EMNIST/raw as root=... (--data on the command line), or "
            "download=True to fetch the official files."
        )
