"""Files of noise, and whole files with a few bytes changed, in every reader."""

import io
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from kldiv_attack._files import RunError
from kldiv_attack._run import load_run
from kldiv_attack._run_folder import RunRecorder, open_run
from kldiv_attack.audit.paths import read_sample
from kldiv_attack.datasets import load_folder
from tests.fuzz.tiers import fuzzed, refusal

SETTINGS = {"seed": 1, "nested": {"a": [1, 2.5, "x"]}}


def image(suffix):
    from PIL import Image

    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    picture.save(stream, format=suffix)
    return stream.getvalue()


def arrays():
    stream = io.BytesIO()
    np.savez(stream, X=np.arange(24.0).reshape(8, 3), y=np.arange(8) % 2)
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.column_stack([np.arange(24.0).reshape(8, 3), np.arange(8) % 2]))
    return stream.getvalue()


TABLE = b"a,b,label\n" + b"".join(b"%d,%d.5,%d\n" % (i, i, i % 2) for i in range(8))
WHOLE = {
    "png": image("PNG"),
    "gif": image("GIF"),
    "bmp": image("BMP"),
    "tiff": image("TIFF"),
    "npz": arrays(),
    "npy": array(),
    "csv": TABLE,
}


@st.composite
def damaged(draw, whole):
    """Noise, a part, or the whole with some bytes changed, left out or doubled."""
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.binary(max_size=200))
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["change", "cut", "drop", "double"])):
            case "change":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 8))]
            case "double":
                data[at:at] = data[at : at + 8]
    return bytes(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", sorted(WHOLE))
@fuzzed
@given(data=st.data())
def test_readers_read_or_refuse_by_name(place, kind, data):
    content = data.draw(damaged(WHOLE[kind]))
    pictures = kind in ("png", "gif", "bmp", "tiff")
    folder = place / kind / "a" if pictures else place
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"x.{kind}"
    path.write_bytes(content)

    def read():
        if pictures:
            found = load_folder(place / kind).images
            assert ((found >= 0) & (found <= 1)).all()
        else:
            rows = np.asarray(read_sample(path, role="train").rows, dtype=float)
            assert np.isfinite(rows).all()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = refusal(read, ValueError, TypeError)
    assert error is None or str(error), content


@pytest.mark.parametrize("name", ["config.json", "results.json", "indicator.json"])
@fuzzed
@given(data=st.data())
def test_run_folders_are_read_or_refused(place, name, data):
    folder = place / "run"
    for old in folder.glob("*.json"):
        old.unlink()
    assert not open_run(folder, SETTINGS)
    whole = (folder / "config.json").read_bytes()
    values = st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["facts", "success", "a"]), inner)
        ),
        max_leaves=6,
    )
    content = data.draw(
        damaged(whole) | values.map(lambda value: json.dumps(value).encode())
    )
    (folder / name).write_bytes(content)
    for read in (lambda: open_run(folder, SETTINGS), lambda: load_run(folder)):
        error = refusal(read, RunError)
        assert error is None or str(folder) in str(error)


@fuzzed
@given(data=st.data())
def test_checkpoints_are_read_or_refused(place, data):
    import torch

    recorder = RunRecorder(place / "checkpoints", 1)
    recorder.folder.mkdir(exist_ok=True)
    recorder.metrics.unlink(missing_ok=True)
    recorder.save(1, {"w": torch.arange(6.0)}, {"a": [1]})
    whole = recorder.checkpoint.read_bytes()
    recorder.checkpoint.write_bytes(data.draw(damaged(whole)))
    error = refusal(recorder.load, RunError)
    assert error is None or str(recorder.folder) in str(error)
