"""Several judges, what each lets pass, and success corrected for it."""

import numpy as np
import pytest

from kldiv_attack import NeighbourJudge, adversarial_images, judge_attack, train_panel
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.judge import Judge, fingerprints
from kldiv_attack.victim import Victim


class Fixed:
    """Says what was written down for an image; -1 of every other."""

    def __init__(self, answers):
        self.answers = answers

    def predict(self, images):
        levels = np.rint(np.asarray(images)[:, 0, 0, 0] * 100).astype(int)
        return np.array([self.answers.get(int(k), -1) for k in levels])


def grey(*levels):
    """Images that differ in one number, in hundredths."""
    return np.tile(np.reshape(levels, (-1, 1, 1, 1)) / 100, (1, 1, 8, 8))


def members(n):
    """Images 1 to n of class "a"; there is a class "b"."""
    labels = np.zeros(n, dtype=np.int64)
    return LabelledImages(grey(*range(1, n + 1)), labels, ("a", "b"), "members")


PRIVATE = LabelledImages(grey(0, 99), np.array([0, 1]), ("a", "b"), "private")


def judged(judges, made, non_members, **options):
    return judge_attack(
        made, PRIVATE, judges, members=members(10), non_members=non_members, **options
    )


def row(report, name):
    place = report.classes.tolist().index(name)
    return {key: column[place] for key, column in report.columns.items()}


# Rates, counted by hand


def test_rates_agreement_and_corrected_success():
    """Eight of ten members pass, two of ten of one kind, one of ten of the other."""
    right = dict.fromkeys([*range(1, 9), 21, 22, 31, *range(41, 46)], 0)
    strict = dict.fromkeys(range(1, 11), 0)
    report = judged(
        {"loose": Fixed(right), "strict": Fixed(strict)},
        {0: grey(*range(41, 51))},
        {"noise": {0: grey(*range(21, 31))}, "letters": {0: grey(*range(31, 41))}},
    )
    loose = row(report, "loose")
    assert loose["accuracy"] == 0.5
    assert loose["recognised"] == 0.8
    assert loose["false: noise"] == 0.2
    assert loose["false: letters"] == 0.1
    assert loose["corrected"] == pytest.approx((0.5 - 0.2) / (0.8 - 0.2))
    assert loose["corrected_low"] < 0.5 < loose["corrected_high"]
    # Wilson's interval of 2 in 10, as Wilson's formula gives it.
    np.testing.assert_allclose(
        [loose["false: noise_low"], loose["false: noise_high"]],
        [0.05668, 0.50984],
        atol=1e-4,
    )
    assert row(report, "strict")["corrected"] == 0.0
    same = row(report, "agreement")
    assert same["accuracy"] == 0.5
    assert same["recognised"] == 0.8
    assert same["false: noise"] == 0.8
    assert np.isnan(same["corrected"])
    assert "agreement" in report.reasons


def test_fewer_than_the_non_members_is_negative_and_not_clamped():
    judge = Fixed(dict.fromkeys([*range(1, 11), *range(21, 26)], 0))
    report = judged(
        {"j": judge}, {0: grey(*range(41, 51))}, {"k": {0: grey(*range(21, 31))}}
    )
    assert row(report, "j")["corrected"] == pytest.approx(-1.0)


def test_a_judge_that_tells_nothing_apart_has_no_corrected_success():
    judge = Fixed(dict.fromkeys(range(100), 0))
    report = judged({"j": judge}, {0: grey(41, 42)}, {"k": {0: grey(21, 22)}})
    assert np.isnan(row(report, "j")["corrected"])
    assert "lets non-members pass" in report.reasons["j"]


def test_the_interval_covers_the_truth_and_narrows_with_the_confidence():
    """A judge with known rates; the true share of good images is 0.6."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        good = rng.random(40) < 0.6
        passes = np.where(good, rng.random(40) < 0.9, rng.random(40) < 0.2)
        real, other = rng.random(10) < 0.9, rng.random(10) < 0.2
        said = np.concatenate([real, other, passes])
        judge = Fixed({k + 1: 0 for k in np.flatnonzero(said)})
        made, others = grey(*range(21, 61)), grey(*range(11, 21))
        found = row(judged({"j": judge}, {0: made}, {"k": {0: others}}), "j")
        inside += found["corrected_low"] <= 0.6 <= found["corrected_high"]
    assert inside / 200 >= 0.9
    wide = judged({"j": judge}, {0: made}, {"k": {0: others}}, confidence_level=0.99)
    wide = row(wide, "j")
    assert wide["corrected"] == found["corrected"]
    assert wide["corrected_low"] < found["corrected_low"]


# Trained judges


@pytest.fixture(scope="module")
def known(public):
    return public.subset(slice(0, 600))


@pytest.fixture(scope="module")
def unseen(public):
    return public.subset(slice(600, None))


@pytest.fixture(scope="module")
def panel(known):
    return train_panel(known, epochs=2)


def test_a_panel_recognises_digits_and_only_one_of_it_refuses_noise(
    panel, trained, private, unseen
):
    victim = Victim(trained.network, trained.class_names)
    noise = adversarial_images(victim, 3, private.image_shape)
    assert victim.n_queries == 0
    assert sum(map(len, noise.values())) > 20
    for label, images in noise.items():
        assert (trained.query(images).argmax(1) == label).all()
    real = {c: unseen.images[unseen.labels == c] for c in range(10)}
    report = judge_attack(
        real,
        private,
        panel,
        members=unseen,
        non_members={"noise": noise},
        victim=victim,
    )
    assert report.classes.tolist() == [*panel, "agreement"]
    rates = report.columns
    assert (rates["recognised"][:3] > 0.7).all()
    np.testing.assert_array_equal(rates["accuracy"], rates["recognised"])
    assert row(report, "neighbours")["false: noise"] == 0
    assert row(report, "convolution")["false: noise"] > 0.1
    assert row(report, "neighbours")["corrected"] == pytest.approx(1)


def test_judges_that_share_rows_are_refused(panel, private, known, unseen):
    images, noise = {0: unseen.images[:5]}, {"noise": {0: grey(50)}}
    mixed = known.subset(slice(0, 7))
    with pytest.raises(ValueError, match="trained on 7 of the 7 private images"):
        judge_attack(images, mixed, panel, members=unseen, non_members=noise)
    with pytest.raises(ValueError, match="trained on 7 of the 7 members"):
        judge_attack(images, private, panel, members=mixed, non_members=noise)


def test_a_saved_judge_still_knows_its_rows(panel, known, tmp_path):
    for name in ("convolution", "perceptron"):
        path = tmp_path / f"{name}.safetensors"
        panel[name].save(path)
        loaded = Judge.load(path, device="cpu")
        np.testing.assert_array_equal(loaded.fingerprints, fingerprints(known.images))
        np.testing.assert_array_equal(
            loaded.predict(known.images[:50]), panel[name].predict(known.images[:50])
        )


def test_the_victim_is_refused(trained, private, unseen):
    judge = Judge(trained.network, trained.class_names, trained.image_shape)
    with pytest.raises(ValueError, match="the judge is the victim"):
        judge_attack(
            {0: unseen.images[:5]},
            private,
            {"j": judge},
            members=unseen,
            non_members={"noise": {0: grey(50)}},
            victim=trained,
        )


def test_what_rates_cannot_be_measured_on():
    for judges, others in (({}, {"k": {0: grey(1)}}), ({"j": Fixed({})}, {})):
        with pytest.raises(ValueError, match="at least one judge, members and one"):
            judged(judges, {0: grey(41)}, others)
    with pytest.raises(ValueError, match="images of at least one class"):
        judged({"j": Fixed({})}, {}, {"k": {0: grey(1)}})


# Neighbours


def test_neighbours_say_none_of_what_is_far(known, unseen):
    judge = NeighbourJudge(known)
    assert (judge.predict(unseen.images) == unseen.labels).mean() > 0.75
    rng = np.random.default_rng(0)
    assert (judge.predict(rng.random((20, 1, 8, 8))) == -1).all()
    own = NeighbourJudge(known, reject=0.0)
    assert (own.predict(known.images) >= 0).all()
    assert judge.reach_ < own.reach_
    assert judge.predict(known.images[:0]).shape == (0,)


def test_bad_parameters_of_neighbours(known):
    with pytest.raises(ValueError, match="expected more images than that"):
        NeighbourJudge(known.subset(slice(0, 5)))
    with pytest.raises(ValueError, match=r"reject=1.0: expected 0 <= reject < 1"):
        NeighbourJudge(known, reject=1.0)
    with pytest.raises(ValueError, match="expected images of shape"):
        NeighbourJudge(known).predict(np.zeros((1, 1, 4, 4)))


def test_equal_pixels_have_equal_fingerprints(known):
    found = fingerprints(known.images)
    assert found.dtype == np.uint64
    again = fingerprints(known.images.astype(np.float64) + 1e-4)
    np.testing.assert_array_equal(found, again)
    assert len(np.unique(found)) == len(np.unique(known.images, axis=0))
