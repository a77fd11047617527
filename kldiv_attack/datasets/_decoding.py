"""Image files of anybody, decoded into what their numbers mean or refused."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.datasets._limits import MOST_PIXELS


def pixels_of(path: Path, channels: int, size: Any = None) -> NDArray[np.float32]:
    """One image of a file, turned upright, as (channels, height, width) in [0, 1].

    Parameters
    ----------
    path : Path
        The file.
    channels : {1, 3}
        Grey or colour.
    size : (height, width), optional
        Size to which it is brought.

    Returns
    -------
    ndarray of float32
        Its pixels; those of 16-bit images keep their precision unless resized.

    Raises
    ------
    ValueError
        If it cannot be decoded, is too large, is animated, has transparent pixels, or
        holds numbers of which nobody knows what is white.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_image(path, image)
                upright = ImageOps.exif_transpose(image)
                array = _decoded(path, upright, channels, size)
    except (_Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "far too many") from error
    except Exception as error:  # decoders raise what they like
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} could not be decoded ({why}); expected an image. Replace or "
            "remove it."
        ) from error
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


class _Refused(ValueError):
    """Decodable, but not what is expected."""


def _too_large(path: Path, pixels: str) -> _Refused:
    return _Refused(
        f"{path} has {pixels} pixels; expected at most {MOST_PIXELS:,}. Make it "
        "smaller."
    )


def _check_image(path: Path, image: Any) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(path, f"{width} x {height}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise _Refused(
            f"{path} is animated or has pages ({frames}); expected one image. Save "
            "each as a file."
        )
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise _Refused(
            f"{path} holds 32-bit numbers, of which nobody knows what is white; "
            "expected 8 or 16 bits per channel. Scale and save it so."
        )


def _decoded(path: Path, image: Any, channels: int, size: Any) -> NDArray[np.float32]:
    if image.mode.startswith("I"):  # 16 bits; PIL itself would cut them off at 255
        return _deep(image, channels, size)
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] < 255:
            raise _Refused(
                f"{path} has transparent pixels, whose colour nobody knows; expected "
                "an opaque image. Put it on a background."
            )
        image = image.convert("RGBA").convert("RGB")
    picture = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        picture = picture.resize((size[1], size[0]))
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _deep(image: Any, channels: int, size: Any) -> NDArray[np.float32]:
    from PIL import Image

    array = np.asarray(image).astype(np.float32) / np.float32(65535)
    if size is not None:
        resized = Image.fromarray(array).resize((size[1], size[0]))
        array = np.asarray(resized).clip(0, 1)
    return array if channels == 1 else np.repeat(array[..., None], 3, axis=2)
