"""Pictures for reports, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP = 2  # pixels between two images of a grid, before enlarging
_BACKGROUND = 0.35  # grey of a place without an image
#: Colours that stay apart for colour-blind readers (Okabe and Ito 2008), and in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def image_grid(
    images: NDArray[Any] | Sequence[NDArray[Any] | None], n_columns: int | None = None
) -> NDArray[np.float64]:
    """Arrange images with one row per class.

    Parameters
    ----------
    images : array of shape (n_classes, n, channels, height, width) or sequence
        Images in [0, 1]; a class may have fewer images, or None.
    n_columns : int, optional
        Images per class, as many as the largest class by default.

    Returns
    -------
    ndarray of shape (rows, columns, channels)
        One picture with values in [0, 1]; places without an image are grey.
    """
    rows = [None if r is None or not len(r) else np.asarray(r) for r in images]
    known = [row for row in rows if row is not None]
    if not known:
        return np.full((1, 1, 1), _BACKGROUND)
    channels, height, width = known[0].shape[1:]
    n_columns = max(map(len, known)) if n_columns is None else n_columns
    tile_height, tile_width = height + _GAP, width + _GAP
    picture = np.full(
        (len(rows) * tile_height + _GAP, n_columns * tile_width + _GAP, channels),
        _BACKGROUND,
    )
    for i, row in enumerate(rows):
        for j, image in enumerate([] if row is None else row[:n_columns]):
            if np.isfinite(image).all():
                top, left = _GAP + i * tile_height, _GAP + j * tile_width
                picture[top : top + height, left : left + width] = np.moveaxis(
                    image, 0, -1
                )
    return picture


def picture_png(picture: NDArray[Any], scale: int = 1) -> bytes:
    """A picture of shape (height, width, channels) in [0, 1] as PNG."""
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
        buffer, format="PNG", optimize=True
    )
    return buffer.getvalue()


def grid_png(images: Any, n_columns: int | None = None) -> bytes:
    """A grid of images as PNG, small images enlarged to be readable."""
    grid = image_grid(images, n_columns)
    return picture_png(grid, scale=max(1, round(900 / grid.shape[0] / 2)))


def figure_png(figure: Figure) -> bytes:
    """A matplotlib figure as PNG; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    plt.close(figure)
    return buffer.getvalue()


def draw_grids(
    grids: Mapping[str, Sequence[NDArray[Any] | None]],
    class_names: Sequence[str],
    *,
    n_columns: int = 8,
) -> Figure:
    """Grids of images side by side, one row per class.

    Parameters
    ----------
    grids : mapping of str to sequence
        Title to images per class.
    class_names : sequence of str
        Names of the rows.
    n_columns : int, default=8
        Images per class.

    Returns
    -------
    matplotlib Figure
        One panel per grid.
    """
    from matplotlib.figure import Figure

    n_rows = len(class_names)
    figure = Figure(
        figsize=(0.35 * n_columns * len(grids) + 0.6, 0.35 * n_rows + 0.5),
        layout="constrained",
    )
    panels = figure.subplots(1, len(grids), squeeze=False)[0]
    for panel, (title, images) in zip(panels, grids.items(), strict=True):
        grid = image_grid(images, n_columns)
        panel.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        tile = (grid.shape[0] - _GAP) / n_rows
        panel.set_yticks(
            [_GAP + tile * (i + 0.5) - _GAP / 2 for i in range(n_rows)],
            list(class_names) if panel is panels[0] else [""] * n_rows,
        )
        panel.set_xticks([])
        panel.tick_params(length=0)
        if title:
            panel.set_title(title, fontsize=10)
        for side in panel.spines.values():
            side.set_visible(False)
    return figure


def draw_scatter(
    groups: Mapping[str, tuple[NDArray[Any], NDArray[Any], Sequence[str]]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Points of several groups, each point marked by the name of its class.

    Parameters
    ----------
    groups : mapping of str to (x, y, names)
        Name of the group to the coordinates and class names of its points.
    xlabel, ylabel, title : str
        Texts.

    Returns
    -------
    matplotlib Figure
        One panel with a legend.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = figure.subplots()
    for i, (name, (x, y, labels)) in enumerate(groups.items()):
        known = np.isfinite(x) & np.isfinite(y)
        colour = COLOURS[i % len(COLOURS)]
        panel.scatter(
            x[known],
            y[known],
            s=46,
            marker=MARKERS[i % len(MARKERS)],
            color=colour,
            label=name,
            alpha=0.85,
            edgecolor="white",
            linewidth=0.6,
            zorder=3,
        )
        for a, b, label in zip(x, y, labels, strict=True):
            if np.isfinite(a) and np.isfinite(b):
                panel.annotate(
                    label,
                    (a, b),
                    xytext=(5, 3),
                    textcoords="offset points",
                    fontsize=8,
                    color=colour,
                )
    panel.set(xlabel=xlabel, ylabel=ylabel, title=title, ylim=(-0.02, 1.05))
    panel.grid(color="0.9", zorder=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, title="auxiliary images")
    return figure


def draw_heat(
    panels: Mapping[str, NDArray[Any]],
    row_names: Sequence[str],
    column_names: Sequence[str],
) -> Figure:
    """Correlations as coloured tables side by side, with their numbers.

    Parameters
    ----------
    panels : mapping of str to array of shape (n_rows, n_columns)
        Title to values in [-1, 1]; NaN stays grey.
    row_names, column_names : sequence of str
        Names.

    Returns
    -------
    matplotlib Figure
        One panel per table and a colour bar.
    """
    from matplotlib.figure import Figure

    n_rows, n_columns = len(row_names), len(column_names)
    figure = Figure(
        figsize=(1.8 + 0.62 * n_columns * len(panels), 1.5 + 0.34 * n_rows),
        layout="constrained",
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        axis.set_facecolor("0.8")
        image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for i, j in np.argwhere(np.isfinite(values)):
            dark = abs(values[i, j]) > 0.6
            axis.text(
                j,
                i,
                f"{values[i, j]:+.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
        axis.set_xticks(range(n_columns), column_names, rotation=40, ha="right")
        axis.set_yticks(range(n_rows), row_names if axis is axes[0] else [""] * n_rows)
        axis.tick_params(length=0, labelsize=8)
        axis.set_title(title, fontsize=10)
    figure.colorbar(image, ax=list(axes), shrink=0.8, label="Spearman correlation")
    return figure
