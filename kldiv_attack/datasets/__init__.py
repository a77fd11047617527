"""Labelled images: embedded, EMNIST, and the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from os import PathLike
from typing import Any

from kldiv_attack.datasets._arrays import load_arrays, load_folder
from kldiv_attack.datasets._base import LabelledImages, check_images, check_labels
from kldiv_attack.datasets._digits import load_digits
from kldiv_attack.datasets._emnist import load_emnist
from kldiv_attack.datasets._glyphs import load_glyphs

__all__ = [
    "DATASETS",
    "LabelledImages",
    "check_images",
    "check_labels",
    "load_arrays",
    "load_dataset",
    "load_digits",
    "load_emnist",
    "load_folder",
    "load_glyphs",
]


def __dir__() -> list[str]:
    return sorted(__all__)


DATASETS: dict[str, Callable[..., LabelledImages]] = {
    "arrays": load_arrays,
    "digits": load_digits,
    "emnist": load_emnist,
    "folder": load_folder,
    "glyphs": load_glyphs,
}


def load_dataset(
    name: str,
    root: str | PathLike[str] | None = None,
    split: str | None = None,
    **options: Any,
) -> LabelledImages:
    """Load a dataset by name.

    Parameters
    ----------
    name : str
        Key of ``DATASETS``.
    root : path, optional
        Folder of the data, for datasets that live in files.
    split : str, optional
        Division of the data, for datasets that have several.
    **options
        Passed to the loader of that name: ``part``, ``download``, ``size`` and so on.

    Returns
    -------
    LabelledImages
        Images in [0, 1] with labels.

    Raises
    ------
    ValueError
        For an unknown name, or an option that the loader does not have.

    Examples
    --------
    >>> data = load_dataset("digits", part="train")
    >>> data.images.shape
    (898, 1, 8, 8)
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(f"dataset {name!r}: expected one of {sorted(DATASETS)}.")
    loader = DATASETS[name]
    if root is not None:
        options["root"] = root
    if split is not None:
        options["split"] = split
    accepted = list(inspect.signature(loader).parameters)
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise ValueError(
            f"dataset {name!r} has no option {', '.join(unknown)}; it accepts "
            f"{', '.join(accepted)}."
        )
    missing = [
        name
        for name, parameter in inspect.signature(loader).parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in options
    ]
    if missing:
        raise ValueError(
            f"dataset {name!r} needs {' and '.join(missing)}, which only a program can "
            "give; on the command line name a folder, a file or another data set."
        )
    return loader(**options)
