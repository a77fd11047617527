"""One figure: what a defence changes against what it costs in accuracy."""

from collections.abc import Mapping

from kldiv_attack.audit import charts
from kldiv_attack.audit.blocks import Drawing

Change = tuple[float, float, float]


def trade_off(
    says: str,
    axis: str,
    plain: tuple[str, float],
    accuracies: Mapping[str, float],
    changes: Mapping[str, Change],
) -> Drawing:
    """Points of defences beside the victim as it is, which changes nothing.

    Parameters
    ----------
    says : str
        First words of the caption.
    axis : str
        What the vertical axis shows.
    plain : (str, float)
        Name and accuracy of the victim as it is.
    accuracies : mapping of str to float
        Name to accuracy.
    changes : mapping of str to (float, float, float)
        Name to change and the ends of its interval.

    Returns
    -------
    Drawing
        Numbered points; the caption names them.
    """
    points = [(*plain, 0.0, 0.0, 0.0)]
    points += [(name, accuracies[name], *change) for name, change in changes.items()]
    alt = "; ".join(
        f"{i}: {label}, accuracy {x:.3f}, change {y:+.2f}"
        for i, (label, x, y, *_) in enumerate(points)
    )
    svg = charts.scatter(points, "accuracy", axis, alt)
    return Drawing(svg, alt, f"{says}. {alt}.")
