"""Success per class, coverage, and the controls without a GAN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv_attack._controls import CONTROLS
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.evaluate import evaluate_attack

SHAPE = (1, 4, 4)


class PixelJudge:
    """Calls an image by its brightest corner; its features are the pixels."""

    def predict(self, images):
        pixels = np.asarray(images)
        return np.stack(
            [pixels[:, 0, 0, 0], pixels[:, 0, 0, -1], pixels[:, 0, -1, 0]], axis=1
        ).argmax(axis=1)

    def features(self, images):
        return np.asarray(images).reshape(len(images), -1)


def draw(rng, n, label):
    """Noise images that the judge calls ``label``."""
    images = rng.uniform(0, 0.5, (n, *SHAPE)).astype(np.float32)
    row, column = [(0, 0), (0, -1), (-1, 0)][label]
    images[:, 0, row, column] = rng.uniform(0.9, 1, n)
    return images


@pytest.fixture
def private(rng):
    images = np.concatenate([draw(rng, n, c) for c, n in enumerate((60, 60, 60))])
    return LabelledImages(images, np.repeat([0, 1, 2], 60), ("a", "b", "c"), "made")


def test_reports_accuracy_with_its_wilson_interval(private, rng):
    wrong = draw(rng, 25, 1)
    made = {0: np.concatenate([draw(rng, 75, 0), wrong]), 1: wrong, 2: draw(rng, 50, 2)}

    report = evaluate_attack(made, private, PixelJudge())

    assert report.classes.tolist() == ["a", "b", "c"]
    assert report["reconstructions"].tolist() == [100, 25, 50]
    assert report["rows"].tolist() == [60, 60, 60]
    assert report["accuracy"].tolist() == [0.75, 1.0, 1.0]
    # Wilson 1927: centre (p + z²/2n) / (1 + z²/n), here by hand for 75 of 100.
    z = 1.959963984540054
    centre = (0.75 + z**2 / 200) / (1 + z**2 / 100)
    half = z / (1 + z**2 / 100) * np.sqrt(0.75 * 0.25 / 100 + z**2 / 40000)
    assert report["accuracy_low"][0] == pytest.approx(centre - half)
    assert report["accuracy_high"][0] == pytest.approx(centre + half)
    assert not report.reasons


def slow_coverage(private, made, k):
    covered = []
    for x in private:
        radius = sorted(np.linalg.norm(private - x, axis=1))[k]  # 0 is the row itself
        covered.append(np.linalg.norm(made - x, axis=1).min() <= radius)
    return np.mean(covered)


@pytest.mark.parametrize("k", [1, 5, np.int64(5)])
def test_coverage_and_distances_follow_their_definition(private, rng, k):
    made = {c: draw(rng, 15, c) for c in range(3)}

    report = evaluate_attack(made, private, PixelJudge(), n_neighbors=k)

    for c in range(3):
        own = private.images[private.labels == c].reshape(60, -1).astype(float)
        other = made[c].reshape(15, -1).astype(float)
        assert report["coverage"][c] == pytest.approx(slow_coverage(own, other, k))
        distances = np.linalg.norm(own[:, None] - other[None], axis=2)
        assert report["nearest_distance"][c] == pytest.approx(distances.min(0).mean())


def test_coverage_is_one_for_the_private_rows_themselves_and_ties_count(private):
    own = {c: private.images[private.labels == c] for c in range(3)}
    with pytest.warns(UserWarning, match="hold the same 60 rows"):
        report = evaluate_attack(own, private, PixelJudge(), n_neighbors=1)
    assert report["coverage"].tolist() == [1, 1, 1]
    assert report["divergence"].tolist() == [0, 0, 0]
    assert report["nearest_distance"].tolist() == [0, 0, 0]

    # All private rows in one point: every ball has radius 0, a hit lies on its edge.
    point = np.zeros((10, *SHAPE), dtype=np.float32)
    images = np.concatenate([point, private.images])
    labels = np.concatenate([np.zeros(10, dtype=int), private.labels + 1])
    one = LabelledImages(images, labels, ("point", "a", "b", "c"), "made")
    report = evaluate_attack({0: point[:3]}, one, PixelJudge())
    assert report["coverage"][0] == 1
    assert "divergence" in report.reasons["point"]


def test_coverage_is_zero_for_reconstructions_far_away(private):
    far = np.ones((20, *SHAPE), dtype=np.float32)
    report = evaluate_attack({0: far}, private, PixelJudge())
    assert report["coverage"][0] == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 30))
def test_more_reconstructions_never_lower_the_coverage(seed, n):
    rng = np.random.default_rng(seed)
    images = draw(rng, 40, 0)
    private = LabelledImages(images, np.zeros(40, dtype=int), ("a",), "made")
    made = draw(rng, 30, 0)
    some = evaluate_attack({0: made[:n]}, private, PixelJudge())
    more = evaluate_attack({0: made}, private, PixelJudge())
    assert some["coverage"][0] <= more["coverage"][0]


def test_divergence_tells_the_same_law_from_another(private, rng):
    same = {c: draw(rng, 60, c) for c in range(3)}
    narrow = {c: 0.1 * same[c] + 0.9 * same[c].mean(0) for c in range(3)}

    close = evaluate_attack(same, private, PixelJudge())
    off = evaluate_attack(narrow, private, PixelJudge())

    assert (np.abs(close["divergence"]) < 1).all()
    assert (off["divergence"] > close["divergence"] + 0.5).all()
    assert "PCA" in close.settings["features of the divergence"]


def test_an_array_has_one_set_of_images_per_class(private, rng):
    made = np.stack([draw(rng, 10, c) for c in range(3)])
    report = evaluate_attack(made, private, PixelJudge())
    assert report["accuracy"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"expected 3 classes .* got 2"):
        evaluate_attack(made[:2], private, PixelJudge())


def test_a_class_without_reconstructions_is_nan_with_a_reason(private, rng):
    made = np.stack([draw(rng, 10, c) for c in range(3)])
    made[1] = np.nan

    report = evaluate_attack(made, private, PixelJudge())

    assert report.reasons == {"b": "no reconstruction of this class"}
    assert report["reconstructions"].tolist() == [10, 0, 10]
    for column in ("accuracy", "coverage", "nearest_distance", "divergence"):
        assert np.isnan(report[column]).tolist() == [False, True, False]


def test_a_tiny_class_keeps_its_accuracy_and_says_what_is_missing(rng):
    images = np.concatenate([draw(rng, 30, 0), draw(rng, 4, 1)])
    labels = np.repeat([0, 1], [30, 4])
    tiny = LabelledImages(images, labels, ("a", "b", "c"), "tiny")
    made = {c: draw(rng, 10, c) for c in range(3)}

    report = evaluate_attack(made, tiny, PixelJudge(), n_neighbors=5)

    assert report["accuracy"].tolist() == [1, 1, 1]
    assert np.isnan(report["coverage"]).tolist() == [False, True, True]
    assert "needs at least 6 private rows, the class has 4" in report.reasons["b"]
    assert "the class has 0" in report.reasons["c"]
    assert np.isnan(report["divergence"][2])


def test_reconstructions_that_are_one_image_do_not_stop_the_report(private, rng):
    made = {c: draw(rng, 20, c) for c in range(3)}
    made[0] = private.images[private.labels == 0][:1].repeat(20, axis=0)

    report = evaluate_attack(made, private, PixelJudge())

    assert np.isnan(report["divergence"]).tolist() == [True, False, False]
    assert "divergence" in report.reasons["a"]
    assert report["accuracy"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors=0: expected a whole number"),
        ({"n_neighbors": 2.5}, "n_neighbors=2.5: expected a whole number"),
        ({"n_neighbors": 500}, "max_rows=500 leaves no row"),
        ({"confidence_level": 95}, "confidence_level=95: expected between 0 and 1"),
    ],
)
def test_refuses_options_out_of_range(private, rng, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate_attack({0: draw(rng, 10, 0)}, private, PixelJudge(), **change)


def test_refuses_images_of_another_shape_and_unknown_labels(private, rng):
    with pytest.raises(ValueError, match=r"class 0 have shape \(1, 3, 4\)"):
        evaluate_attack({0: draw(rng, 10, 0)[:, :, 1:]}, private, PixelJudge())
    with pytest.raises(ValueError, match=r"labels \[7\] are not classes of made"):
        evaluate_attack({7: draw(rng, 10, 0)}, private, PixelJudge())
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        evaluate_attack({0: draw(rng, 10, 0) * 255}, private, PixelJudge())


@pytest.fixture
def aux(rng):
    """Thirty images that a victim answers 0, 1, 0, 1, ... with rising certainty."""
    images = rng.uniform(size=(30, *SHAPE)).astype(np.float32)
    sure = np.linspace(0.5, 1, 30)
    responses = np.zeros((30, 3))
    responses[np.arange(30), np.arange(30) % 2] = sure
    responses[:, 2] = 1 - sure
    return images, responses


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_return_rows_that_the_victim_puts_in_the_class(aux, name):
    images, responses = aux
    chosen = CONTROLS[name](images, responses, 5, random_state=1)

    assert set(chosen) == {0, 1}, "class 2 is never answered"
    for label, rows in chosen.items():
        assert len(rows) == 5
        assert len(np.unique(rows, axis=0)) == 5
        for row in rows:
            place = (images == row).all(axis=(1, 2, 3)).argmax()
            assert place % 2 == label


def test_the_confident_control_takes_the_surest_rows(aux):
    images, responses = aux
    chosen = CONTROLS["confident"](images, responses, 3)
    np.testing.assert_array_equal(chosen[1], images[[29, 27, 25]])


def test_controls_take_fewer_rows_where_there_are_fewer(aux):
    images, responses = aux
    for control in CONTROLS.values():
        assert len(control(images, responses, 400)[0]) == 15


def test_controls_refuse_answers_that_do_not_fit(aux):
    images, responses = aux
    with pytest.raises(ValueError, match=r"expected shape \(30, n_classes\)"):
        CONTROLS["random"](images, responses[:, 0], 3)


def test_reconstructions_far_from_the_private_images_are_noted(private):
    made = {c: np.full((60, *private.image_shape), 0.95) for c in range(3)}
    rng = np.random.default_rng(0)
    far = {c: np.clip(m + rng.normal(0, 1e-3, m.shape), 0, 1) for c, m in made.items()}
    report = evaluate_attack(far, private, PixelJudge())
    assert set(report.notes) == {"a", "b", "c"}
    for note in report.notes.values():
        assert note.startswith("divergence: the samples lie apart")


def test_an_attack_that_copies_training_rows_covers_more_of_them(private, rng):
    unseen = LabelledImages(
        np.concatenate([draw(rng, 60, c) for c in range(3)]),
        private.labels,
        private.class_names,
        "unseen",
    )
    copied = {c: private.images[private.labels == c][:40] for c in range(3)}
    honest = {c: draw(rng, 50, c) for c in range(3)}
    report = evaluate_attack(
        copied, private, PixelJudge(), held_out=unseen, n_neighbors=1
    )
    assert (report["excess_low"] > 0).all()
    np.testing.assert_allclose(
        report["coverage_held_out"],
        [by_hand(private, unseen, copied, c) for c in range(3)],
    )
    assert "180 rows of either kind" in report.settings["excess over all classes"]
    report = evaluate_attack(honest, private, PixelJudge(), held_out=unseen)
    assert abs(report["excess"].mean()) < 0.15


def by_hand(private, unseen, made, c):
    """Coverage of the unseen rows in balls of both kinds of rows."""
    both = np.concatenate(
        [data.images[data.labels == c].reshape(60, -1) for data in (private, unseen)]
    ).astype(float)
    other = made[c].reshape(len(made[c]), -1).astype(float)
    covered = []
    for x in both[60:]:
        radius = sorted(np.linalg.norm(both - x, axis=1))[1]
        covered.append(np.linalg.norm(other - x, axis=1).min() <= radius + 1e-6)
    return np.mean(covered)


def test_the_held_out_control_changes_no_other_number(private, rng):
    made = {c: draw(rng, 30, c) for c in range(3)}
    alone = evaluate_attack(made, private, PixelJudge(), max_rows=40)
    few = private.subset(np.r_[0:20, 60:64, 120:180])
    beside = evaluate_attack(made, private, PixelJudge(), max_rows=40, held_out=few)
    for name, values in alone.columns.items():
        np.testing.assert_array_equal(values, beside[name])
    assert np.isnan(beside["excess"]).tolist() == [False, True, False]
    assert "held-out control needs at least 10 rows" in beside.reasons["b"]
    assert "60 rows of either kind" in beside.settings["excess over all classes"]


def test_held_out_images_of_another_kind_are_refused(private, rng):
    narrow = LabelledImages(
        private.images[:, :, 1:], private.labels, private.class_names, "narrow"
    )
    other = LabelledImages(private.images, private.labels, tuple("abcd"), "other")
    for held_out, message in ((narrow, "image_shape"), (other, "n_classes 3")):
        with pytest.raises(ValueError, match=message):
            evaluate_attack(
                {0: draw(rng, 9, 0)}, private, PixelJudge(), held_out=held_out
            )
