"""One run is one folder: complete, resumable, and never lost."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kldiv import PerClassReport
from kldiv_attack import _run_folder
from kldiv_attack._files import RunError, write_atomic
from kldiv_attack._run import load_run
from kldiv_attack._run_folder import RunRecorder, open_run
from kldiv_attack.datasets import LabelledImages, load_dataset
from kldiv_attack.experiment import run_experiment
from tests.attack.conftest import QUICK_VICTIM, STEPS

pytestmark = pytest.mark.usefixtures("brief")


@pytest.fixture
def start(quick, quick_models, tmp_path):
    """Run the quick experiment, with changes, in a folder of this test."""

    def run(folder="run", *, models=quick_models, restart=False, **changes):
        settings = {**quick, **changes}
        return run_experiment(
            settings, tmp_path / folder, models=models, restart=restart, verbose=0
        )

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a finished run, to be copied."""
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture
def done(finished, start, tmp_path):
    """A finished run in the folder "run" of this test."""
    if not (finished / "results.json").exists():
        start()
        shutil.copytree(tmp_path / "run", finished)
        return tmp_path / "run"
    return shutil.copytree(finished, tmp_path / "run")


class Stop(Exception):
    """Ends an attack in the middle."""


@pytest.fixture
def stop_at(monkeypatch):
    """Make the attack fail when it logs a step."""

    def arrange(step, error=KeyboardInterrupt):
        original = RunRecorder.log

        def log(self, at, **values):
            if at >= step:
                raise error
            original(self, at, **values)

        monkeypatch.setattr(RunRecorder, "log", log)
        return lambda: monkeypatch.setattr(RunRecorder, "log", original)

    return arrange


def outcome(folder):
    """All numbers of a run but the time it took."""
    results = json.loads((folder / "results.json").read_text())
    del results["seconds"]
    for report in results["indicators"].values():
        report["settings"].pop("seconds", None)
    return results, (folder / "metrics.jsonl").read_text()


def test_a_run_folder_is_complete(done):
    for name in (
        "config.json",
        "indicator.json",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "images.safetensors",
        "results.json",
        "report.md",
        "report.html",
    ):
        assert (done / name).stat().st_size > 0, name
    assert list((done / "samples").glob("step_*.png"))
    assert not list(done.rglob("*.tmp"))


def test_the_configuration_spells_out_every_value(done):
    stored = json.loads((done / "config.json").read_text())
    config = stored["config"]
    assert stored["format_version"] == 1
    assert stored["code_version"]
    assert config["seed"] == 3
    assert set(config["seeds"]) == {"victim", "judge", "attacker", "evaluate"}
    assert config["victim"]["epochs"] == 3
    assert len(config["attacker"]) > 3, "defaults of the attacker are written out"
    assert config["indicator"][0]["correction"] is None
    assert config["evaluate"]["max_rows"] == 500
    assert len(config["train"]["sha256"]) == 64


def test_a_run_is_read_from_its_folder_alone(done):
    run = load_run(done)
    assert run.class_names == list("0123456789")
    for report in (run.success, run.indicator, *run.controls.values()):
        assert isinstance(report, PerClassReport)
        assert len(report.classes) == 10
    assert set(run.controls) == {"random", "confident"}
    assert run.facts["n_aux"] == 26 * 30
    assert sum(run.facts["answered"]) == 26 * 30
    assert run.facts["n_queries"] >= 26 * 30
    assert 0.5 < run.facts["victim_accuracy"] <= 1
    images = run.images("reconstructions")
    made = [c for c in range(10) if images[c] is not None]
    assert made == [c for c in range(10) if str(c) not in run.success.reasons]
    assert made == [c for c in range(10) if run.facts["answered"][c] >= 20]
    assert images[made[0]].shape == (20, 1, 8, 8)
    assert run.indicator["n_aux"].tolist() == run.facts["answered"]


def test_the_report_shows_every_class_and_says_what_is_missing(done):
    run = load_run(done)
    text = (done / "report.md").read_text()
    page = (done / "report.html").read_text()
    for i, name in enumerate(run.class_names):
        kl = run.indicator["kl"][i]
        cell = "-" if np.isnan(kl) else f"{kl:.2f}"
        assert any(
            [c.strip() for c in line.split("|")[1:4]][::2] == [name, cell]
            for line in text.splitlines()
        )
    for why in run.indicator.reasons.values():
        assert why in text
    assert page.count("data:image/png;base64,") >= 4
    assert page.count("alt=") == page.count("<img")
    assert "http" not in page.replace("http-equiv", "")


def test_one_seed_gives_one_result(done, start, tmp_path):
    start("again")
    assert outcome(done) == outcome(tmp_path / "again")
    start("other", seed=4, models=tmp_path / "models4")
    assert outcome(done) != outcome(tmp_path / "other")


def test_a_finished_run_is_not_computed_again(done, start):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()}
    run = start()
    assert run.folder == done
    assert before == {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()}


@pytest.mark.parametrize("step", [2, 7, STEPS - 1])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    done, start, stop_at, tmp_path, step
):
    release = stop_at(step)
    with pytest.raises(KeyboardInterrupt):
        start("broken")
    assert not (tmp_path / "broken" / "results.json").exists()
    assert (tmp_path / "broken" / "checkpoint.safetensors").exists() == (step >= 4)
    release()

    start("broken")

    assert outcome(tmp_path / "broken") == outcome(done)


def test_a_crash_in_the_middle_of_a_line_is_forgotten(done, start, stop_at, tmp_path):
    release = stop_at(9, Stop)
    with pytest.raises(Stop):
        start("broken")
    with open(tmp_path / "broken" / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "lo')
    release()
    start("broken")
    assert outcome(tmp_path / "broken") == outcome(done)


def test_a_full_disk_keeps_the_last_good_checkpoint(done, start, monkeypatch, tmp_path):
    folder = tmp_path / "full"
    good = {}
    real = os.replace

    def replace(source, target):
        if os.fspath(target).endswith("checkpoint.safetensors"):
            if good:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            good["bytes"] = Path(source).read_bytes()
        real(source, target)

    monkeypatch.setattr(_run_folder.os, "replace", replace)
    with pytest.raises(RunError, match=r"could not be written: No space left"):
        start("full")
    assert (folder / "checkpoint.safetensors").read_bytes() == good["bytes"]
    assert not list(folder.rglob("*.tmp"))
    monkeypatch.setattr(_run_folder.os, "replace", real)

    start("full")

    assert outcome(folder) == outcome(done)


def test_a_disk_that_fills_while_a_file_is_written_leaves_the_old_file(
    tmp_path, monkeypatch
):
    path = tmp_path / "checkpoint.safetensors"
    write_atomic(path, b"good")

    def fsync(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_run_folder.os, "fsync", fsync)
    with pytest.raises(RunError, match="make room and give the same command again"):
        write_atomic(path, b"a longer and better one")
    assert path.read_bytes() == b"good"
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]


def test_a_truncated_checkpoint_is_named_with_a_way_out(done, start, stop_at, tmp_path):
    release = stop_at(6, Stop)
    with pytest.raises(Stop):
        start("cut")
    release()
    path = tmp_path / "cut" / "checkpoint.safetensors"
    data = path.read_bytes()
    for keep in (0, 0.1, 0.5, 0.99):
        path.write_bytes(data[: int(keep * len(data))])
        with pytest.raises(
            RunError, match=r"checkpoint\.safetensors cannot be read.*restart"
        ):
            start("cut")
    start("cut", restart=True)

    assert outcome(tmp_path / "cut") == outcome(done)


def test_a_folder_of_another_format_is_refused(done, start):
    config = json.loads((done / "config.json").read_text())
    config["format_version"] = 99
    (done / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"run format 99, this version reads 1"):
        start()
    with pytest.raises(RunError, match=r"run format 99"):
        load_run(done)
    run = start(restart=True)
    assert run.facts["n_aux"] == 780


def test_an_unfinished_run_of_another_version_is_refused(start, stop_at, tmp_path):
    release = stop_at(6, Stop)
    with pytest.raises(Stop):
        start()
    release()
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "code_version": "0.0.1"}))
    with pytest.raises(RunError, match=r"unfinished run of kldiv 0\.0\.1"):
        start()


@pytest.mark.usefixtures("done")
def test_other_settings_in_the_same_folder_are_refused(start, quick):
    with pytest.raises(RunError, match=r"seed is 3 in the folder and 5 in this call"):
        start(seed=5)
    with pytest.raises(RunError, match=r"n_reconstructions is 20 in the folder"):
        start(evaluate={"n_reconstructions": 30})
    with pytest.raises(RunError, match=r"aux\.sha256"):
        start(aux={**quick["aux"], "random_state": 1})


def test_a_folder_with_other_files_is_refused(start, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("do not lose this")
    for restart in (False, True):
        with pytest.raises(RunError, match=r"holds thesis\.tex but no run"):
            start(restart=restart)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "do not lose this"


@pytest.mark.usefixtures("done")
def test_models_of_another_victim_are_refused(start):
    with pytest.raises(RunError, match=r"victim and a judge with another .*victim"):
        start("new", victim={"epochs": 5, "batch_size": 32})


def test_unknown_settings_are_named(start):
    with pytest.raises(ValueError, match=r"config has no setting steps"):
        start(steps=3)
    with pytest.raises(ValueError, match=r"evaluate has no setting k; it accepts"):
        start(evaluate={"k": 3})
    with pytest.raises(ValueError, match=r"features='pca': expected 'pixels'"):
        start(indicator=[{"features": "pca"}])
    with pytest.raises(ValueError, match=r"indicator: expected at least one"):
        start(indicator=[])


def test_data_that_do_not_fit_are_found_before_anything_is_written(start, tmp_path):
    with pytest.raises(ValueError, match=r"needs images of the victim's shape"):
        start(aux={"name": "glyphs", "size": 12})
    assert not (tmp_path / "run").exists()


def test_rows_shared_with_the_private_images_stop_the_run_before_the_attack(
    start, tmp_path
):
    with pytest.raises(ValueError, match=r"shared|both"):
        start(aux={"name": "digits", "part": "train"})
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_class_that_the_victim_never_answers_is_a_reason(start):
    digits = load_dataset("digits", part="test")
    aux = digits.subset(digits.labels == 1)
    run = start(aux=aux)
    answered = np.array(run.facts["answered"])
    missing = np.flatnonzero(answered == 0)
    assert len(missing), "the test needs a class without an answer"
    for c in missing:
        assert np.isnan(run.indicator["kl"][c])
        assert "no auxiliary row" in run.indicator.reasons[str(c)]
        assert np.isnan(run.success["accuracy"][c])
        assert run.success.reasons[str(c)]
        assert str(c) in (run.folder / "report.md").read_text()


def test_a_small_budget_is_spent_and_said(start):
    run = start(victim={**QUICK_VICTIM, "budget": 300})
    assert run.facts["n_queries"] == 300
    assert run.facts["budget_exhausted"]
    assert "The budget ended" in (run.folder / "report.md").read_text()


def test_a_budget_of_nothing_stops_the_attack(start, tmp_path):
    with pytest.raises(RuntimeError, match=r"budget is spent before the first query"):
        start(victim={**QUICK_VICTIM, "budget": 0})
    assert (tmp_path / "run" / "indicator.json").exists()
    assert not (tmp_path / "run" / "results.json").exists()


def test_images_in_memory_are_a_dataset_too(start, rng):
    images = rng.uniform(size=(600, 1, 8, 8)).astype(np.float32)
    aux = LabelledImages(images, np.zeros(600, dtype=int), ("noise",), "noise")
    run = start(aux=aux)
    assert run.facts["aux"] == "noise"
    assert run.config["aux"]["rows"] == 600


def test_several_features_are_scored_beside_each_other(start):
    entries = [
        {"features": "pca4", "n_neighbors": 3},
        {"features": "judge4"},
        {"features": "pixels", "max_rows": 40},
    ]
    run = start(indicator=entries)
    assert list(run.indicators) == ["PCA 4, k=3", "judge PCA 4, k=1", "pixels, k=1"]
    assert run.indicator["n_train"].max() > 40
    assert run.indicators["pixels, k=1"]["n_train"].max() == 40


def test_the_floor_is_near_zero_where_the_divergence_is_not(start):
    run = start(indicator=[{"features": "pca4", "n_neighbors": 5}])
    known = np.isfinite(run.indicator["kl"])
    assert np.abs(run.indicator["floor"][known]).mean() < 0.4
    assert np.mean(run.indicator["kl"][known]) > 1.5


def test_the_recorder_gives_back_what_it_saved(tmp_path):
    recorder = RunRecorder(tmp_path, every=2)
    assert recorder.load() is None
    tensors = {"weights": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}
    for step in range(4):
        recorder.log(step, loss=step / 2)
        recorder.sample(step, np.zeros((2, 3, 1, 4, 4)))
        if step == 2:
            recorder.save(step, tensors, {"history": [1, 2], "text": "ä"})

    step, loaded, extra = recorder.load()

    assert step == 2
    assert extra == {"history": [1, 2], "text": "ä"}
    assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]


def test_opening_a_folder_says_whether_the_run_is_finished(tmp_path):
    assert not open_run(tmp_path / "run", {"seed": 1})
    assert not open_run(tmp_path / "run", {"seed": 1})
    (tmp_path / "run" / "results.json").write_text("{}")
    assert open_run(tmp_path / "run", {"seed": 1})
    (tmp_path / "run" / "config.json").write_text('{"format')
    with pytest.raises(RunError, match=r"config\.json is not readable JSON"):
        open_run(tmp_path / "run", {"seed": 1})


def test_attackers_that_search_are_shown_beside_where_they_began(
    quick, quick_models, tmp_path
):
    quick["attacker"] = {"name": "gmi", "steps": 4, "iterations": 2, "restarts": 1}
    run = run_experiment(quick, tmp_path / "run", models=quick_models, verbose=0)
    assert list(run.controls) == ["random", "confident", "prior"]
    assert run.facts["n_queries"] == 0
    assert run.facts["n_gradients"] == 10 * 20 * 2  # labels, images, iterations
    text = (tmp_path / "run" / "report.md").read_text()
    assert "prior: the same of generated images" in text
    assert "gradient for: 400." in text
    header = next(
        line for line in text.splitlines() if "confident" in line and "|" in line
    )
    assert header.split("|")[-2].strip() == "prior"
