"""How close a reconstruction is to the one image that it should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

from kldiv import PerClassReport
from kldiv_attack.datasets import LabelledImages, check_images
from kldiv_attack.datasets._base import check_whole, to_array
from kldiv_attack.judge import Judge, check_judge
from kldiv_attack.victim import Victim

__all__ = ["evaluate_pairs", "psnr", "ssim"]

WINDOW = 7  # pixels; of the local statistics of the structural similarity


def psnr(images: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of images in [0, 1].

    Parameters
    ----------
    images : array-like of shape (n, channels, height, width)
        Reconstructions.
    truth : array-like of the same shape
        What they should be.

    Returns
    -------
    ndarray of shape (n,), float64
        Decibels; infinite for an image that is met exactly.
    """
    ours, theirs = _alike(images, truth)
    error = np.square(ours - theirs).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):  # no error at all is an infinite ratio
        decibels: NDArray[np.float64] = -10 * np.log10(error)
    return decibels


def ssim(
    images: ArrayLike, truth: ArrayLike, *, window: int = WINDOW
) -> NDArray[np.float64]:
    r"""Structural similarity of images in [0, 1] (Wang et al., 2004).

    Parameters
    ----------
    images : array-like of shape (n, channels, height, width)
        Reconstructions.
    truth : array-like of the same shape
        What they should be.
    window : int, default=7
        Side of the square, an odd number of pixels, in which means, variances and the
        covariance are taken; the images are at least as large.

    Returns
    -------
    ndarray of shape (n,), float64
        Between -1 and 1, which only equal images reach.

    Notes
    -----
    The mean of

    .. math:: \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
              {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    over all squares inside the image and over the channels, with
    :math:`c_1 = 0.01^2`, :math:`c_2 = 0.03^2` and unbiased variances. All pixels of a
    square count the same; the paper's Gaussian weights need larger images.
    """
    ours, theirs = _alike(images, truth)
    if check_whole("window", window, 3) % 2 == 0:
        raise ValueError(f"window={window!r}: expected an odd whole number >= 3.")
    if min(ours.shape[2:]) < window:
        raise ValueError(
            f"window={window}: the images of {ours.shape[2]} x {ours.shape[3]} pixels "
            "are smaller; choose a smaller window."
        )
    edge = window // 2
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    unbiased = window**2 / (window**2 - 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smooth: NDArray[np.float64] = uniform_filter(values, (1, 1, window, window))[
            inside
        ]
        return smooth

    mean_x, mean_y = mean(ours), mean(theirs)
    spread = unbiased * (mean(ours**2) - mean_x**2 + mean(theirs**2) - mean_y**2)
    together = unbiased * (mean(ours * theirs) - mean_x * mean_y)
    alike = (2 * mean_x * mean_y + 1e-4) * (2 * together + 9e-4)
    alike /= (mean_x**2 + mean_y**2 + 1e-4) * (spread + 9e-4)
    values: NDArray[np.float64] = alike.mean(axis=(1, 2, 3))
    return values


def evaluate_pairs(
    reconstructions: ArrayLike,
    truth: LabelledImages,
    judge: Judge,
    *,
    victim: Victim | None = None,
    title: str = "Reconstruction of known images",
) -> PerClassReport:
    """Compare every reconstruction with the one image that was looked for.

    Where an attacker knew a part of a private image there is one right answer, unlike
    in :func:`evaluate_attack`, where a class is looked for.

    Parameters
    ----------
    reconstructions : array-like of shape (n, channels, height, width)
        Images in [0, 1], what ``invert_from`` returns; NaN images are "not
        reconstructed".
    truth : LabelledImages
        The n images that were looked for, in the same order.
    judge : Judge
        A classifier other than the victim.
    victim : Victim, optional
        The attacked classifier; only used to refuse it as a judge.
    title : str
        Heading of the report.

    Returns
    -------
    PerClassReport
        One row per class of `truth` with the columns ``rows``; ``accuracy``, the share
        of reconstructions that the judge puts in the class; ``psnr``, mean peak
        signal-to-noise ratio in decibels; ``ssim``, mean structural similarity. What
        could not be measured is NaN, with a reason.

    Raises
    ------
    ValueError
        If the judge is the victim, or the images do not belong together.

    Examples
    --------
    >>> from kldiv_attack import evaluate_pairs, load_dataset
    >>> from kldiv_attack import train_judge
    >>> private = load_dataset("digits")
    >>> judge = train_judge(private, epochs=2, batch_size=32)
    >>> report = evaluate_pairs(private.images * 0.9, private, judge)
    >>> bool(report["psnr"].min() > 20)
    True
    """
    if victim is not None:
        check_judge(judge, victim)
    images = np.asarray(to_array(reconstructions), dtype=np.float32)
    if images.shape != truth.images.shape:
        raise ValueError(
            f"reconstructions: expected shape {truth.images.shape}, one image for each "
            f"of {truth.name}, got {images.shape}."
        )
    columns: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    reasons = {}
    for label, name in enumerate(truth.class_names):
        rows = np.flatnonzero(truth.labels == label)
        made = rows[np.isfinite(images[rows]).all(axis=(1, 2, 3))]
        if len(made) < len(rows) or not len(rows):
            reasons[name] = (
                f"{len(rows) - len(made)} of {len(rows)} images were not reconstructed"
                if len(rows)
                else "no image of this class"
            )
        scored = _compare(images[made], truth.images[made], judge, label)
        for column in _COLUMNS:
            columns[column].append(scored.get(column, np.nan))
    table = {name: np.asarray(values) for name, values in columns.items()}
    table["rows"] = table["rows"].astype(int)
    return PerClassReport(
        classes=np.asarray(truth.class_names),
        columns=table,
        reasons=reasons,
        settings={"truth": truth.name, "window of ssim": WINDOW},
        title=title,
    )


_COLUMNS = ("rows", "accuracy", "psnr", "ssim")


def _compare(
    images: NDArray[np.float32], truth: NDArray[np.float32], judge: Judge, label: int
) -> dict[str, float]:
    """What can be said of the images of one class."""
    if not len(images):
        return {"rows": 0}
    return {
        "rows": len(images),
        "accuracy": float((judge.predict(images) == label).mean()),
        "psnr": float(psnr(images, truth).mean()),
        "ssim": float(ssim(images, truth).mean()),
    }


def _alike(
    images: ArrayLike, truth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ours = check_images(images).astype(np.float64)
    theirs = check_images(truth, name="truth").astype(np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(
            f"images of shape {ours.shape} cannot be compared with {theirs.shape}."
        )
    return ours, theirs
