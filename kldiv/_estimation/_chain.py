"""Discrete and continuous columns together: the chain rule at each row.

The log ratio at a row is that of its cell, of all that is discrete, plus that of its
continuous columns within the cell. Every formula on log ratios then holds as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import polygamma

from kldiv._divergences import Divergence
from kldiv._errors._doubts import Doubt, total_variance
from kldiv._errors._row_effects import response_of
from kldiv._errors._standard_errors import Effects, SampleEffects, effects_of
from kldiv._errors._subsets import N_SUBSETS
from kldiv._estimation._cells import Cells, Group
from kldiv._estimation._weighted_chain import weighted_chain_effects
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats


@dataclass(frozen=True)
class Part:
    """A group of cells and what was estimated within it.

    Attributes
    ----------
    group : Group
        The rows.
    ratios : tuple of LogRatio
        At the rows of X, and of Y if the divergence needs them; empty where nothing
        varies continuously.
    """

    group: Group
    ratios: tuple[LogRatio, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Log ratios of cells and within them.

    Attributes
    ----------
    cells : Cells
        What is discrete.
    parts : sequence of Part
        What is continuous.
    formula : callable
        The divergence of log ratios at the rows of X, and of Y if it needs them.
    entry : Divergence
        What it is.
    noise : float
        What the formula takes off for the noise of neighbours, where there are none.
    """

    cells: Cells
    parts: Sequence[Part]
    formula: Callable[..., float]
    entry: Divergence
    noise: float

    def sides(self) -> list[tuple[Floats, Floats]]:
        """At the rows of X, and of Y if needed: log ratio of the cell, and the rest."""
        both = [self.cells, self.cells.exchanged()]
        return [
            (cells.log_ratios()[cells.of_x], self._within(which, len(cells.of_x)))
            for which, cells in enumerate(both[: 1 + (self.entry.needs == "xy")])
        ]

    def _within(self, which: int, n_rows: int) -> Floats:
        values = np.full(n_rows, self.noise)
        for part in self.parts:
            if part.ratios:
                rows = part.group.y if which else part.group.x
                values[rows] = part.ratios[which].values
        return values

    def value(self) -> float:
        """The divergence."""
        return self.formula(*(sum(side) for side in self.sides()))

    def effects(self) -> Effects | None:
        """What single rows do to it; None where the effects in a part are not known."""
        if self.cells.weights is not None:
            return weighted_chain_effects(self)
        sizes = len(self.cells.of_x), len(self.cells.of_y)
        rows = [np.zeros((N_SUBSETS, size)) for size in sizes]
        variances, doubts = [0.0, self.unseen()], 0.0
        sides = self.sides()
        for part in self.parts:
            within = self._effects_within(part, sides)
            if within is None:
                return None
            doubts += within[2]
            for which, (mine, effects) in enumerate(
                zip((part.group.x, part.group.y), within[:2], strict=True)
            ):
                for one in [each.without_groups() for each in effects]:
                    # effects are times the rows of the sample, not of the part
                    rows[which][:, mine] += one.rows * (sizes[which] / mine.size)
                    variances[which] += one.bootstrap
        for which, of_cells in enumerate(self._effects_of_cells(sides)):
            rows[which] += of_cells - of_cells.mean()
        x, y = (
            SampleEffects(rows[which], which, bootstrap=variances[which])
            for which in (0, 1)
        )
        return Effects(x, y, (Doubt.of_error(np.sqrt(doubts)),))

    def _effects_within(
        self, part: Part, sides: Sequence[tuple[Floats, Floats]]
    ) -> tuple[list[SampleEffects], list[SampleEffects], float] | None:
        """Effects on the divergence through log ratios within a part, and doubts."""
        of_x: list[SampleEffects] = []
        of_y: list[SampleEffects] = []
        doubts = 0.0
        if not part.ratios:
            return of_x, of_y, doubts
        formulas = self._formulas(part, sides)
        for which, (ratios, formula) in enumerate(formulas):
            effects = effects_of(ratios, formula)
            if effects is None:
                return None
            # in the second ratio the samples are exchanged
            x, y = (effects.y, effects.x) if which else (effects.x, effects.y)
            of_x.append(x)
            of_y.append(y)
            doubts += total_variance(effects.doubts)
        return of_x, of_y, doubts

    def _formulas(
        self, part: Part, sides: Sequence[tuple[Floats, Floats]]
    ) -> list[tuple[list[LogRatio], Callable[..., float]]]:
        """Log ratios within a part, and the divergence as a function of them alone.

        Each side of a sum has its own, because the effects of averages of several
        estimates are known one side at a time.
        """
        around = []
        for rows, (cell, within) in zip(
            (part.group.x, part.group.y), sides, strict=False
        ):
            rest = np.delete(cell + within, rows)
            around.append((rest, float(cell[rows].mean())))

        def completed(values: Floats, which: int) -> Floats:
            rest, of_cells = around[which]
            return np.concatenate([rest, values + of_cells])

        if len(sides) == 1:
            return [(list(part.ratios), lambda x: self.formula(completed(x, 0)))]
        x_all, y_all = (cell + within for cell, within in sides)
        if self.entry.linear:
            return [
                ([part.ratios[0]], lambda x: self.formula(completed(x, 0), y_all)),
                ([part.ratios[1]], lambda y: self.formula(x_all, completed(y, 1))),
            ]

        def both(x: Floats, y: Floats) -> float:
            return self.formula(completed(x, 0), completed(y, 1))

        return [(list(part.ratios), both)]

    def _effects_of_cells(
        self, sides: Sequence[tuple[Floats, Floats]]
    ) -> tuple[Floats, Floats]:
        """Effects through the counts of the cells, and of where the rows are."""
        cells = self.cells
        values = [cell + within for cell, within in sides]
        slopes = np.zeros(len(cells.n_x))
        own = [np.zeros(len(cells.of_x)), np.zeros(len(cells.of_y))]
        for which, (cell, within) in enumerate(sides):
            of_rows = cells.of_y if which else cells.of_x
            response = response_of(self.formula, values, which, values[which])
            own[which] = response(values[which])
            for part in self.parts:
                mine = part.group.y if which else part.group.x
                if part.ratios:  # what rows do within the part is counted there
                    inside = response(within[mine] + cell[mine].mean())
                    own[which][mine] -= inside - inside.mean()
            # one log ratio is minus the other
            each = response(values[which], 1) / len(of_rows) * (-1.0 if which else 1.0)
            slopes += np.bincount(of_rows, each, minlength=slopes.size)
        n, m = len(cells.of_x), len(cells.of_y)
        of_x = own[0] + (slopes * n / np.maximum(cells.n_x, 1))[cells.of_x]
        of_y = own[1] - (slopes * m / np.maximum(cells.n_y, 1))[cells.of_y]
        return of_x, of_y

    def unseen(self) -> float:
        """Variance of the log share of cells in which no row of Y tells it."""
        cells = self.cells
        mass = np.bincount(cells.of_x, cells.mass_of_x, minlength=len(cells.n_x))
        shares = mass[cells.n_y == 0] / len(cells.of_x)
        return float(polygamma(1, 1.0) * (shares**2).sum())
