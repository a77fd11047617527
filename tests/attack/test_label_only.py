"""The attacker that sees labels: what it asks, and that it learns from it."""

import numpy as np
import pytest

from kldiv_attack import make_attacker
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder, digest, small


@pytest.fixture
def labels_only(trained):
    """Make a victim that can only say labels, and remembers what it was asked."""

    def _make(budget=None):
        asked = []

        def answer(images):
            asked.append(images.copy())
            return trained.query(images).argmax(1)

        victim = Victim.from_callable(answer, 10, answers="labels", budget=budget)
        victim.asked = asked
        return victim

    return _make


def fit(victim, public, recorder=None, **changes):
    options = small("label_only", **changes)
    return make_attacker("label_only", **options).fit(
        victim, public.images, recorder=recorder
    )


def test_public_images_are_asked_about_first_and_then_generated_ones(
    labels_only, public
):
    victim = labels_only()
    fitted = fit(victim, public)
    asked = np.concatenate(victim.asked)
    n = len(public)
    np.testing.assert_array_equal(asked[:n], public.images)
    assert fitted.n_queries_ == len(asked) == n + 8 + 40
    rows = {image.tobytes() for image in public.images}
    assert not any(image.tobytes() in rows for image in asked[n + 8 :])
    assert 0 <= fitted.agreement_ <= 1


def test_no_generated_queries(labels_only, public):
    victim = labels_only()
    fitted = fit(victim, public, n_generated=0)
    assert fitted.n_queries_ == len(public) + 8
    assert np.isnan(fitted.agreement_)
    assert not fitted.budget_exhausted_


@pytest.mark.parametrize(
    ("left", "exhausted"), [(-100, True), (0, True), (8, True), (25, True), (48, False)]
)
def test_a_budget_ends_the_queries_wherever_it_ends(
    labels_only, public, left, exhausted, caplog
):
    """All of it is spent, and the attack goes on with what it has."""
    budget = len(public) + left
    victim = labels_only(budget)
    fitted = fit(victim, public, min_responses=1)
    assert fitted.n_queries_ == victim.n_queries == budget
    assert fitted.budget_exhausted_ == exhausted
    assert ("budget allows" in caplog.text) == exhausted
    assert len(fitted.labels_) == min(budget, len(public))
    assert np.isfinite(digest(fitted)).all()


def test_answers_about_generated_images_are_in_the_snapshot(labels_only, public):
    """Interrupted right after the second round of queries, nothing is asked again."""
    expected = fit(labels_only(), public)
    recorder = MemoryRecorder(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        fit(labels_only(), public, recorder)
    assert "label_only.extra_labels" in recorder.snapshot[1]
    victim = labels_only()
    resumed = fit(victim, public, recorder)
    assert victim.n_queries == 0
    assert resumed.n_queries_ == expected.n_queries_
    np.testing.assert_array_equal(digest(expected), digest(resumed))


def test_other_settings_of_the_gan_are_refused(labels_only, public):
    recorder = MemoryRecorder()
    fit(labels_only(), public, recorder)
    with pytest.raises(ValueError, match=r"rehearsal=0\.5 \(was 0\.2\)"):
        fit(labels_only(), public, recorder, rehearsal=0.5)
    with pytest.raises(ValueError, match="loss='hinge'"):
        fit(labels_only(), public, recorder, gan={"consistency": None, "loss": "hinge"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_generated": -1}, "n_generated=-1"),
        ({"surrogate_steps": 0}, "surrogate_steps=0"),
        ({"min_responses": 1.5}, "min_responses=1.5"),
        ({"rehearsal": 0.0}, "rehearsal=0.0"),
        ({"steps": 0}, "steps=0"),
        ({"gan": {"loss": "wasserstein"}}, "hinge"),
    ],
)
def test_bad_parameters(labels_only, public, changes, message):
    with pytest.raises(ValueError, match=message):
        fit(labels_only(), public, **changes)


def test_quality_on_digits(labels_only, judge, public):
    """Labels of held-out digits are enough to draw most digits; chance is 0.1."""
    options = {"steps": 250, "n_generated": 200, "surrogate_steps": 100}
    fitted = make_attacker("label_only", **options).fit(labels_only(), public.images)
    images = fitted.invert(range(10), 50)
    accuracy = [(judge.predict(images[label]) == label).mean() for label in range(10)]
    assert np.mean(accuracy) > 0.6
    assert images.std(axis=1).mean() > 0.05  # not one image over and over
    assert fitted.agreement_ > 0.5
