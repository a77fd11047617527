"""Files of anybody: images, archives and tables are read in bounds or refused."""

import ast
import csv
import gzip
import io
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kldiv
import kldiv_attack
from kldiv_attack._pages import Heading, Listing, Paragraph, Table, write_pages
from kldiv_attack.audit.paths import load_array, read_frame, read_sample
from kldiv_attack.datasets import _decoding, _limits, load_folder
from tests.reports import report_of

SIDE = 8


@pytest.fixture
def folder(tmp_path):
    """A folder of one class with one good image; the test adds another."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    Image.new("L", (SIDE, SIDE), 100).save(tmp_path / "a" / "good.png")
    return tmp_path


def ramp(dtype, most):
    return np.linspace(0, most, SIDE * SIDE).astype(dtype).reshape(SIDE, SIDE)


# What images mean


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_meaning(folder, suffix, channels):
    deep = ramp(np.uint16, 65535)
    Image.fromarray(deep).save(folder / "b" / f"deep.{suffix}")
    data = load_folder(folder, channels=channels)
    for channel in data.images[1]:
        np.testing.assert_allclose(channel, deep / 65535, atol=1e-6)
    small = load_folder(folder, channels=channels, size=4).images[1]
    assert small.shape == (channels, 4, 4)
    assert 0 <= small.min() < 0.2
    assert 0.8 < small.max() <= 1


def test_palettes_and_inks_become_what_they_show(folder):
    colour = np.zeros((SIDE, SIDE, 3), np.uint8)
    colour[:, : SIDE // 2] = (255, 0, 0)
    picture = Image.fromarray(colour)
    picture.quantize(4).save(folder / "b" / "palette.png")
    picture.convert("CMYK").save(folder / "b" / "inks.tif")
    images = load_folder(folder, channels=3).images
    for image in images[1:]:
        np.testing.assert_allclose(image, colour.transpose(2, 0, 1) / 255, atol=0.02)


def test_an_opaque_alpha_channel_changes_nothing(folder):
    grey = ramp(np.uint8, 255)
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    Image.fromarray(opaque).save(folder / "b" / "alpha.png")
    np.testing.assert_allclose(load_folder(folder).images[1, 0], grey / 255, atol=0.01)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_camera_was_held(folder, suffix, orientation):
    shown = np.zeros((16, 16), np.uint8)
    shown[:8, :8] = 255  # white is up and to the left
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.T, 6: np.rot90(shown, 1), 7: shown[::-1, ::-1].T,
        8: np.rot90(shown, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / "b" / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    found = load_folder(folder, size=16).images[1, 0]
    np.testing.assert_allclose(found, shown / 255, atol=0.1)


# What is refused


def animated(path):
    frames = [Image.new("L", (SIDE, SIDE), grey) for grey in (0, 100, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def transparent(path):
    Image.new("RGBA", (SIDE, SIDE), (255, 0, 0, 10)).save(path)


def floating(path):
    Image.fromarray(ramp(np.float32, 3.0)).save(path)


def truncated(path):
    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(stream, format="PNG")
    path.write_bytes(stream.getvalue()[:1500])


def no_image(path):
    path.write_bytes(b"GIF89a nothing")


def empty(path):
    path.write_bytes(b"")


def bomb(side):
    """A PNG of side x side pixels in a few hundred bytes."""

    def write(path):
        def chunk(kind, data):
            body = kind + data
            return (
                struct.pack(">I", len(data))
                + body
                + struct.pack(">I", zlib.crc32(body))
            )

        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
            + chunk(b"IEND", b"")
        )

    return write


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (animated, "a.gif", "animated or has pages"),
        (animated, "a.tif", "animated or has pages"),
        (transparent, "a.png", "transparent pixels"),
        (floating, "a.tif", "32-bit numbers"),
        (truncated, "a.png", "could not be decoded"),
        (no_image, "a.gif", "could not be decoded"),
        (empty, "a.jpg", "could not be decoded"),
        (bomb(8_000), "a.png", "8000 x 8000 pixels; expected at most"),
        (bomb(12_000), "a.png", "12000 x 12000 pixels; expected at most"),
        (bomb(60_000), "a.png", "pixels; expected at most"),
    ],
)
def test_images_that_mean_nothing_are_refused_by_name(folder, write, name, message):
    write(folder / "b" / name)
    with pytest.raises(ValueError, match=message) as refusal:
        load_folder(folder)
    assert str(folder / "b" / name) in str(refusal.value)


def test_folders_are_read_in_bounds(folder, monkeypatch):
    for i in range(4):
        Image.new("L", (SIDE, SIDE)).save(folder / "b" / f"{i}.png")
    monkeypatch.setattr(_limits, "MOST_FILES", 3)
    with pytest.raises(ValueError, match="holds more than 3 files"):
        load_folder(folder)
    monkeypatch.setattr(_limits, "MOST_FILES", 10)
    monkeypatch.setattr(_limits, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"unpacks to 1,024 bytes.*at most 1,000"):
        load_folder(folder)
    monkeypatch.setattr(_decoding, "MOST_PIXELS", 63)
    with pytest.raises(ValueError, match="8 x 8 pixels; expected at most 63"):
        load_folder(folder)


@pytest.mark.parametrize("part", ["..", "../..", "/etc", "a", "\0", 3])
def test_parts_of_a_folder_lead_nowhere_else(folder, part):
    with pytest.raises(ValueError, match="part=.*expected one of"):
        load_folder(folder, part=part)


# Archives and tables


def npy(shape, dtype="<f8", data=b""):
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    text = f"{header!r}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        npy((10**12,)),  # more than any memory
        npy((2**62, 4)),  # more than an address
        npy((100, 100), data=b"\0" * 799),
        npy((3,), "|O", b"\x80\x04N."),
        npy((3,)).replace(b"}", b"}("),  # what the tokenizer of Python refuses
        b"\x93NUMPY\x09\x00",
        b"\x80\x04\x8c\x05posix",
        b"",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_no_bigger_than_their_files(tmp_path, content, packed):
    path = tmp_path / ("x.npz" if packed else "x.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="could not be read"):
        load_array(path)


def test_zip_bombs_are_refused_by_what_they_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(_limits, "MOST_BYTES", 1_000_000)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, X=np.zeros((200, 1000)), y=np.zeros(200, int))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"unpacks to 1,60\d,\d+ bytes; expected at"):
        read_sample(path, role="train")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_zips_that_lie_are_refused(tmp_path, save):
    path = tmp_path / "lie.npz"
    save(path, X=np.random.default_rng(0).normal(size=(20, 10)), y=np.zeros(20, int))
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # in the middle of an array
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"lie\.npz"):
        read_sample(path, role="train")


def idx(shape, data):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + data


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(idx((2**31, 28, 28), b"")),
        gzip.compress(idx((3, 8, 8), bytes(191))),
        gzip.compress(idx((3, 8, 8), bytes(193))),
        gzip.compress(idx((3, 8, 8), bytes(192)))[:-4],
        gzip.compress(b"\0\0\x08"),
        b"\x1f\x8b\x08 no gzip",
        b"",
    ],
    # gzip holds the time of day: bytes as names would differ between workers
    ids=["huge", "short", "long", "cut", "no sizes", "no gzip", "empty"],
)
def test_idx_files_are_read_in_bounds(tmp_path, content):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    labels = gzip.compress(idx((3,), bytes([0, 1, 0])))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz"):
        read_sample(tmp_path, role="train")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_tables_of_very_many_columns_are_refused(tmp_path, monkeypatch, suffix):
    pytest.importorskip("pandas")
    assert _limits.MOST_COLUMNS == 100_000
    monkeypatch.setattr(_limits, "MOST_COLUMNS", 1000)
    path, n = tmp_path / f"wide.{suffix}", _limits.MOST_COLUMNS + 1
    if suffix == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        names, column = [f"c{i}" for i in range(n)], arrow.array([0], arrow.int8())
        parquet.write_table(arrow.table([column] * n, names), path)
    else:
        sign = {"csv": ",", "tsv": "\t"}[suffix]
        path.write_text(sign.join(f"c{i}" for i in range(n)) + "\n")
    with pytest.raises(ValueError, match=r"1,001 columns; expected at most 1,000"):
        read_frame(path)


# Names

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)",
    "</td></tr></table><h1>x",
    "a|b",
    "a\nb\n\n# heading",
    "[link](javascript:alert(1))",
    "![](http://example.org/x.png)",
    "`code` **bold** _it_",
    "\x1b[31mred",
    "{{7*7}} ${7*7} %s {0}",
)
FORMULAS = ("=1+1", "+1+A1", "-1+2", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")')


def test_names_stay_text_in_html():
    page = report_of(list(HOSTILE))._repr_html_()
    for tag in ("<script", "<img", "<h1", "<td></tr>"):
        assert tag not in page
    assert page.count("<table") == 1


def test_names_stay_in_their_cell_of_a_markdown_table():
    text = report_of(list(HOSTILE)).to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == len(HOSTILE) + 2
    cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(cells) == 1
    assert "\x1b" not in text
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not any(line.startswith("# heading") for line in text.splitlines())


def test_names_are_no_formulas_in_a_table_of_values():
    text = report_of([*FORMULAS, "-3", "a"]).to_csv()
    rows = list(csv.reader(io.StringIO(text)))[1:]
    assert [row[0] for row in rows[:-2]] == [f"'{name}" for name in FORMULAS]
    assert [row[0] for row in rows[-2:]] == ["-3", "a"]


def test_pages_show_names_as_text(tmp_path):
    parts = [Heading(HOSTILE[0]), Paragraph(HOSTILE[1]), Listing(HOSTILE)]
    parts.append(Table(["class", HOSTILE[0]], [[n, "1"] for n in HOSTILE], HOSTILE[3]))
    write_pages(tmp_path, HOSTILE[0], parts)
    page = (tmp_path / "report.html").read_text()
    text = (tmp_path / "report.md").read_text()
    for tag in ("<script", "<img", "<h1>x"):
        assert tag not in page
        assert tag not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert len(rows) == len(HOSTILE) + 2


# What is never done

FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads",
    "cPickle.load", "dill.load", "joblib.load", "marshal.loads", "marshal.load",
    "shelve.open", "torch.load", "yaml.load", "os.system", "os.popen",
    "pd.read_pickle", "pandas.read_pickle", "np.frompyfunc",
}  # fmt: skip
FORBIDDEN_MODULES = {"pickle", "dill", "marshal", "shelve", "subprocess", "cloudpickle"}


SOURCES = [
    path
    for package in (kldiv, kldiv_attack)
    for path in sorted(Path(package.__file__).parent.rglob("*.py"))
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_nothing_is_unpickled_evaluated_or_sent_to_a_shell(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
            for word in node.keywords:
                if word.arg in ("shell", "allow_pickle", "weights_only"):
                    safe = ast.unparse(word.value) == str(word.arg == "weights_only")
                    assert safe, f"{path}:{node.lineno}"
            if called in ("np.load", "numpy.load"):
                assert any(w.arg == "allow_pickle" for w in node.keywords), path
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            assert not names & FORBIDDEN_MODULES, f"{path}:{node.lineno}"
