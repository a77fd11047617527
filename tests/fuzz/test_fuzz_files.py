"""Files of noise, and whole files with a few bytes changed, in every reader."""

import csv
import io
import json
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("torch")

from kldiv_attack._files import RunError
from kldiv_attack._pages import Heading, Listing, Paragraph, Table, write_pages
from kldiv_attack._run import load_run
from kldiv_attack._run_folder import RunRecorder, open_run
from kldiv_attack.audit.model_files import PICKLES, READERS, TABLES, model_of_file
from kldiv_attack.audit.paths import read_sample
from kldiv_attack.audit.specs import VictimError
from kldiv_attack.datasets import load_folder
from kldiv_attack.networks import NETWORKS
from kldiv_attack.victim import Victim
from tests.fuzz.tiers import fuzzed, refusal
from tests.reports import report_of

SETTINGS = {"seed": 1, "nested": {"a": [1, 2.5, "x"]}}


def image(suffix):
    from PIL import Image

    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    picture.save(stream, format=suffix)
    return stream.getvalue()


def arrays(save):
    stream = io.BytesIO()
    save(stream, X=np.arange(24.0).reshape(8, 3), y=np.arange(8) % 2)
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.column_stack([np.arange(24.0).reshape(8, 3), np.arange(8) % 2]))
    return stream.getvalue()


def parquet():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(np.arange(24.0).reshape(8, 3), columns=["a", "b", "c"])
    return frame.assign(label=np.arange(8) % 2).to_parquet()


TABLE = b"a,b,label\n" + b"".join(b"%d,%d.5,%d\n" % (i, i, i % 2) for i in range(8))
WHOLE = {
    "png": image("PNG"),
    "gif": image("GIF"),
    "bmp": image("BMP"),
    "tiff": image("TIFF"),
    "jpg": image("JPEG"),
    "webp": image("WEBP"),
    "pgm": image("PPM"),
    "npz": arrays(np.savez),
    "packed.npz": arrays(np.savez_compressed),
    "npy": array(),
    "csv": TABLE,
    "parquet": parquet(),
}
ARRAYS = ("npz", "packed.npz", "npy", "csv", "parquet")


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
    pictures = kind not in ARRAYS
    folder = place / kind / "a" if pictures else place
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"x.{kind}"
    path.write_bytes(content)

    def read():
        if pictures:
            found = load_folder(place / kind).images
            assert ((found >= 0) & (found <= 1)).all()
        else:
            rows = read_sample(path, role="train").rows
            if not isinstance(rows, np.ndarray):
                rows = rows.select_dtypes("number").to_numpy(dtype=float)
            assert np.isfinite(rows).all()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = refusal(read, ValueError, TypeError)
    assert error is None or path.name in str(error) or "train" in str(error), content


@pytest.mark.parametrize("suffix", [*READERS, *TABLES, PICKLES[0]])
@fuzzed
@given(start=st.sampled_from([b"", b"PK", b"\x80\x04", b"PK\x03\x04"]), data=st.data())
def test_models_are_read_or_refused(place, suffix, start, data):
    path = place / f"model{suffix}"
    path.write_bytes(start + data.draw(st.binary(max_size=60)))
    error = refusal(
        lambda: model_of_file(path, "cpu", {"name": "model", "spec": "x"}),
        ValueError,
        ImportError,
        VictimError,
    )
    if suffix not in TABLES:
        assert error is not None
    assert error is None or path.name in str(error)


#: Parts of names that mean something to HTML, Markdown, spreadsheets or file systems.
SIGNS = st.sampled_from(
    (*"<>&\"'|`[()!*_#\n\r=+-@\t,;\x1b\u2028\u202ea0 {$\\~", "](", "..", "</td>")
)
NAMES = st.lists(
    st.lists(SIGNS, min_size=1, max_size=8).map("".join),
    min_size=2,
    max_size=4,
    unique=True,
)


class Tags(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))

    def handle_data(self, data):
        self.text += data


@fuzzed
@example(names=["<", "\n0"])
@example(names=["<", "\r"])
@example(names=["<", "+0\t"])
@given(names=NAMES)
def test_names_stay_names(names):
    hostile = report_of(names)
    plain = report_of([f"name{i}" for i in range(len(names))])
    assert Tags(hostile._repr_html_()).tags == Tags(plain._repr_html_()).tags
    rows = [line for line in hostile.to_markdown().splitlines() if line[:1] == "|"]
    assert len(rows) == len(names) + 2
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert not re.search(r"(?<!\\)\]\(", hostile.to_markdown())
    stored = list(csv.reader(io.StringIO(hostile.to_csv(), newline="")))
    assert len(stored) == len(names) + 1
    firsts = [row[0] for row in stored[1:] if not re.fullmatch(r"[+-][\d_]+", row[0])]
    assert not any(name[:1] in tuple("=+-@\t\r\n") for name in firsts)


@fuzzed
@given(names=NAMES)
def test_pages_show_names_as_text(place, names):
    def tags(words):
        parts = [Heading(words[0]), Paragraph(words[1]), Listing(words)]
        parts.append(Table(["class", words[0]], [[w, "1"] for w in words], words[-1]))
        write_pages(place, words[0], parts)
        text = (place / "report.md").read_text(encoding="utf-8")
        lines = sum(line.startswith("|") for line in text.splitlines())
        return Tags((place / "report.html").read_text(encoding="utf-8")).tags, lines

    assert tags(names) == tags([f"name{i}" for i in range(len(names))])


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


@pytest.fixture(scope="module")
def victim_file(place):
    names, shape = ("a", "b"), (1, 8, 8)
    settings = {"image_shape": shape, "class_names": names, "width": 2}
    network = NETWORKS["victim"](shape, 2, 2)
    path = place / "victim.safetensors"
    Victim(network, names, shape, settings=settings).save(path)
    return path.read_bytes()


@fuzzed
@given(data=st.data())
def test_networks_are_read_or_refused(place, victim_file, data):
    path = place / "damaged.safetensors"
    path.write_bytes(data.draw(damaged(victim_file)))
    error = refusal(lambda: Victim.load(path, device="cpu"), ValueError)
    assert error is None or str(path) in str(error)


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
