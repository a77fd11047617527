"""What a study looks like on paper: its tables, its heat maps, its report pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kldiv_attack._figures import draw_heat, figure_png
from kldiv_attack._files import write_atomic
from kldiv_attack._pages import (
    Figure,
    Heading,
    Listing,
    Paragraph,
    Part,
    Table,
    write_pages,
)
from kldiv_attack._studies.judges import ranking_rows, rate_rows
from kldiv_attack._studies.measures import OUTCOMES, PREDICTORS
from kldiv_attack._studies.result import Study, missing
from kldiv_attack._summary import mean_known, number
from kldiv_attack._tables import Row, csv_line, text_lines


def write_study(study: Study) -> None:
    """Write the tables and the report of a study from its observations alone."""
    write_atomic(study.folder / "observations.csv", _csv(study.rows).encode())
    found = correlation_rows(study)
    write_atomic(study.folder / "correlations.csv", _csv(found).encode())
    write_study_pages(study, found)
    write_atomic(study.folder / "study.txt", study_text(study, found).encode())


def correlation_rows(study: Study) -> list[dict[str, Any]]:
    """One row per attacker, outcome, divergence and way to compare."""
    found = []
    for attacker in study.attackers:
        for outcome in OUTCOMES:
            for within in (False, True):
                one = study.correlations(attacker, outcome, within=within)
                for i, name in enumerate(PREDICTORS):
                    found.append(
                        {
                            "attacker": attacker,
                            "outcome": outcome,
                            "pairs": "within sets" if within else "all",
                            "n_pairs": one.n_pairs,
                            "divergence": name,
                            "rho": one.rho[i],
                            "lowest": one.lowest[i],
                            "highest": one.highest[i],
                            "null_low": one.null_low[i],
                            "null_high": one.null_high[i],
                            "pvalue": one.pvalue[i],
                            "pvalue_any": one.pvalue_any[i],
                            "low": one.low[i],
                            "high": one.high[i],
                            "strongest": one.strongest[i],
                        }
                    )
    return found


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    header = list(rows[0])
    written = [[_csv_cell(row[name]) for name in header] for row in rows]
    return "".join(csv_line(cells) for cells in (header, *written))


def _csv_cell(value: Any) -> Any:
    if missing(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


INTERVAL_TITLE = (
    "KL within sets, and where 95 % lie when the classes are drawn anew (bootstrap)"
)


RANKING_TITLE = (
    "Accuracy under judges that learnt from neither private nor public images, means "
    "over sets and seeds, and the place among the attackers"
)


RATES_TITLE = (
    "What those judges recognise of unseen images, and what they let pass of noise "
    "that the victim is sure of (mean ends of 95 % intervals)"
)


SUMMARY_TITLE = "Means over classes; of several seeds the mean and the range"


OUTCOME_TERMS = (
    "accuracy: share of the reconstructions that an independent judge, never the "
    "victim, puts in the class.",
    "coverage: share of private images with a reconstruction nearby, in the judge's "
    "features; clipped coverage: the same on a scale where 0.5 is what half of as many "
    "good images give.",
    "distance: mean distance from a reconstruction to the nearest private image, in "
    "units of the distance from a private image to the next one.",
    "queries: images that the victim was asked about; a white-box attack may "
    "need none.",
    "control: random and control: confident return public images that the victim "
    "puts in the class, without any generator.",
)


TEST_TERMS = (
    "Spearman correlation over pairs of auxiliary set and class, averaged over the "
    "seeds; a dash where there is no order to compare.",
    "* marks p < 0.05 for the largest of all divergences (permutations of the pairs, "
    "the same in every seed).",
    "all: every pair at once, so that differences between auxiliary sets count; within "
    "sets: the classes of one auxiliary set among themselves, averaged over the sets.",
)


def summary_rows(study: Study) -> tuple[tuple[str, ...], list[list[str]]]:
    """Means over classes per auxiliary set and attacker, and their range over seeds."""
    rows = []
    for aux in study.config["auxiliary"]:
        for attacker in study.attackers:
            chosen = [
                row
                for row in study.rows
                if row["auxiliary"] == aux and row["attacker"] == attacker
            ]
            means = [_over_seeds(chosen, name) for name in OUTCOMES]
            asked = sorted({row["queries"] for row in chosen})
            queries = "-".join(str(n) for n in dict.fromkeys((asked[0], asked[-1])))
            rows.append([aux, attacker, chosen[0]["access"], queries, *means])
    header = ("auxiliary", "attacker", "access", "queries", *OUTCOMES)
    return header, rows


def _over_seeds(rows: Sequence[dict[str, Any]], name: str) -> str:
    """Mean over classes; with several seeds their mean, lowest and highest."""
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    means = [
        mean_known(np.array([row[name] for row in rows if row["seed"] == seed]))
        for seed in seeds
    ]
    if len(seeds) == 1:
        return number(means[0])
    low, high = number(min(means)), number(max(means))
    return f"{number(float(np.mean(means)))} ({low} to {high})"


def correlation_cells(
    study: Study, found: Sequence[dict[str, Any]], outcome: str, pairs: str
) -> tuple[tuple[str, ...], list[list[str]]]:
    """One row per divergence, one column per attacker."""
    chosen = [r for r in found if r["outcome"] == outcome and r["pairs"] == pairs]
    names = list(dict.fromkeys(row["divergence"] for row in chosen))
    cells = {(r["divergence"], r["attacker"]): _cell(r) for r in chosen}
    rows = [[name, *(cells[name, a] for a in study.attackers)] for name in names]
    return ("divergence", *study.attackers), rows


def _cell(row: dict[str, Any]) -> str:
    if not np.isfinite(row["rho"]):
        return "-"
    return f"{row['rho']:+.2f}" + ("*" if row["pvalue_any"] < 0.05 else " ")


def interval_rows(
    study: Study, found: Sequence[dict[str, Any]]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """KL inside the auxiliary sets with its interval; a row per attacker."""
    cells = {
        (r["attacker"], r["outcome"]): (
            f"{r['rho']:+.2f} ({r['low']:+.2f} to {r['high']:+.2f})"
            if np.isfinite(r["rho"])
            else "-"
        )
        for r in found
        if (r["divergence"], r["pairs"]) == ("KL", "within sets")
    }
    rows = [[a, *(cells[a, outcome] for outcome in OUTCOMES)] for a in study.attackers]
    return ("attacker", *OUTCOMES), rows


def findings(study: Study, found: Sequence[dict[str, Any]]) -> list[str]:
    """What the numbers say, one sentence per attacker and outcome."""
    lines = []
    for attacker in study.attackers:
        for outcome in OUTCOMES:
            chosen = [
                r
                for r in found
                if (r["attacker"], r["outcome"], r["pairs"])
                == (attacker, outcome, "all")
                and np.isfinite(r["rho"])
            ]
            if not chosen:
                lines.append(f"{attacker}, {outcome}: no order to compare.")
                continue
            sign = OUTCOMES[outcome]
            best = max(chosen, key=lambda r: sign * r["rho"])
            first = next((r for r in chosen if r["divergence"] == "KL"), best)
            lines.append(
                f"{attacker}, {outcome}: {best['divergence']} {best['rho']:+.2f} "
                f"(seeds {best['lowest']:+.2f} to {best['highest']:+.2f}; chance "
                f"{best['null_low']:+.2f} to {best['null_high']:+.2f}; pairs "
                f"drawn anew {best['low']:+.2f} to {best['high']:+.2f}; p "
                f"{best['pvalue_any']:.4f} over all divergences; strongest in "
                f"{100 * best['strongest']:.0f} % of bootstrap samples); KL "
                f"{first['rho']:+.2f}."
            )
    return lines


def study_text(study: Study, found: Sequence[dict[str, Any]]) -> str:
    """The tables of a study as text."""
    parts = [SUMMARY_TITLE, _text(*summary_rows(study))]
    for outcome in OUTCOMES:
        for pairs in ("all", "within sets"):
            parts += [
                f"Correlation with {outcome}, {pairs}",
                _text(*correlation_cells(study, found, outcome, pairs)),
            ]
    if study.judged:
        parts += [RANKING_TITLE, _text(*ranking_rows(study.judged))]
        parts += [RATES_TITLE, _text(*rate_rows(study.judged))]
    parts += [INTERVAL_TITLE, _text(*interval_rows(study, found))]
    parts += ["Strongest divergence, all pairs", "\n".join(findings(study, found))]
    parts += ["\n".join((*OUTCOME_TERMS, *TEST_TERMS))]
    return "\n\n".join(parts) + "\n"


def _text(header: Row, rows: Sequence[Row]) -> str:
    first, *others = text_lines([header, *rows])
    return "\n".join([first, "-" * len(first), *others])


def heat_figure(
    study: Study, found: Sequence[dict[str, Any]], pairs: str, name: str
) -> Figure:
    """Correlations as colours: one panel per outcome."""
    panels = {}
    names = list(dict.fromkeys(row["divergence"] for row in found))
    for outcome in OUTCOMES:
        values = {
            (r["divergence"], r["attacker"]): r["rho"]
            for r in found
            if r["outcome"] == outcome and r["pairs"] == pairs
        }
        panels[outcome] = np.array(
            [[values[n, a] for a in study.attackers] for n in names]
        )
    return Figure(
        name,
        figure_png(draw_heat(panels, names, study.attackers)),
        "Heat maps, one per outcome: divergences in the rows, attackers and controls "
        f"in the columns, colours are Spearman correlations ({pairs}).",
        f"Spearman correlation of each divergence with each outcome, {pairs}: blue is "
        "negative, red is positive.",
    )


def _judges(study: Study) -> list[Part]:
    """The attacks under several judges, if any could be trained."""
    if not study.judged:
        return []
    return [
        Heading("Several judges"),
        Table(*ranking_rows(study.judged), f"{RANKING_TITLE}."),
        Table(*rate_rows(study.judged), f"{RATES_TITLE}."),
    ]


def _settings_of(study: Study) -> list[str]:
    """What was measured on what, one sentence each."""
    config = study.config
    lines = [
        f"Seeds: {', '.join(map(str, config['seeds']))}.",
        f"Features of the divergences: {config['features']}, at most "
        f"{config['max_rows']} rows per class and side.",
        f"Reconstructions per class: {config['n_reconstructions']}.",
    ]
    for name, options in config["attackers"].items():
        spelled = ", ".join(f"{k}={v!r}" for k, v in options.items())
        lines.append(f"{name}: {spelled or 'defaults'}")
    return lines


def write_study_pages(study: Study, found: Sequence[dict[str, Any]]) -> None:
    """Write report.md and report.html of a study."""
    parts: list[Part] = [
        Paragraph(
            "Every attacker was run on every auxiliary set. Before each attack the "
            "divergences between the private images of a class and the public images "
            "that the victim puts in it were measured; afterwards, how far the attack "
            "had come. The tables say which divergence orders the classes as the "
            "outcomes do."
        ),
        Listing(_settings_of(study)),
        Heading("Outcomes"),
        Table(*summary_rows(study), f"{SUMMARY_TITLE}."),
        Listing(OUTCOME_TERMS),
        *_judges(study),
        Heading("Which divergence predicts them"),
        heat_figure(study, found, "all", "heat_all"),
        heat_figure(study, found, "within sets", "heat_within"),
        Listing(TEST_TERMS),
    ]
    for outcome in OUTCOMES:
        for pairs in ("all", "within sets"):
            header, rows = correlation_cells(study, found, outcome, pairs)
            parts.append(Table(header, rows, f"Correlation with {outcome}, {pairs}."))
    parts.append(Table(*interval_rows(study, found), f"{INTERVAL_TITLE}."))
    parts += [Heading("Strongest divergence"), Listing(findings(study, found))]
    write_pages(study.folder, "Which divergence predicts which attack", parts)
