"""Reports that show what names of classes do to a page."""

import numpy as np

from kldiv import PerClassReport


def report_of(names):
    """A report of classes called so, with the names in every place that holds text."""
    return PerClassReport(
        classes=np.array(names),
        columns={"kl": np.arange(len(names), dtype=float)},
        reasons={names[0]: f"because {names[0]}"},
        settings={"source": names[-1]},
        title=f"Title {names[0]}",
        notes={names[-1]: f"note {names[-1]}"},
    )
