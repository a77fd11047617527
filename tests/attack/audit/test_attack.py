"""Attacks inside an audit: beside controls, and never by gradients alone."""

import sys

import pytest

from kldiv_attack import AuditReport, audit, load_dataset, train_victim
from kldiv_attack.__main__ import main
from kldiv_attack._run_folder import RunRecorder
from tests.attack.conftest import three_digits

pytestmark = pytest.mark.usefixtures("plain_scores")
QUICK = {"steps": 12, "surrogate_steps": 10, "n_generated": 20, "min_responses": 1}


@pytest.fixture(scope="module")
def images():
    return load_dataset("digits", part="test")


@pytest.fixture(scope="module")
def few():
    """A victim of three digits, and they: for what stops, goes on or is refused."""
    train = three_digits("train", 120)
    victim = train_victim(train, epochs=4, batch_size=64)
    return {"net": victim}, train, three_digits("test", 120)


@pytest.fixture
def attacked(few, tmp_path):
    def run(attack, parameters, **options):
        return audit(
            *few, tmp_path / "out", attack=attack,
            attack_parameters=parameters, device="cpu", **options,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def of_labels(trained, private, images, tmp_path_factory):
    """A report with an attack by labels alone, and a gate on what it reaches."""
    return audit(
        {"net": trained}, private, images, tmp_path_factory.mktemp("labels") / "out",
        attack="label_only", attack_parameters=QUICK, device="cpu",
        fail_above="attack_accuracy=0.0",
    )  # fmt: skip


def test_an_attack_is_shown_beside_both_controls(of_labels):
    report = of_labels
    (outcome,) = report.attacks
    assert (outcome.attack, outcome.access, outcome.name) == (
        "label_only",
        "labels",
        "net",
    )
    assert list(outcome.tables) == ["attack", "random", "confident"]
    assert outcome.queries == 899 + 8 + 20  # 8 images are asked about twice
    surest = outcome.tables["confident"].columns["accuracy"]
    assert sum(surest) / 10 > 0.8
    (picture,) = report.pictures
    page = report.to_html()
    assert picture.png in page
    assert "reconstructions" in picture.alt
    assert AuditReport.from_json(report.to_json()) == report


def test_defences_are_attacked_without_gradients_too(attacked, monkeypatch):
    quick = dict(QUICK)
    monkeypatch.setattr("kldiv_attack.audit.stages.accepted", lambda *_: quick)
    report = attacked("mi_face", {"steps": 5}, defences=["label_only"])
    assert [(o.name, o.attack) for o in report.attacks] == [
        ("net", "mi_face"),
        ("net", "label_only"),
        ("net + label_only", "label_only"),
    ]
    page = report.to_html()
    assert "Change of attack success, mean over classes" in page
    assert "label_only on net + label_only, digits/test: change of accuracy" in page


def test_the_gate_sees_the_attack(of_labels):
    report = of_labels
    assert report.exit_code == 1
    assert {c.metric for c in report.gate.checks} == {"attack_accuracy"}
    assert len(report.gate.checks) == 10


def test_gradients_of_a_function_are_refused(tmp_path, private, images):
    with pytest.raises(ValueError, match="follows gradients, but function"):
        audit(
            lambda rows: rows.reshape(len(rows), -1).argmax(1) % 10,
            private, images, tmp_path / "o", attack="mi_face",
        )  # fmt: skip
    assert not (tmp_path / "o").exists()


def test_the_command_attacks_a_model_of_the_users(tmp_path, module, capsys):
    name = module(
        "def f(images):\n    return images.reshape(len(images), -1).argmax(1) % 10\n"
    )
    words = [
        "attack", "--victim", f"{name}:f", "--train", "digits:train", "--aux",
        "digits:test", "--attacker", "label_only", "--out", str(tmp_path / "o"),
        "--quiet",
    ]  # fmt: skip
    for key, value in QUICK.items():
        words += ["--set", f"{key}={value}"]
    assert main(words) == 0
    report = AuditReport.from_json(tmp_path / "o" / "report.json")
    assert [o.attack for o in report.attacks] == ["label_only"]
    assert load_dataset("digits", part="train").class_names == tuple(report.classes)


def test_an_interrupted_attack_goes_on_with_the_same_command(tmp_path, module, capsys):
    name = module(
        "asked = []\n"
        "def f(images):\n"
        "    asked.append(len(images))\n"
        "    if len(images) == 898:\n"
        "        raise KeyboardInterrupt\n"
        "    return images.reshape(len(images), -1).argmax(1) % 10\n"
    )
    words = [
        "attack", "--victim", f"{name}:f", "--train", "digits:train", "--aux",
        "digits:test", "--out", str(tmp_path / "o"), "--quiet",
    ]  # fmt: skip
    assert main(words) == 130
    assert "the same command goes on" in capsys.readouterr().err
    asked = sys.modules[name].asked
    assert asked == [2, 899, 898]  # a probe, auxiliary rows, training rows
    assert main(words) == 130
    assert asked[3:] == [2, 898]
    assert main([*words, "--restart"]) == 130
    assert asked[5:] == [2, 899, 898]
    (tmp_path / "o" / "report.json").touch()  # what is finished is begun anew
    assert main(words) == 130
    assert asked[8:] == [2, 899, 898]


GAN = {"steps": 9, "width": 4, "batch_size": 8, "candidates": 1, "min_responses": 1}


def test_an_attack_goes_on_from_its_checkpoint(attacked, tmp_path, monkeypatch):
    """Killed in the middle of the attack: the same report as without."""
    monkeypatch.setattr("kldiv_attack.audit.attack_folder._STEPS_BETWEEN", 3)
    options = {"defences": ["rounding:1"], "random_state": 4}
    whole = attacked("cgan", GAN, **options)

    saves = []
    save = RunRecorder.save

    def until_killed(self, step, tensors, extra):
        save(self, step, tensors, extra)
        saves.append(step)
        if len(saves) == 5:  # in the second attack
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "save", until_killed)
    with pytest.raises(KeyboardInterrupt):
        attacked("cgan", GAN, restart=True, **options)
    assert saves == [3, 6, 9, 3, 6]
    again = attacked("cgan", GAN, resume=True, **options)
    assert saves == [3, 6, 9, 3, 6, 9]  # the first attack is not run again
    for name in ("attacks", "attack_changes", "pictures", "tables"):
        assert getattr(again, name) == getattr(whole, name), name
    # other parameters are another attack
    attacked("cgan", {**GAN, "steps": 3}, resume=True, **options)
    assert saves[6:] == [3, 3]


def test_damaged_reconstructions_are_told(attacked, tmp_path):
    attacked("label_only", QUICK)
    (made,) = (tmp_path / "out" / "attacks").glob("*/reconstructions.npz")
    made.write_bytes(made.read_bytes()[:100])
    with pytest.raises(RuntimeError, match=r"reconstructions.npz is damaged"):
        attacked("label_only", QUICK, resume=True)
    attacked("label_only", QUICK, restart=True)
