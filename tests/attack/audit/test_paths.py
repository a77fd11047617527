"""Rows and labels from every kind of source."""

import gzip

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_matrix

from kldiv_attack.audit.paths import read_sample
from kldiv_attack.datasets import load_dataset

X = np.arange(24.0).reshape(8, 3)
Y = np.array(["b", "a"] * 4)


def names_of(sample):
    return [sample.class_names[c] for c in sample.labels]


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "parquet", "npz", "npy", "pair", "frame"]
)
def test_a_table_is_read_alike_from_every_format(tmp_path, kind):
    path = tmp_path / f"a table.{kind}"
    frame = pd.DataFrame(X, columns=["p", "q", "r"]).assign(label=Y)
    if kind in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "npz":
        np.savez(path, X=X, y=Y)
    elif kind == "npy":
        np.save(path, X)
        np.save(tmp_path / "a table_labels.npy", Y)
    elif kind == "pair":
        path = (X, Y)
    else:
        path = (frame.drop(columns="label"), Y)
    sample = read_sample(path, role="train")
    np.testing.assert_array_equal(sample.rows, X)
    assert sample.class_names == ("a", "b")
    assert names_of(sample) == Y.tolist()


def test_the_last_column_of_an_array_is_the_label(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.column_stack([X, [0, 1] * 4]))
    train = read_sample(path, role="train")
    np.testing.assert_array_equal(train.rows, X)
    assert names_of(train) == ["0", "1"] * 4
    for stored in (np.column_stack([X, [0, 1] * 4]), X):
        np.save(path, stored)
        aux = read_sample(path, role="aux", like=train)
        np.testing.assert_array_equal(aux.rows, X)
        assert aux.labels is None


def test_whole_floats_name_classes_without_a_point():
    sample = read_sample((X, np.array([10.0, 2.0] * 4)), role="train")
    assert sample.class_names == ("2", "10")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_folder_of_images(tmp_path, mode):
    for name, value in (("æble", 0), ("b", 255)):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new(mode, (8, 9), value if mode == "L" else (value,) * 3).save(
                tmp_path / name / f"{i}.png"
            )
    sample = read_sample(tmp_path, role="train")
    assert sample.rows.shape == (6, 1 if mode == "L" else 3, 9, 8)
    assert sample.class_names == ("b", "æble")
    assert sample.rows[names_of(sample).index("b")].min() == 1


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_root(tmp_path, packed):
    images = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
    labels = np.array([7, 3, 7, 3], dtype=np.uint8)
    (tmp_path / "raw").mkdir()
    for part, rows in (("train", slice(None)), ("t10k", slice(2))):
        for what, array in (
            ("images-idx3", images[rows]),
            ("labels-idx1", labels[rows]),
        ):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(
                size.to_bytes(4, "big") for size in array.shape
            )
            data = head + array.tobytes()
            name = f"{part}-{what}-ubyte" + (".gz" if packed else "")
            (tmp_path / "raw" / name).write_bytes(
                gzip.compress(data) if packed else data
            )
    sample = read_sample(tmp_path, role="train")
    np.testing.assert_allclose(sample.rows[:, 0] * 255, images, rtol=1e-6)
    assert names_of(sample) == ["7", "3", "7", "3"]
    assert len(read_sample(tmp_path, role="aux", like=sample)) == 2


def test_a_damaged_idx_file_is_refused(tmp_path):
    for what in ("images-idx3", "labels-idx1"):
        head = bytes([0, 0, 8, 1]) + (9).to_bytes(4, "big")
        (tmp_path / f"train-{what}-ubyte").write_bytes(head + b"few")
    with pytest.raises(ValueError, match="damaged"):
        read_sample(tmp_path, role="train")


@pytest.mark.parametrize("name", ["digits:train", "digits", "glyphs:digits:test"])
def test_named_data_sets(name):
    sample = read_sample(name, role="train")
    assert sample.is_images
    assert sample.class_names == tuple("0123456789")
    if name == "digits:train":
        expected = load_dataset("digits", part="train")
        np.testing.assert_array_equal(sample.rows, expected.images)


def test_glyphs_take_the_size_of_the_training_images():
    train = read_sample((np.zeros((4, 16, 16)), [0, 1, 0, 1]), role="train")
    assert read_sample("glyphs:letters", role="aux", like=train).rows.shape[1:] == (
        1, 16, 16,
    )  # fmt: skip


def test_columns_are_matched_by_name():
    frame = pd.DataFrame(X, columns=["p", "q", "r"])
    train = read_sample((frame, Y), role="train")
    turned = frame[["r", "p", "q"]].assign(other=1.0)
    aux = read_sample(turned, role="aux", like=train)
    np.testing.assert_array_equal(aux.rows, X)


def test_mixed_columns_stay_a_frame():
    frame = pd.DataFrame({"age": X[:, 0], "town": list("abcdabcd")})
    train = read_sample((frame, Y), role="train")
    assert list(train.rows.columns) == ["age", "town"]
    assert train.take([1, 3]).rows["town"].tolist() == ["b", "d"]


def test_held_out_labels_take_the_order_of_the_training_classes():
    train = read_sample((X, np.array(["b", "c", "a", "a"] * 2)), role="train")
    other = read_sample((X, np.array(["c", "b"] * 4)), role="held-out", like=train)
    assert names_of(other) == ["c", "b"] * 4


@pytest.mark.parametrize(
    ("source", "role", "message"),
    [
        (
            "no/such/file.csv",
            "train",
            "is no file, no folder and none of the data sets",
        ),
        ("", "aux", "an empty path is no file, no folder"),
        (":digits:train", "train", "is no file, no folder"),
        ("digits:train:more:x", "train", r"expected digits:\[part\]"),
        (X, "train", "holds no labels"),
        ((X, Y[:5]), "train", "one label per row"),
        (
            (np.full((2, 3), np.nan), [0, 1]),
            "train",
            "hold NaN or infinity, first row 0",
        ),
        ((np.zeros((0, 3)), []), "train", "holds no row"),
        ((np.array([["a", "b"]]), [1]), "train", "expected numbers"),
        ((np.zeros(5), [1] * 5), "train", "expected a table"),
        ((X, np.array([1.0, np.nan] * 4)), "train", "labels hold NaN"),
    ],
)
def test_sources_that_cannot_be_read(source, role, message):
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        read_sample(source, role=role)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X[:, :2], r"have shape \(2,\), those of train \(3,\)"),
        (pd.DataFrame(X, columns=["p", "q", "s"]), "lacks the columns r"),
    ],
)
def test_other_rows_must_fit_the_training_rows(rows, message):
    train = read_sample((pd.DataFrame(X, columns=["p", "q", "r"]), Y), role="train")
    with pytest.raises(ValueError, match=message):
        read_sample(rows, role="aux", like=train)


def test_unknown_classes_of_held_out_rows_are_named():
    train = read_sample((X, Y), role="train")
    with pytest.raises(ValueError, match="has the classes z, which train lacks"):
        read_sample((X, ["a", "z"] * 4), role="held-out", like=train)


def test_a_table_without_a_label_column_lists_its_columns(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame(X, columns=["p", "q", "r"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match="no label column; its columns are p, q, r"):
        read_sample(path, role="train")
    with pytest.raises(ValueError, match="has no column 'species'"):
        read_sample(path, role="train", label="species")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(2500, 2)))
    frame.set_axis(["p", "y"], axis=1).to_csv(path, index=False)
    with pytest.raises(ValueError, match="holds no classes"):
        read_sample(path, role="train")


def test_python_objects_in_arrays_are_not_unpickled(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="no Python objects"):
        read_sample(path, role="train")


def test_missing_values_name_their_columns():
    frame = pd.DataFrame({"age": [1.0, None], "town": ["a", "b"]})
    with pytest.raises(ValueError, match="missing values in age"):
        read_sample((frame, [0, 1]), role="train")


FRAME = pd.DataFrame(X, columns=["p", "q", "r"])
KINDS = {
    "nullable": lambda: FRAME.astype("Float64"),
    "integers": lambda: FRAME.astype("Int64"),
    "arrow": lambda: FRAME.astype("float64[pyarrow]"),
    "table": lambda: pytest.importorskip("pyarrow").Table.from_pandas(FRAME),
    "polars": lambda: pytest.importorskip("polars").from_pandas(FRAME),
    "lazy": lambda: pytest.importorskip("polars").from_pandas(FRAME).lazy(),
    "lists": X.tolist,
    "big endian": lambda: X.astype(">f8"),
    "strided": lambda: np.repeat(X, 2, axis=0)[::2],
    "no mask": lambda: np.ma.array(X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_memory_are_read_alike(kind):
    if kind == "arrow":
        pytest.importorskip("pyarrow")
    sample = read_sample((KINDS[kind](), Y), role="train")
    np.testing.assert_array_equal(np.asarray(sample.rows, float), X)
    assert names_of(sample) == Y.tolist()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Y.astype(bytes), Y.tolist()),
        (Y.astype(object), Y.tolist()),
        (Y[:, None], Y.tolist()),
        (pd.Categorical(Y, categories=["c", "b", "a"]), Y.tolist()),
        (pd.array([0, 1] * 4, dtype="Int64"), ["0", "1"] * 4),
        (np.array(["2020-01-01", "2021-01-01"] * 4, "M8[D]"),
         ["2020-01-01", "2021-01-01"] * 4),
        (np.array([True, False] * 4), ["True", "False"] * 4),
    ],
)  # fmt: skip
def test_labels_of_every_kind(labels, expected):
    assert names_of(read_sample((X, labels), role="train")) == expected


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (X, [None, *Y[1:]], "1 of 8 labels are missing, the first in row 0"),
        (X, pd.array([None, *range(7)], dtype="Int64"), "labels: holds masked values"),
        (X, np.array(["2020", "NaT"] * 4, "M8[D]"), "4 of 8 labels are missing"),
        (X, np.array([1, "1"] * 4, object), "mix int and str that read alike"),
        (X, np.array([b"\xff", b"a"] * 4), "bytes that are no ASCII text"),
        (X, Y[:5], r"one label per row, got 8 rows and labels of shape \(5,\)"),
        (X, 3, "expected an array, got a int"),
        (np.ma.array(X, mask=X > 20), Y, "holds masked values"),
        (np.ma.array(Y, mask=Y == "a"), None, "holds masked values"),
        (csr_matrix(X), Y, r"is sparse; expected a dense array. Call toarray\(\)"),
        ([[1, 2], [3]], Y[:2], "rows of different lengths"),
        ((row for row in X), Y, "expected an array, got a generator"),
        (None, Y, "expected an array, got a NoneType"),
        (X + 1j, Y, "expected numbers, got dtype complex128"),
        (
            pd.DataFrame({"p": pd.date_range("2020", periods=8)}),
            Y,
            "'p' holds datetime",
        ),
        (pd.DataFrame(X, columns=["p", "p", "q"]), Y, "two columns are called 'p'"),
        (pd.DataFrame({"p": [*"abcdefg", None]}), Y, "missing values in p"),
        (pd.DataFrame({"p": pd.array([None, *range(7)], dtype="Int64")}), Y, "NaN or"),
        (pd.DataFrame({"p": list("abcdefgh"), "q": np.full(8, np.inf)}), Y, "in q"),
    ],
)
def test_what_is_no_sample(rows, labels, message):
    with pytest.raises((TypeError, ValueError), match=f"train: .*{message}|{message}"):
        read_sample((rows, labels), role="train")


def test_three_parts_are_no_pair():
    with pytest.raises(TypeError, match=r"train: expected rows, or a pair \(X, y\)"):
        read_sample((X, Y, Y), role="train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty; expected a table"),
        ("wide.csv", "p,l\u00e4bel\n1,2".encode("utf-16"), "no text in UTF-8 .byte 0"),
        ("other.csv", b"p;q;label\n1;2;3\n", "Separate columns by commas, not by ';'"),
        ("other.npy", b"nonsense", "does not begin as a file of NumPy does"),
        ("other.npz", b"", "does not begin as a file of NumPy does"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_sample(tmp_path / name, role="train")
