"""Loaders: embedded digits, glyphs, EMNIST, arrays and folders."""

import os

import numpy as np
import pytest

from kldiv_attack import load_dataset
from kldiv_attack.datasets import DATASETS, LabelledImages

GOOD = {
    "images": np.linspace(0, 1, 2 * 64).reshape(2, 1, 8, 8),
    "labels": np.array([0, 1]),
}


@pytest.fixture
def image_folder(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        for index in range(3):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    return tmp_path


def write_emnist(root, upright, split="letters"):
    """Write two idx files the way NIST orders them: every image transposed."""
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    n = len(upright)
    header = np.array([0x0803, n, 28, 28], dtype=">i4").tobytes()
    (raw / f"emnist-{split}-test-images-idx3-ubyte").write_bytes(
        header + upright.transpose(0, 2, 1).tobytes()
    )
    header = np.array([0x0801, n], dtype=">i4").tobytes()
    (raw / f"emnist-{split}-test-labels-idx1-ubyte").write_bytes(
        header + bytes(range(1, n + 1))
    )


@pytest.fixture(params=sorted(DATASETS))
def loaded(request, image_folder):
    """One small example of every dataset."""
    write_emnist(image_folder / "nist", np.full((26, 28, 28), 9, dtype=np.uint8))
    options = {
        "arrays": GOOD,
        "digits": {},
        "emnist": {"root": image_folder / "nist", "split": "letters", "part": "test"},
        "folder": {"root": image_folder, "size": 8},
        "glyphs": {"n_per_class": 2},
    }[request.param]
    return load_dataset(request.param, **options)


def test_every_dataset_keeps_the_contract(loaded):
    n = len(loaded)
    assert loaded.images.dtype == np.float32
    assert loaded.images.shape == (n, *loaded.image_shape)
    assert loaded.images.min() >= 0
    assert loaded.images.max() <= 1
    assert loaded.labels.dtype == np.int64
    assert set(loaded.labels) <= set(range(loaded.n_classes))
    half = loaded.subset(np.arange(n) % 2 == 0)
    np.testing.assert_array_equal(half.images, loaded.images[::2])
    np.testing.assert_array_equal(half.labels, loaded.labels[::2])


def test_digits_parts_are_disjoint_stratified_and_complete():
    from sklearn.datasets import load_digits

    parts = [load_dataset("digits", part=part) for part in ("train", "test")]
    rows = np.concatenate([part.images.reshape(len(part), -1) for part in parts])
    original = load_digits().data / 16
    assert sorted(map(tuple, rows)) == sorted(map(tuple, original.astype(np.float32)))
    counts = [np.bincount(part.labels) for part in parts]
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_digits_division_follows_the_seed():
    first, again, other = (
        load_dataset("digits", random_state=seed).images for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("split", "n_classes"),
    [("digits", 10), ("letters", 26), ("balanced", 47), ("byclass", 62)],
)
@pytest.mark.parametrize("size", [8, 28])
def test_glyphs_classes_and_size(split, n_classes, size):
    data = load_dataset("glyphs", split=split, size=size, n_per_class=2)
    assert data.images.shape == (2 * n_classes, 1, size, size)
    np.testing.assert_array_equal(np.bincount(data.labels), 2)
    assert data.images.max(axis=(1, 2, 3)).min() == 1  # every image shows something


def test_glyphs_are_seeded_and_parts_differ():
    draws = [
        load_dataset("glyphs", n_per_class=2, random_state=seed, part=part).images
        for seed, part in ((0, "train"), (0, "train"), (1, "train"), (0, "test"))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0], draws[3])


def test_glyph_digits_are_readable_by_a_classifier_of_handwriting():
    """Same look as the target: upright, same size, bright on black."""
    from sklearn.neighbors import KNeighborsClassifier

    digits, glyphs = load_dataset("digits"), load_dataset("glyphs", split="digits")
    model = KNeighborsClassifier(5).fit(
        digits.images.reshape(len(digits), -1), digits.labels
    )
    accuracy = model.score(glyphs.images.reshape(len(glyphs), -1), glyphs.labels)
    assert accuracy > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, "size=3"),
        ({"n_per_class": 0}, "n_per_class=0"),
        ({"split": "greek"}, "balanced"),
        ({"part": "validation"}, "test"),
    ],
)
def test_glyphs_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("glyphs", **options)


def test_emnist_missing_folder_names_path_and_option(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("emnist", tmp_path / "nowhere", "letters", part="test")
    text = str(caught.value)
    assert str(tmp_path / "nowhere") in text
    assert "emnist-letters-test-images-idx3-ubyte" in text
    assert "--data" in text
    assert "download=True" in text


def test_emnist_needs_a_root_and_a_known_split(tmp_path):
    with pytest.raises(ValueError, match="root"):
        load_dataset("emnist")
    with pytest.raises(ValueError, match="letters"):
        load_dataset("emnist", tmp_path, "cyrillic")


def test_emnist_passes_download_on(tmp_path, monkeypatch):
    import torchvision

    seen = {}

    def fake(root, **options):
        assert root == str(tmp_path)
        seen.update(options)
        raise RuntimeError("stop here")

    monkeypatch.setattr(torchvision.datasets, "EMNIST", fake)
    with pytest.raises(RuntimeError, match="stop here"):
        load_dataset("emnist", tmp_path, "digits", part="test", download=True)
    assert seen == {"split": "digits", "train": False, "download": True}


def test_emnist_images_are_turned_upright_and_letters_start_at_zero(tmp_path):
    upright = np.zeros((26, 28, 28), dtype=np.uint8)
    upright[:, 3, 5:20] = 255  # a horizontal stroke near the top
    write_emnist(tmp_path, upright)
    data = load_dataset("emnist", tmp_path, "letters", part="test")
    np.testing.assert_array_equal(data.images[:, 0], upright / np.float32(255))
    np.testing.assert_array_equal(data.labels, np.arange(26))
    assert data.class_names[0] == "a"


@pytest.mark.emnist
@pytest.mark.skipif("KLDIV_EMNIST_ROOT" not in os.environ, reason="no EMNIST here")
@pytest.mark.parametrize(
    ("split", "part", "n", "n_classes"),
    [
        ("mnist", "train", 60_000, 10),
        ("mnist", "test", 10_000, 10),
        ("letters", "test", 20_800, 26),
        ("balanced", "test", 18_800, 47),
    ],
)
def test_real_emnist(split, part, n, n_classes):
    data = load_dataset("emnist", os.environ["KLDIV_EMNIST_ROOT"], split, part=part)
    assert data.images.shape == (n, 1, 28, 28)
    assert data.n_classes == n_classes
    np.testing.assert_array_equal(np.bincount(data.labels), n // n_classes)


@pytest.mark.emnist
@pytest.mark.skipif("KLDIV_EMNIST_ROOT" not in os.environ, reason="no EMNIST here")
def test_real_emnist_is_upright():
    """A seven has its bar on top: more ink above the middle than a left turn has."""
    data = load_dataset("emnist", os.environ["KLDIV_EMNIST_ROOT"], part="test")
    mean = data.images[data.labels == 7, 0].mean(0)
    assert mean[:14].sum() > 1.2 * mean[14:].sum()
    one = data.images[data.labels == 1, 0].mean(0)
    assert one[:, 10:18].sum() > 2 * one[10:18].sum()


def test_arrays_accept_names_bytes_and_tensors():
    import torch

    pixels = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    data = load_dataset(
        "arrays", images=torch.from_numpy(pixels), labels=["x", "y", "x"]
    )
    assert data.class_names == ("x", "y")
    np.testing.assert_array_equal(data.labels, [0, 1, 0])
    np.testing.assert_allclose(data.images[:, 0], pixels / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"images": GOOD["images"] * 255}, ValueError, "Divide 8-bit"),
        ({"images": np.full((2, 1, 8, 8), np.nan)}, ValueError, "NaN"),
        ({"images": np.zeros((2, 64))}, ValueError, "shape"),
        ({"images": np.full((2, 1, 8, 8), "a")}, TypeError, "numbers"),
        ({"labels": np.array([0])}, ValueError, "one label per image"),
        (
            {"labels": np.array([0, 2]), "class_names": ("a", "b")},
            ValueError,
            "expected 0 to 1",
        ),
        (
            {"labels": np.array([0.0, 1.0]), "class_names": ("a", "b")},
            TypeError,
            "whole numbers",
        ),
    ],
)
def test_arrays_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        load_dataset("arrays", **{**GOOD, **changes})


def test_folder_reads_classes_in_order(image_folder):
    data = load_dataset("folder", image_folder)
    assert data.class_names == ("a", "b")
    np.testing.assert_array_equal(data.labels, [0, 0, 0, 1, 1, 1])
    colour = load_dataset("folder", image_folder, size=12, channels=3)
    assert colour.images.shape == (6, 3, 12, 12)


@pytest.mark.parametrize("size", [32, (64, 64), (24, 40)])
def test_photographs_of_any_size_are_resized_and_the_name_says_so(tmp_path, size):
    from PIL import Image

    for name, (red, green) in {"fire": (255, 0), "wood": (0, 255)}.items():
        (tmp_path / name).mkdir()
        for i, sides in enumerate([(50, 70), (131, 33), (8, 8)]):
            Image.new("RGB", sides, (red, green, 0)).save(tmp_path / name / f"{i}.png")
    data = load_dataset("folder", tmp_path, size=size, channels=3)
    height, width = (size, size) if isinstance(size, int) else size
    assert data.images.shape == (6, 3, height, width)
    assert data.name.endswith(f"resized to {height} x {width}")
    np.testing.assert_array_equal(data.images[:, 0].mean((1, 2)), 1 - data.labels)
    np.testing.assert_array_equal(data.images[:, 1].mean((1, 2)), data.labels)
    grey = load_dataset("folder", tmp_path, size=size)
    assert grey.images.shape == (6, 1, height, width)


def test_folder_bad_input(image_folder, tmp_path):
    from PIL import Image

    Image.new("L", (9, 8)).save(image_folder / "a" / "wide.png")
    with pytest.raises(ValueError, match="give size="):
        load_dataset("folder", image_folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image"):
        load_dataset("folder", tmp_path / "empty")
    with pytest.raises(ValueError, match="channels=2"):
        load_dataset("folder", image_folder, channels=2)


def test_unknown_name_and_option_list_what_exists():
    with pytest.raises(ValueError, match=r"arrays.*digits.*emnist"):
        load_dataset("cifar")
    with pytest.raises(ValueError, match=r"no option split.*random_state"):
        load_dataset("digits", split="mnist")


def test_images_are_not_copied_when_they_already_fit():
    images = np.zeros((2, 1, 8, 8), dtype=np.float32)
    data = LabelledImages(images, np.array([0, 1]), ("a", "b"), "mine")
    assert data.images is images
