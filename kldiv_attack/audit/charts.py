"""Figures of the report: SVG that takes its colours from the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 120, 16, 12, 44
_ROW = 22
_CLOSE = 16
SHAPES = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Point:
    """A value with its interval.

    Attributes
    ----------
    label : str
        What it belongs to.
    x, low, high : float or None
        Value and ends of its interval.
    group : str
        Name of a colour class of the style sheet.
    """

    label: str
    x: float | None
    low: float | None
    high: float | None
    group: str = ""


def intervals(
    points: Sequence[Point], axis: str, alt: str, marks: Sequence[float]
) -> str:
    """One line per class: a point with its interval.

    Parameters
    ----------
    points : sequence of Point
        From top to bottom.
    axis : str
        Label of the axis.
    alt : str
        What the figure shows.
    marks : sequence of float
        Values at which a vertical line is drawn.

    Returns
    -------
    str
        An SVG element.
    """
    known = [v for p in points for v in (p.x, p.low, p.high) if v is not None] + list(
        marks
    )
    low, high = _span(known or [0.0, 1.0])
    height = _TOP + _ROW * len(points) + _BOTTOM
    longest = max((len(_short(p.label)) for p in points), default=0)
    left = min(_LEFT, 24 + 9 * longest)
    scale = _Scale(low, high, left, WIDTH - _RIGHT)
    parts = [_axis(scale, ticks(low, high), height - _BOTTOM, axis)]
    for mark in marks:
        x = scale(mark)
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
            f'y2="{height - _BOTTOM}"/>'
        )
    for i, point in enumerate(points):
        y = _TOP + _ROW * (i + 0.5)
        parts.append(
            f'<text class="name" x="{left - 8}" y="{y + 4:.1f}" '
            f'text-anchor="end">{escape(_short(point.label))}</text>'
        )
        parts.append(_point(point, scale, y))
    return _svg(height, alt, parts)


def _point(point: Point, scale: "_Scale", y: float) -> str:
    if point.x is None:
        place = f'x="{scale.start + 4:.0f}" y="{y + 4:.1f}"'
        return f'<text class="none" {place}>cannot be scored</text>'
    title = f"{point.label}: {point.x:.3g}"
    drawn = ""
    if point.low is not None and point.high is not None:
        title += f", from {point.low:.3g} to {point.high:.3g}"
        drawn = (
            f'<line x1="{scale(point.low):.1f}" x2="{scale(point.high):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    return (
        f'<g class="point {point.group}"><title>{escape(title)}</title>{drawn}'
        f'<circle cx="{scale(point.x):.1f}" cy="{y:.1f}" r="4.5"/></g>'
    )


@dataclass(frozen=True)
class Line:
    """A curve with a band.

    Attributes
    ----------
    label : str
        Its name.
    x, y, low, high : sequence of float
        Points and band.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def curves(lines: Sequence[Line], x_axis: str, y_axis: str, alt: str) -> str:
    """Curves over a logarithmic axis; shares on the other one.

    Parameters
    ----------
    lines : sequence of Line
        At most four.
    x_axis, y_axis : str
        Labels of the axes.
    alt : str
        What the figure shows.

    Returns
    -------
    str
        An SVG element.
    """
    left, height = 60, 280
    x_all = [math.log10(x) for line in lines for x in line.x]
    first = min(x_all)
    last = max(*x_all, first + 0.1)
    top = min(1.0, max(y for line in lines for y in line.high) * 1.1 or 1.0)
    across = _Scale(first, last, left, WIDTH - _RIGHT)
    up = _Scale(0.0, top, height - 72, _TOP)
    parts = []
    for tick in ticks(0.0, top):
        y = up(tick)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{left - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{tick:.3g}</text>'
        )
    for tick in decades(10**first, 10**last):
        x = across(math.log10(tick))
        parts.append(
            f'<text x="{x:.1f}" y="{height - 56}" text-anchor="middle">'
            f"{_count(tick)}</text>"
        )
    for i, line in enumerate(lines):
        parts.append(_line(line, across, up, i))
        parts.append(_legend(line.label, i, left, height))
    parts.append(
        f'<text class="axis" x="{(left + WIDTH) / 2:.0f}" y="{height - 36}" '
        f'text-anchor="middle">{escape(x_axis)}</text><text class="axis" '
        f'transform="translate(12 {height / 2 - 30:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_axis)}</text>'
    )
    return _svg(height, alt, parts)


def _line(line: Line, across: "_Scale", up: "_Scale", number: int) -> str:
    xs = [across(math.log10(x)) for x in line.x]
    points = " ".join(f"{x:.1f},{up(y):.1f}" for x, y in zip(xs, line.y, strict=True))
    edge = [
        *zip(xs, line.high, strict=True),
        *reversed(list(zip(xs, line.low, strict=True))),
    ]
    band = " ".join(f"{x:.1f},{up(max(0.0, y)):.1f}" for x, y in edge)
    marks = "".join(
        mark(SHAPES[number % 4], x, up(y)) for x, y in zip(xs, line.y, strict=True)
    )
    return (
        f'<g class="line s{number}"><title>{escape(line.label)}</title>'
        f'<polygon class="band" points="{band}"/><polyline points="{points}"/>'
        f"{marks}</g>"
    )


def _legend(label: str, number: int, left: int, height: int) -> str:
    x, y = left + number * 100, height - 12
    return (
        f'<g class="line s{number}">{mark(SHAPES[number % 4], x, y - 4)}</g>'
        f'<text x="{x + 10}" y="{y}">{escape(label)}</text>'
    )


def scatter(
    points: Sequence[tuple[str, float, float, float, float]],
    x_axis: str,
    y_axis: str,
    alt: str,
) -> str:
    """Points with a vertical interval and a number that the caption explains.

    Parameters
    ----------
    points : sequence of (label, x, y, low, high)
        From the first on numbered from 0.
    x_axis, y_axis : str
        Labels of the axes.
    alt : str
        What the figure shows.

    Returns
    -------
    str
        An SVG element.
    """
    left, height = 72, 300
    low, high = _span([v for p in points for v in p[2:]])
    first, last = _span([p[1] for p in points])
    across = _Scale(first, last, left, WIDTH - _RIGHT)
    up = _Scale(low, high, height - _BOTTOM, _TOP)
    parts = [_axis(across, ticks(first, last), height - _BOTTOM, x_axis)]
    for tick in ticks(low, high):
        y = up(tick)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{left - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{tick:.3g}</text>'
        )
    numbers: dict[tuple[float, float], str] = {}
    for i, (label, x, y, below, above) in enumerate(points):
        place = across(x), up(y)
        near = (p for p in numbers if math.dist(p, place) < _CLOSE)
        place = next(near, place)  # labels would hide each other
        numbers[place] = f"{numbers[place]}, {i}" if place in numbers else str(i)
        parts.append(
            f'<g class="point"><title>{escape(label)}</title>'
            f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{up(below):.1f}" '
            f'y2="{up(above):.1f}"/><circle cx="{across(x):.1f}" cy="{up(y):.1f}" '
            f'r="4.5"/></g>'
        )
    for (x, y), text in numbers.items():
        left_of = x > (left + WIDTH) / 2
        parts.append(
            f'<text class="name" x="{x + (-7 if left_of else 7):.1f}" y="{y - 7:.1f}" '
            f'text-anchor="{"end" if left_of else "start"}">{text}</text>'
        )
    parts.append(
        f'<text class="axis" transform="translate(13 {(height - _BOTTOM) / 2:.0f}) '
        f'rotate(-90)" text-anchor="middle">{escape(y_axis)}</text>'
    )
    return _svg(height, alt, parts)


class _Scale:
    """From values to places on the page."""

    def __init__(self, low: float, high: float, start: float, stop: float):
        self.low, self.start = low, start
        self.factor = (stop - start) / (high - low)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.factor


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 1.0)
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two values.

    Examples
    --------
    >>> ticks(0, 9)
    [0, 2, 4, 6, 8]
    """
    raw = (high - low) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    start = math.ceil(low / step - 1e-9)
    return [
        round(i * step, 12) for i in range(start, math.floor(high / step + 1e-9) + 1)
    ]


def decades(low: float, high: float) -> list[int]:
    """Round numbers of a logarithmic axis.

    Examples
    --------
    >>> decades(20, 3000)
    [20, 50, 100, 200, 500, 1000, 2000]
    """
    found = [
        m * 10**e
        for e in range(7)
        for m in (1, 2, 5)
        if low <= m * 10**e <= high * 1.001
    ]
    if len(found) > 7:
        found = [value for value in found if str(value)[0] == "1"]
    return found or [round(low)]


def _count(value: int) -> str:
    """A round number in the room that a phone leaves it."""
    return f"{value / 1000:g}k" if value >= 1000 else str(value)


def mark(shape: str, x: float, y: float) -> str:
    """A small mark; curves differ in shape, not in colour alone."""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    if shape == "square":
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    ends = {
        "diamond": ((0, -4.5), (4.5, 0), (0, 4.5), (-4.5, 0)),
        "triangle": ((0, -4), (4, 3.5), (-4, 3.5)),
    }[shape]
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in ends)
    return f'<polygon points="{points}"/>'


def _axis(scale: _Scale, at: Sequence[float], y: float, label: str) -> str:
    lines = "".join(
        f'<line class="grid" x1="{scale(t):.1f}" x2="{scale(t):.1f}" y1="{_TOP}" '
        f'y2="{y:.1f}"/><text x="{scale(t):.1f}" y="{y + 16:.1f}" '
        f'text-anchor="middle">{t:.4g}</text>'
        for t in at
    )
    middle = (scale.start + WIDTH) / 2
    return (
        f'{lines}<text class="axis" x="{middle:.0f}" y="{y + 36:.1f}" '
        f'text-anchor="middle">{escape(label)}</text>'
    )


def _short(text: str, most: int = 12) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(height: float, alt: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(alt, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )
