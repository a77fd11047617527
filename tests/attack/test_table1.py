"""Table 1: the simulation, its closed forms, and which readings give the pattern."""

import json

import numpy as np
import pytest
from scipy import integrate, stats

from kldiv._ratio._corrections import CORRECTIONS
from kldiv_attack.__main__ import main
from kldiv_attack._studies.readings import (
    MAIN_READING,
    READINGS,
    ideal_reconstructions,
    simulate,
)
from kldiv_attack._studies.table_1 import (
    DIMENSIONS,
    LEVELS,
    PUBLISHED_TABLE_1,
    estimated_divergences,
    half_space_divergence,
    run_table_1,
    table_1,
)


@pytest.mark.parametrize("d", [1, 5, 50])
def test_half_space_divergence_is_the_integral(d):
    root = np.sqrt(d)
    p = stats.truncnorm(-np.inf, root, loc=-root)
    q = stats.truncnorm(-np.inf, 0)
    value, _ = integrate.quad(
        lambda u: p.pdf(u) * (p.logpdf(u) - q.logpdf(u)), -root - 12, min(0, 12 - root)
    )
    assert half_space_divergence(d) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("d", [1, 10])
def test_ideal_attacker_draws_the_auxiliary_law_given_the_answer(d, rng):
    data = simulate(d, rng)
    made = ideal_reconstructions(data, rng)
    assert made.shape == (500, d)
    assert (data.victim.predict(made) == 0).all()
    # Along the diagonal the law is half normal, across it normal.
    along = made.sum(axis=1) / np.sqrt(d)
    assert stats.kstest(-along, stats.halfnorm.cdf).statistic < 0.12
    assert made.mean() == pytest.approx(-np.sqrt(2 / np.pi / d), abs=0.1)


def test_every_correction_is_estimated_from_both_references(rng):
    found = estimated_divergences(simulate(5, rng))
    assert list(found) == [str(correction) for correction in CORRECTIONS]
    for estimates in found.values():
        assert set(estimates) == {"whole", "given"}
    # Against the whole auxiliary law the laws are Gaussian: 5 / 2 nats.
    assert found["gaussian"]["whole"] == pytest.approx(2.5, abs=0.4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table_1")
    run_table_1(folder, attackers=["ideal"], n_seeds=2, corrections=[None])
    return folder


def verdicts(folder, attacker, reading):
    """Rejections, one row per seed and one column per dimension."""
    found = json.loads((folder / "table_1.json").read_text())
    level = LEVELS[attacker]
    return np.array(
        [np.array(row["pvalues"][attacker][reading]) < level for row in found["rows"]]
    ).T


PRINTED = np.array([PUBLISHED_TABLE_1[d][1] for d in DIMENSIONS])


def test_rows_reading_gives_the_published_pattern_for_every_seed(finished):
    assert (verdicts(finished, "ideal", MAIN_READING) == PRINTED).all()


@pytest.mark.parametrize("reading", list(READINGS)[4:])
def test_other_readings_reject_already_in_one_dimension(finished, reading):
    rejected = verdicts(finished, "ideal", reading)
    assert rejected.shape == (2, 6)
    assert rejected.all()


def test_table_is_rebuilt_from_the_folder(finished):
    text = table_1(finished)
    assert text == (finished / "table_1.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    (main_row,) = [row for row in rows if row[0].startswith(MAIN_READING)]
    assert sum("(kept)" in cell for cell in main_row) == 3
    assert main_row[-1] == "2 of 2"
    (closed,) = [row for row in rows if row[0].startswith("closed form, whole")]
    assert closed[1:5] == ["0.5", "2.5", "5", "25"]
    with pytest.raises(FileNotFoundError, match="paper --table 1"):
        table_1(finished / "elsewhere")


def test_command_prints_the_table_of_a_folder(finished, capsys):
    assert main(["paper", "--table", "1", "--from", str(finished)]) == 0
    assert capsys.readouterr().out == table_1(finished)


def test_same_seed_same_table(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        run_table_1(
            tmp_path / name,
            seed=seed,
            n_seeds=2,
            dimensions=[1],
            attackers=["ideal"],
            corrections=[None],
        )
    one, two, other = (table_1(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_processes_do_not_change_the_table(tmp_path):
    options = {"n_seeds": 2, "dimensions": [5, 1], "attackers": ["ideal"]}
    for n_jobs in (1, 2):
        run_table_1(
            tmp_path / str(n_jobs), corrections=[None], n_jobs=n_jobs, **options
        )
    assert table_1(tmp_path / "1") == table_1(tmp_path / "2")


def test_gan_learns_the_condition(monkeypatch):
    pytest.importorskip("torch")
    from kldiv_attack._studies import table_1_gan

    monkeypatch.setattr(table_1_gan, "STEPS", 400)
    rng = np.random.default_rng(0)
    aux = rng.standard_normal((2, 500, 2))
    answers = (aux[:, :, 0] > 0).astype(int)
    made = table_1_gan.gan_reconstructions(aux, answers, n=300, seed=0)
    again = table_1_gan.gan_reconstructions(aux, answers, n=300, seed=0)
    for one, same in zip(made, again, strict=True):
        assert one.shape == (300, 2)
        np.testing.assert_array_equal(one, same)
        assert (one[:, 0] < 0).mean() > 0.9
        assert abs(one[:, 1].mean()) < 0.4


@pytest.mark.statistical
@pytest.mark.slow
def test_rows_reading_gives_the_published_pattern_for_both_attackers(tmp_path):
    pytest.importorskip("torch")
    run_table_1(tmp_path, corrections=[None])
    for attacker in LEVELS:
        found = verdicts(tmp_path, attacker, MAIN_READING)
        assert found.shape == (5, 6)
        assert (found == PRINTED).all()
