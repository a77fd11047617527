"""Characters rendered from the fonts that matplotlib ships."""

from __future__ import annotations

import string
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._rules import (
    AMOUNT,
    SEED,
    Number,
    Rule,
    Whole,
    check_values,
    optional,
)
from kldiv_attack.datasets._base import LabelledImages, check_choice, check_part

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
)
# Class name -> characters drawn for it; the same classes as EMNIST's splits.
_DIGITS = {character: character for character in string.digits}
_LETTERS = {lower: lower + lower.upper() for lower in string.ascii_lowercase}
_BALANCED = {
    **_DIGITS,
    **{
        upper: upper + (upper.lower() if upper in "CIJKLMOPSUVWXYZ" else "")
        for upper in string.ascii_uppercase
    },
    **{lower: lower for lower in "abdefghnqrt"},
}
_BYCLASS = {
    c: c for c in string.digits + string.ascii_uppercase + string.ascii_lowercase
}
SPLITS = {
    "digits": _DIGITS,
    "letters": _LETTERS,
    "balanced": _BALANCED,
    "byclass": _BYCLASS,
}
_RULES: dict[str, Rule] = {
    "size": Whole(4, 4096),
    "n_per_class": Whole(),
    "margin": optional(Number(0, 0.5, high_too=False)),
    "jitter": AMOUNT,
    "random_state": SEED,
}
_CANVAS = 96  # pixels of the square on which a character is drawn before jitter


def load_glyphs(
    split: str | None = None,
    *,
    part: str = "train",
    size: int = 8,
    n_per_class: int = 100,
    margin: float | None = None,
    jitter: float = 1.0,
    random_state: int = 0,
) -> LabelledImages:
    """Printed characters with random slant, turn and width: an embedded aux set.

    Parameters
    ----------
    split : {"letters", "digits", "balanced", "byclass"}, default="letters"
        Classes, named as in EMNIST.
    part : {"train", "test"}, default="train"
        Two independent draws from the same seed.
    size : int, default=8
        Height and width in pixels, at least 4.
    n_per_class : int, default=100
        Images per class.
    margin : float, optional
        Empty border as a share of ``size``. By default none below 16 pixels, like
        the digits of scikit-learn, and one seventh from there on, like EMNIST.
    jitter : float, default=1.0
        Strength of the random affine map; 0 draws every character straight.
    random_state : int, default=0
        Seed.

    Returns
    -------
    LabelledImages
        Images of shape (n_classes * n_per_class, 1, size, size), class by class.

    Examples
    --------
    >>> data = load_glyphs("digits", n_per_class=2, size=16)
    >>> data.images.shape, data.labels[:4]
    ((20, 1, 16, 16), array([0, 0, 1, 1]))
    """
    split = check_choice("split", "letters" if split is None else split, tuple(SPLITS))
    check_part(part)
    check_values(
        {
            "size": size,
            "n_per_class": n_per_class,
            "margin": margin,
            "jitter": jitter,
            "random_state": random_state,
        },
        _RULES,
        defaults={},
        of="glyphs",
    )
    if margin is None:
        margin = 0.0 if size < 16 else 1 / 7
    classes = SPLITS[split]
    seeds = random_state, part == "test"
    return LabelledImages(
        images=_images(split, size, n_per_class, margin, jitter, seeds).copy(),
        labels=np.repeat(np.arange(len(classes)), n_per_class),
        class_names=tuple(classes),
        name=f"glyphs/{split}/{part}",
    )


@lru_cache(maxsize=4)  # runs of one process attack with the same images
def _images(
    split: str,
    size: int,
    n_per_class: int,
    margin: float,
    jitter: float,
    seeds: tuple[int, bool],
) -> NDArray[np.float32]:
    """Images of a split, class by class; not to be changed."""
    rng = np.random.default_rng([*seeds])
    images = [
        _jittered(characters[rng.integers(len(characters))], size, margin, jitter, rng)
        for characters in SPLITS[split].values()
        for _ in range(n_per_class)
    ]
    return np.stack(images)[:, None]


@cache
def _drawn(character: str, font: str) -> Any:
    """One character in the middle of a black square, as a PIL image."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    picture = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(picture).text(
        (_CANVAS / 2, _CANVAS / 2),
        character,
        fill=255,
        font=ImageFont.truetype(str(path), _CANVAS // 2),
        anchor="mm",
    )
    return picture


def _jittered(
    character: str,
    size: int,
    margin: float,
    jitter: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw, map affinely, crop, and average down to ``size`` pixels."""
    from PIL import Image

    picture = _drawn(character, FONTS[rng.integers(len(FONTS))])
    turn, slant = jitter * rng.normal(0, [0.12, 0.2])
    wide, high = np.exp(jitter * rng.normal(0, [0.18, 0.05]))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ [[1 / wide, slant], [0, 1 / high]]
    middle = np.full(2, _CANVAS / 2)
    offset = middle - matrix @ middle
    mapped = picture.transform(
        (_CANVAS, _CANVAS),
        Image.Transform.AFFINE,
        (*matrix[0], offset[0], *matrix[1], offset[1]),
        resample=Image.Resampling.BILINEAR,
    )
    ink = mapped.crop(mapped.getbbox())
    inner = max(2, round(size * (1 - 2 * margin)))
    shrink = inner / max(ink.size)
    width, height = (max(1, round(side * shrink)) for side in ink.size)
    small = ink.resize((width, height), Image.Resampling.BOX)
    canvas = np.zeros((size, size), dtype=np.float32)
    slack = size - np.array([height, width])
    top, left = np.clip(
        slack // 2 + np.rint(jitter * rng.uniform(-0.5, 0.5, 2)).astype(int), 0, slack
    )
    canvas[top : top + height, left : left + width] = np.asarray(small) / 255
    brightest = max(float(canvas.max()), 1e-6)
    return np.divide(canvas, brightest, dtype=np.float32)
