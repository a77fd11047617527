"""Victim and judge: training, counted queries, files, answers of a user's model."""

import copy
import json
import sys

import numpy as np
import pytest
import torch

from kldiv_attack import load_dataset
from kldiv_attack._classifier_training import random_affine, train_judge, train_victim
from kldiv_attack._files import RunError
from kldiv_attack.judge import Judge, check_judge
from kldiv_attack.victim import QueryBudgetExceeded, Victim, check_answers


@pytest.fixture(scope="module")
def train():
    return load_dataset("digits", part="train")


@pytest.fixture(scope="module")
def test():
    return load_dataset("digits", part="test")


@pytest.fixture(scope="module")
def trained(train):
    return train_victim(train, epochs=8, batch_size=64)


@pytest.fixture
def victim(trained):
    """The same network with a fresh counter."""
    return Victim(trained.network, trained.class_names, trained.image_shape)


@pytest.fixture(scope="module")
def judge(train):
    return train_judge(train, epochs=10, batch_size=64)


def test_quality_on_held_out_digits(trained, judge, test):
    assert trained.accuracy(test) > 0.94
    assert judge.accuracy(test) > 0.94


def test_same_seed_same_network(train):
    few = train.subset(slice(0, 200))
    first, again, other = (
        train_victim(few, epochs=1, random_state=seed).query(few.images)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_training_leaves_the_global_random_state_alone(train):
    before = torch.get_rng_state()
    train_judge(train.subset(slice(0, 64)), epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_answers_are_probabilities_and_counted(victim, test):
    answers = victim.query(test.images[:70])
    assert answers.dtype == np.float32
    assert answers.shape == (70, 10)
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(victim(test.images[:30]), answers[:30])
    assert victim.n_queries == 100
    victim.accuracy(test)
    assert victim.n_queries == 100


def test_answers_do_not_depend_on_the_batch(victim, test):
    whole = victim.query(test.images[:40])
    single = np.concatenate([victim.query(image[None]) for image in test.images[:40]])
    np.testing.assert_allclose(whole, single, atol=1e-5)


def test_labels_only(victim, trained, test):
    quiet = Victim(trained.network, trained.class_names, answers="labels")
    answers = quiet.query(test.images[:20])
    assert answers.dtype == np.int64
    np.testing.assert_array_equal(answers, victim.query(test.images[:20]).argmax(1))
    with pytest.raises(ValueError, match="answers"):
        Victim(trained.network, trained.class_names, answers="logits")


def test_budget_stops_before_answering(trained, test):
    victim = Victim(trained.network, trained.class_names, budget=50)
    victim.query(test.images[:40])
    with pytest.raises(QueryBudgetExceeded, match=r"11 images after 40.*50"):
        victim.query(test.images[:11])
    assert victim.n_queries == 40
    assert len(victim.query(test.images[:10])) == 10


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 1, 9, 8)), r"\(1, 8, 8\)"),
        (np.zeros((2, 64)), "shape"),
        (np.full((2, 1, 8, 8), np.inf), "NaN or infinity"),
        (np.full((2, 1, 8, 8), 16.0), "Divide 8-bit"),
    ],
)
def test_bad_images_are_refused_and_not_counted(victim, images, message):
    with pytest.raises(ValueError, match=message):
        victim.query(images)
    assert victim.n_queries == 0


def test_frozen_puts_everything_back(trained):
    network = trained.network
    network.train()
    network.head.weight.requires_grad_(True)
    with trained.frozen() as inside:
        assert not inside.training
        assert not any(p.requires_grad for p in inside.parameters())
    with pytest.raises(KeyboardInterrupt), trained.frozen():
        raise KeyboardInterrupt
    assert network.training
    assert network.body.training
    assert network.head.weight.requires_grad
    assert not network.head.bias.requires_grad
    network.eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["victim", "judge"])
def test_save_and_load(kind, trained, judge, test, tmp_path):
    model = trained if kind == "victim" else judge
    model.save(tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    loaded = type(model).load(tmp_path / "model.safetensors")
    assert loaded.class_names == model.class_names
    assert loaded.image_shape == model.image_shape
    images = test.images[:50]
    np.testing.assert_array_equal(
        loaded._probabilities(images), model._probabilities(images)
    )
    loaded.save(tmp_path / "again.safetensors")
    assert type(model).load(tmp_path / "again.safetensors").n_classes == 10


def test_load_refuses_damaged_and_foreign_files(trained, tmp_path):
    path = tmp_path / "victim.safetensors"
    trained.save(path)
    with pytest.raises(ValueError, match="expected a judge"):
        Judge.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        Victim.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="damaged"):
        Victim.load(path)


def test_load_refuses_another_version(tmp_path):
    from safetensors.torch import save_file

    header = {"kldiv": json.dumps({"format": 99, "kind": "victim"})}
    save_file({"a": torch.zeros(1)}, tmp_path / "v.safetensors", metadata=header)
    with pytest.raises(ValueError, match="format 99"):
        Victim.load(tmp_path / "v.safetensors")


def test_full_disk_keeps_the_old_file(trained, tmp_path, monkeypatch):
    path = tmp_path / "victim.safetensors"
    trained.save(path)
    good = path.read_bytes()

    def fail(number):
        del number
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(RunError, match="No space left"):
        trained.save(path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["victim.safetensors"]


def test_judge_predictions_and_features(judge, test):
    images = test.images[:60]
    probabilities = judge.probabilities(images)
    np.testing.assert_array_equal(judge.predict(images), probabilities.argmax(1))
    features = judge.features(images)
    assert features.dtype == np.float32
    assert features.shape == (60, 64)
    assert judge.features(images[:0]).shape == (0, 64)


def test_a_judge_that_is_the_victim_is_refused(trained, judge):
    check_judge(judge, trained)
    with pytest.raises(ValueError, match="judge is the victim"):
        check_judge(Judge(trained.network, trained.class_names), trained)
    twin = copy.deepcopy(trained.network)
    with pytest.raises(ValueError, match="judge is the victim"):
        check_judge(Judge(twin, trained.class_names), trained)
    own = Victim.from_callable(judge.probabilities, 10)
    with pytest.raises(ValueError, match="judge is the victim"):
        check_judge(judge, own)


def test_own_model_is_asked_in_batches_and_checked(test):
    seen = []

    def model(images):
        seen.append(images)
        return np.full((len(images), 4), 0.25)

    victim = Victim.from_callable(model, 4, class_names=list("abcd"))
    images = np.repeat(test.images, 2, axis=0)
    answers = victim.query(images)
    assert answers.shape == (len(images), 4)
    assert sum(map(len, seen)) == len(images) == victim.n_queries
    assert seen[0].dtype == np.float32
    assert not victim.has_gradients
    with pytest.raises(ValueError, match="your own format"):
        victim.save("nowhere")


@pytest.mark.parametrize(
    ("answers", "kind", "message"),
    [
        (np.full((3, 2), 0.5), "probabilities", r"\(3, 4\), got \(3, 2\)"),
        (np.full((2, 4), 0.25), "probabilities", r"got \(2, 4\)"),
        (np.full((3, 4), 0.3), "probabilities", "sum to one"),
        (np.eye(4)[:3] * 5 - 1, "probabilities", "softmax"),
        (np.full((3, 4), np.nan), "probabilities", "3 of 3 answers"),
        (np.array([0, 1, 4]), "labels", "0 to 3"),
        (np.array([0.0, 1.0, 2.0]), "labels", "float64"),
        (np.full((3, 4), 0.25), "labels", r"\(3,\)"),
    ],
)
def test_bad_answers_of_an_own_model(answers, kind, message):
    with pytest.raises(ValueError, match=message):
        check_answers(answers, 3, 4, kind)
    victim = Victim.from_callable(lambda _: answers, 4, answers=kind)
    with pytest.raises(ValueError, match=message):
        victim.query(np.zeros((3, 1, 8, 8)))
    assert victim.n_queries == 0


def test_own_model_with_labels(train):
    victim = Victim.from_callable(
        lambda images: torch.arange(len(images)) % 3, 3, answers="labels"
    )
    np.testing.assert_array_equal(victim.query(train.images[:4]), [0, 1, 2, 0])
    with pytest.raises(ValueError, match="3 names, got 2"):
        Victim.from_callable(lambda images: images, 3, class_names=("a", "b"))


@pytest.mark.parametrize("trainer", [train_victim, train_judge])
def test_bad_training_data(trainer, train):
    with pytest.raises(ValueError, match="epochs=0"):
        trainer(train, epochs=0)
    with pytest.raises(ValueError, match="got 1 images"):
        trainer(train.subset([0]))
    small = load_dataset("glyphs", size=6, n_per_class=2)
    with pytest.raises(ValueError, match="6 x 6"):
        trainer(small)


def test_accuracy_of_nothing(trained, train):
    with pytest.raises(ValueError, match="no image"):
        trained.accuracy(train.subset([]))


def test_random_affine_keeps_the_image_at_strength_zero():
    images = torch.rand(4, 1, 8, 8)
    source = torch.Generator().manual_seed(0)
    torch.testing.assert_close(random_affine(images, 0.0, source), images)
    assert float((random_affine(images, 1.0, source) - images).abs().max()) > 0.1


def test_progress_bar_and_validation_log(train, test, capsys, caplog, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    few = train.subset(slice(0, 128))
    with caplog.at_level("INFO"):
        train_victim(few, epochs=2, val=test, verbose=1)
    assert "train victim" in capsys.readouterr().err
    assert [r.message for r in caplog.records if "epoch 1" in r.message]
    train_victim(few, epochs=1)
    assert capsys.readouterr() == ("", "")
