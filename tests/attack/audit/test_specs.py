"""Victims of every kind answer alike; what cannot be audited says why."""

import pickle
import re
import warnings
import zipfile

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from kldiv import ConditionalKLScorer
from kldiv_attack import Victim, load_dataset, train_victim
from kldiv_attack.audit.loading import load_model
from kldiv_attack.audit.samples import Sample
from kldiv_attack.audit.specs import VictimError

NAMES = ("0", "1", "2")
MODULE = """
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

X = np.random.default_rng(0).normal(size=(60, 4))
estimator = LogisticRegression().fit(X, np.arange(60) % 3)
network = torch.nn.Linear(4, 3)
def probabilities(rows):
    return estimator.predict_proba(rows)
def labels(rows):
    return estimator.predict(rows)
def make():
    return estimator
class Network(torch.nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
class Holder:
    inside = estimator
"""


@pytest.fixture
def table():
    rows = np.random.default_rng(1).normal(size=(7, 4))
    return Sample(rows, None, (), "seven rows")


@pytest.fixture
def fitted(table):
    rng = np.random.default_rng(2)
    return LogisticRegression().fit(rng.normal(size=(60, 4)), np.arange(60) % 3)


def load(spec, **options):
    return load_model(spec, class_names=NAMES, device="cpu", **options)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("estimator", "LogisticRegression"),
        ("probabilities", "function"),
        ("labels", "function"),
        ("make()", "LogisticRegression"),
        ("Holder.inside", "LogisticRegression"),
    ],
)
def test_names_of_modules_and_files(module, table, name, kind):
    written = module(MODULE)
    found = [load(f"{where}:{name}") for where in (written, f"{written}.py")]
    assert [model.kind for model in found] == [kind, kind]
    first, second = (model.answer(table) for model in found)
    assert first.labels.tolist() == second.labels.tolist()
    assert (first.probabilities is None) == (name == "labels")


def test_networks_give_probabilities_whatever_they_return(module, table):
    written = module(MODULE)
    torch.manual_seed(0)
    model = load(f"{written}:network")
    answers = model.answer(table)
    assert model.kind == "torch module"
    assert model.network is not None
    np.testing.assert_allclose(answers.probabilities.sum(1), 1)
    done = load(nn.Sequential(model.network, nn.Softmax(1)))
    np.testing.assert_allclose(
        done.answer(table).probabilities, answers.probabilities, atol=1e-6
    )


def test_a_network_is_asked_in_evaluation_mode(table):
    network = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 3)).train()
    model = load(network)
    first, second = (model.answer(table).probabilities for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_estimators_take_images_as_rows(fitted):
    images = np.random.default_rng(0).random((5, 1, 2, 2)).astype(np.float32)
    assert len(load(fitted).answer(Sample(images, None, (), "images"))) == 5


def test_a_saved_victim_and_weights_with_their_class(module, table, tmp_path):
    from safetensors.torch import save_file

    written = module(MODULE)
    network = nn.Linear(4, 3)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    model = load(f"{tmp_path / 'w.safetensors'}@{written}:Network")
    np.testing.assert_allclose(
        model.answer(table).probabilities,
        load(network).answer(table).probabilities,
        atol=1e-6,
    )
    with pytest.raises(VictimError, match="name its class"):
        load(tmp_path / "w.safetensors")
    save_file({"other": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(VictimError, match="do not fit"):
        load(f"{tmp_path / 'w.safetensors'}@{written}:Network")
    digits = load_dataset("digits", part="train")
    train_victim(digits, epochs=1).save(tmp_path / "v.safetensors")
    found = load_model(
        tmp_path / "v.safetensors", class_names=digits.class_names, device="cpu"
    )
    assert found.answer(Sample(digits.images[:4], None, (), "digits")).labels.shape == (
        4,
    )
    assert found.network is not None


def test_a_victim_object(table):
    def answer(images):
        return np.tile([0.2, 0.3, 0.5], (len(images), 1))

    victim = Victim.from_callable(answer, 3)
    found = load(victim).answer(Sample(np.zeros((2, 1, 8, 8)), None, (), "two"))
    assert found.labels.tolist() == [2, 2]


@pytest.mark.parametrize("how", ["export", "script"])
@pytest.mark.filterwarnings("ignore:.*jit:FutureWarning", "ignore::DeprecationWarning")
def test_torch_files_are_labelled_as_code(table, tmp_path, how):
    network = nn.Linear(4, 3).eval()
    if how == "export":
        path = tmp_path / "m.pt2"
        size = torch.export.Dim("n", min=1, max=10000)
        program = torch.export.export(
            network, (torch.zeros(2, 4),), dynamic_shapes=({0: size},)
        )
        torch.export.save(program, path)
    else:
        path = tmp_path / "m.pt"
        torch.jit.script(network).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load(path)
    assert "runs the code" in model.caution
    np.testing.assert_allclose(
        model.answer(table).probabilities,
        load(network).answer(table).probabilities,
        atol=1e-6,
    )


@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".ts"])
def test_damaged_torch_files_are_one_error_and_no_log(tmp_path, suffix, capfd):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"no network")
    with pytest.raises(VictimError, match="could not be read"):
        load(path)
    assert capfd.readouterr() == ("", "")


def test_onnx(table, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["logits"])]
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "linear",
        [value("x", kind, ["n", 4])],
        [value("logits", kind, ["n", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9),
        tmp_path / "m.onnx",
    )
    model = load(tmp_path / "m.onnx")
    assert model.kind == "ONNX"
    expected = (table.rows.astype(np.float32) @ weights).argmax(1)
    assert model.answer(table).labels.tolist() == expected.tolist()
    with pytest.raises(VictimError, match="for rows of shape"):
        model.answer(Sample(np.zeros((2, 5)), None, (), "too wide"))
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(VictimError, match="could not be read"):
        load(tmp_path / "bad.onnx")


def test_skops(table, tmp_path, fitted):
    skops = pytest.importorskip("skops.io")
    skops.dump(fitted, tmp_path / "m.skops")
    model = load(tmp_path / "m.skops")
    np.testing.assert_array_equal(
        model.answer(table).probabilities, load(fitted).answer(table).probabilities
    )
    (tmp_path / "bad.skops").write_bytes(b"no archive")
    with pytest.raises(VictimError, match="could not be read"):
        load(tmp_path / "bad.skops")


class Stranger(LogisticRegression):
    """A type that skops does not know."""


def test_types_that_skops_does_not_trust_are_named(tmp_path):
    skops = pytest.importorskip("skops.io")
    model = Stranger().fit(np.arange(6.0)[:, None], [0, 1, 2] * 2)
    skops.dump(model, tmp_path / "m.skops")
    with pytest.raises(VictimError, match="does not trust: .*Stranger"):
        load(tmp_path / "m.skops")


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy", "npz", "labels"])
def test_a_table_of_answers(tmp_path, kind):
    import pandas as pd

    answers = np.array([[0.2, 0.8, 0.0], [0.1, 0.2, 0.7]])
    path = tmp_path / f"answers.{'csv' if kind == 'labels' else kind}"
    if kind in ("csv", "parquet"):
        frame = pd.DataFrame(answers[:, [2, 0, 1]], columns=["2", "0", "1"])
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    elif kind == "labels":
        pd.DataFrame({"answer": [1, 2]}).to_csv(path, index=False)
    elif kind == "npy":
        np.save(path, answers)
    else:
        np.savez(path, answers=answers)
    from kldiv_attack.audit.asking import answers_of_table

    model = load(path)
    assert model.ask is None
    found = answers_of_table(model, slice(None), 2)
    assert found.labels.tolist() == [1, 2]
    with pytest.raises(VictimError, match="only its answers are known"):
        model.answer(Sample(np.zeros((2, 3)), None, (), "rows"))


def boom():
    raise RuntimeError("this must never run")


class Bomb:
    def __reduce__(self):
        return boom, ()


@pytest.mark.parametrize(
    "name", ["m.pkl", "m.joblib", "m.pth", "m.pt", "model", "m.onnx"]
)
def test_pickles_are_refused_and_not_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(VictimError, match="is a pickle.*skops"):
        load(path)


def test_archives_of_torch_save_are_pickles(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "m.pt")
    assert zipfile.is_zipfile(tmp_path / "m.pt")
    with pytest.raises(VictimError, match="is a pickle"):
        load(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere", "no file and not of the form"),
        ("no_such_module:x", "ModuleNotFoundError"),
        ("math:nothing", "AttributeError"),
        ("math:pi", "is a float; expected an estimator"),
        ("sklearn.svm:SVC", "is a class; name an object"),
        ("missing.py:x", "FileNotFoundError"),
    ],
)
def test_names_that_are_no_victim(spec, message):
    with pytest.raises(VictimError, match=message):
        load(spec)


@pytest.mark.parametrize("path", ["missing.onnx", "missing.csv", "missing.pkl"])
def test_missing_files(path):
    with pytest.raises(FileNotFoundError, match="not found"):
        load(path)


def test_what_a_model_raises_is_said_in_one_line(table):
    def broken(rows):
        raise KeyError("two\nlines")

    with pytest.raises(VictimError) as caught:
        load(broken).answer(table)
    assert "KeyError" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_advice_for_a_torch_module_works(rng):
    labels = np.arange(200) % 2
    rows, aux = rng.normal(size=(2, 200, 3))
    module = torch.nn.Linear(3, 2)
    with pytest.raises(TypeError, match="takes tensors and may") as caught:
        ConditionalKLScorer(victim=module).fit((rows, labels), aux)
    advice = re.search(r"lambda rows: .*\.numpy\(\)", str(caught.value))[0]
    victim = eval(advice, {"module": module.eval(), "torch": torch})
    scores = ConditionalKLScorer(victim=victim).fit((rows, labels), aux)
    assert np.isfinite(scores.score_per_class()).all()
