"""Table 1 of the paper: the Gaussian simulation, under every reading of "KS test".

H. Tanaka et al., "Evaluation Indicator for Model Inversion Attack", AdvML 2020,
section 5.1: class 0 is N(-1, I), class 1 is N(1, I), 1000 rows each; the attacker owns
500 rows of N(0, I) and the victim's answers to them, and reconstructs class 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from scipy import stats

from kldiv import KNNDivergence
from kldiv_attack._files import check_home, checked_path, write_atomic
from kldiv_attack._progress import progress
from kldiv_attack._rules import SEED, Choice, Whole, check_value
from kldiv_attack._studies.readings import (
    N_RECONSTRUCTIONS,
    READINGS,
    Array,
    Simulation,
    ideal_reconstructions,
    simulate,
)
from kldiv_attack._tables import markdown_table

#: Corrections of the estimated divergences.
CORRECTIONS = (
    None,
    "adaptive",
    "common",
    "gaussian",
    "mixture",
    "marginal",
    "classifier",
)
DIMENSIONS = (1, 5, 10, 50, 100, 500)


#: Table 1 as printed: the divergence, and whether the null hypothesis was rejected.
PUBLISHED_TABLE_1: dict[int, tuple[float, bool]] = {
    1: (0.5, False),
    5: (2.5, False),
    10: (5.0, False),
    50: (25.0, True),
    100: (50.0, True),
    500: (250.0, True),
}


#: Level of each attacker's verdicts.
LEVELS = {"ideal": 0.05, "cgan": 0.01}


def half_space_divergence(d: int) -> float:
    """Divergence of class 0 from auxiliary rows, both given f(x') = 0, in nats.

    f is the boundary between the two classes, the half space sum(x) < 0. Without the
    condition on class 0 the divergence is infinite: the auxiliary distribution given
    f(x') = 0 is zero on the other half space, where class 0 keeps a mass of
    Phi(-sqrt(d)).
    """
    root = np.sqrt(d)
    mass = stats.norm.cdf(root)
    mills = root * stats.norm.pdf(root) / mass
    return float(d / 2 + mills - np.log(mass) - np.log(2))


def estimated_divergences(
    data: Simulation, corrections: Sequence[str | None] = CORRECTIONS
) -> dict[str, dict[str, float]]:
    """k-nearest-neighbour estimates for each correction, in nats.

    From the whole auxiliary sample (true value d/2) and from its rows with f(x') = 0
    (true value infinite).
    """
    references = {"whole": data.aux, "given": data.aux[data.answers == 0]}
    return {
        str(correction): {
            name: KNNDivergence(correction=correction).fit(reference).score(data.train)
            for name, reference in references.items()
        }
        for correction in corrections
    }


def run_table_1(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    n_seeds: int = 5,
    dimensions: Sequence[int] = DIMENSIONS,
    attackers: Sequence[str] = ("ideal", "cgan"),
    corrections: Sequence[str | None] = CORRECTIONS,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> None:
    """Run the simulation and write ``table_1.json`` and ``table_1.md``.

    Parameters
    ----------
    folder : path
        Where to write.
    seed : int, default=0
        The one seed.
    n_seeds : int, default=5
        Independent repetitions.
    dimensions : sequence of int
        Values of d.
    attackers : sequence of {"ideal", "cgan"}
        ``"cgan"`` trains small conditional GANs and needs torch.
    corrections : sequence of str or None
        Of the divergences that are estimated; all by default.
    n_jobs : int, optional
        Processes; None is one, -1 one per core. The numbers do not depend on it.
    verbose : int, default=0
        1 shows a progress bar.
    """
    folder = checked_path(folder, "folder")
    check_home(folder, ("table_1.md",), "table_1.json")
    _check_sizes(seed, n_seeds, dimensions, attackers)
    # The widest data take longest, so they go first; a result depends on its own
    # seed alone, not on the order.
    widest = sorted(set(dimensions), reverse=True)
    attack, estimate = delayed(_attack), delayed(_estimate)
    jobs = [attack(d, seed, n_seeds, attackers) for d in widest]
    jobs += [
        estimate(d, seed, n_seeds, index, corrections)
        for d in widest
        for index in range(n_seeds)
    ]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
        bar = progress(results, total=len(jobs), desc="Table 1", disable=not verbose)
        found = list(bar)
    attacks = dict(zip(widest, found[: len(widest)], strict=True))
    rest = iter(found[len(widest) :])
    estimates = {d: [next(rest) for _ in range(n_seeds)] for d in widest}
    rows = [{"d": d, "estimates": estimates[d], **attacks[d]} for d in dimensions]
    settings = {"seed": seed, "n_seeds": n_seeds, "attackers": list(attackers)}
    write_atomic(
        folder / "table_1.json",
        json.dumps({**settings, "rows": rows}, indent=1).encode(),
    )
    write_atomic(folder / "table_1.md", table_1(folder).encode())


def _check_sizes(
    seed: int, n_seeds: int, dimensions: Sequence[int], attackers: Sequence[str]
) -> None:
    check_value("seed", seed, SEED)
    check_value("n_seeds", n_seeds, Whole())
    for attacker in attackers:
        check_value("attackers", attacker, Choice(tuple(LEVELS)))
    for d in dimensions:
        check_value("dimensions", d, Whole())


def _estimate(
    d: int, seed: int, n_seeds: int, index: int, corrections: Sequence[str | None]
) -> dict[str, dict[str, float]]:
    """Estimated divergences of one repetition."""
    generator = np.random.default_rng([seed, d]).spawn(n_seeds)[index]
    return estimated_divergences(simulate(d, generator), corrections)


def _attack(
    d: int, seed: int, n_seeds: int, attackers: Sequence[str]
) -> dict[str, Any]:
    """P-values of every reading, and moments, of all repetitions in d dimensions."""
    generators = np.random.default_rng([seed, d]).spawn(n_seeds)
    simulations = [simulate(d, rng) for rng in generators]
    made: dict[str, list[Array]] = {}
    if "ideal" in attackers:
        pairs = zip(simulations, generators, strict=True)
        made["ideal"] = [ideal_reconstructions(data, rng) for data, rng in pairs]
    if "cgan" in attackers:
        from kldiv_attack._studies.table_1_gan import gan_reconstructions

        made["cgan"] = gan_reconstructions(
            [data.aux for data in simulations],
            [data.answers for data in simulations],
            n=N_RECONSTRUCTIONS,
            seed=int(generators[0].integers(2**31)),
        )
    return {
        "pvalues": {
            attacker: {
                name: [
                    reading(x, data.train)
                    for x, data in zip(samples, simulations, strict=True)
                ]
                for name, reading in READINGS.items()
            }
            for attacker, samples in made.items()
        },
        "moments": {
            attacker: [[float(x.mean()), float(x.std(axis=0).mean())] for x in samples]
            for attacker, samples in made.items()
        },
    }


def table_1(folder: str | os.PathLike[str]) -> str:
    """Table 1 as Markdown, rebuilt from what ``run_table_1`` wrote.

    Parameters
    ----------
    folder : path
        Holds ``table_1.json``.

    Returns
    -------
    str
        The divergences, then per attacker the p-values and verdicts of every reading.

    Raises
    ------
    FileNotFoundError
        If the folder holds no result.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack._studies.table_1 import run_table_1, table_1
    >>> with TemporaryDirectory() as folder:
    ...     run_table_1(
    ...         folder,
    ...         n_seeds=2,
    ...         dimensions=[1],
    ...         attackers=["ideal"],
    ...         corrections=[None],
    ...     )
    ...     lines = table_1(folder).splitlines()
    >>> [cell.strip() for cell in lines[4].strip("|").split("|")]
    ['printed in the paper', '0.5']
    """
    path = Path(folder) / "table_1.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; make it with python -m kldiv_attack paper "
            f"--table 1 --out {folder}."
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    parts = ["# Table 1", _divergence_table(found)]
    for attacker in found["attackers"]:
        parts += [_verdict_table(found, attacker)]
    return "\n\n".join(parts) + "\n"


def _divergence_table(found: Mapping[str, Any]) -> str:
    rows = found["rows"]
    lines = [
        ["printed in the paper", *(_published(row["d"], 0) for row in rows)],
        [
            "closed form, whole auxiliary distribution: d/2",
            *(f"{row['d'] / 2:g}" for row in rows),
        ],
        ["closed form, given f(x') = 0", *("inf" for _ in rows)],
        [
            "closed form, both distributions given f(x') = 0",
            *(f"{half_space_divergence(row['d']):.3g}" for row in rows),
        ],
    ]
    for correction in rows[0]["estimates"][0]:
        for key, words in (
            ("whole", "whole distribution"),
            ("given", "given f(x') = 0"),
        ):
            values = [
                [one[correction][key] for one in row["estimates"]] for row in rows
            ]
            means = [f"{np.mean(v):.3g} ± {np.std(v):.2g}" for v in values]
            lines.append([f"estimate, correction={correction}, {words}", *means])
    header = ["nats, mean ± deviation over seeds", *(f"d = {row['d']}" for row in rows)]
    return markdown_table(header, lines)


def _verdict_table(found: Mapping[str, Any], attacker: str) -> str:
    rows, level = found["rows"], LEVELS[attacker]
    lines = [["printed in the paper", *(_published(row["d"], 1) for row in rows), ""]]
    for name in READINGS:
        cells, agree = [], np.ones(found["n_seeds"], dtype=bool)
        for row in rows:
            pvalues = np.array(row["pvalues"][attacker][name])
            rejected = pvalues < level
            if row["d"] in PUBLISHED_TABLE_1:
                agree &= rejected == PUBLISHED_TABLE_1[row["d"]][1]
            cells.append(f"{np.median(pvalues):.2g} ({_verdict(rejected)})")
        lines.append([name, *cells, f"{agree.sum()} of {len(agree)}"])
    header = ["reading", *(f"d = {row['d']}" for row in rows), "seeds as printed"]
    title = (
        f"## Attacker: {attacker}\n\nMedian p-value over {found['n_seeds']} seeds and "
        f"verdict at level {level:g}."
    )
    return title + "\n\n" + markdown_table(header, lines)


def _verdict(rejected: NDArray[np.bool_]) -> str:
    if rejected.all():
        return "rejected"
    return f"rejected in {rejected.sum()}" if rejected.any() else "kept"


def _published(d: int, part: int) -> str:
    if d not in PUBLISHED_TABLE_1:
        return ""
    value, rejected = PUBLISHED_TABLE_1[d]
    return f"{value:g}" if part == 0 else ("rejected" if rejected else "kept")
