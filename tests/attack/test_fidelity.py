"""Comparison of reconstructions with the one image that was looked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv_attack import evaluate_pairs
from kldiv_attack._fidelity import psnr, ssim
from kldiv_attack.judge import Judge
from tests import reference


def images(seed, shape=(3, 2, 9, 8)):
    return np.random.default_rng(seed).random(shape)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), window=st.sampled_from([3, 5, 7]))
def test_ssim_is_the_mean_over_all_windows(seed, window):
    first = images(seed)
    second = np.clip(first + 0.3 * images(seed + 1) - 0.15, 0, 1)
    expected = [
        reference.ssim(a, b, window) for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(ssim(first, second, window=window), expected, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_ssim_is_symmetric_and_one_for_equal_images_only(seed):
    first, second = images(seed), images(seed + 1)
    np.testing.assert_allclose(ssim(first, second), ssim(second, first), rtol=1e-9)
    np.testing.assert_allclose(ssim(first, first), 1, rtol=1e-9)
    assert (ssim(first, second) < 0.9).all()


def test_ssim_of_a_negative_is_negative():
    first = (images(0) > 0.5).astype(float)
    assert (ssim(first, 1 - first) < -0.5).all()


@pytest.mark.parametrize(("error", "decibels"), [(0.1, 20), (0.01, 40), (1, 0)])
def test_psnr_of_a_known_error(error, decibels):
    truth = np.zeros((2, 1, 8, 8))
    np.testing.assert_allclose(psnr(truth + error, truth), decibels, atol=1e-4)
    assert np.isposinf(psnr(truth, truth)).all()


@pytest.mark.parametrize("window", [2, 1, 5.0, True])
def test_windows_have_at_least_three_pixels(window):
    with pytest.raises(ValueError, match="whole number >= 3"):
        ssim(images(0), images(1), window=window)


def test_windows_have_an_odd_side():
    with pytest.raises(ValueError, match="odd whole number"):
        ssim(images(0), images(1), window=4)
    with pytest.raises(ValueError, match="8 pixels are smaller"):
        ssim(images(0), images(1), window=9)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(images(0), images(0, (3, 2, 8, 8)))


def test_pairs_are_scored_per_class(private, judge, trained):
    truth = private.subset(slice(0, 60))
    made = np.clip(truth.images * 0.8, 0, 1)
    made[truth.labels == 4] = np.nan
    report = evaluate_pairs(made, truth, judge, victim=trained)
    rows = truth.labels == 3
    assert report["rows"][3] == rows.sum()
    assert report["psnr"][3] == pytest.approx(
        psnr(made[rows], truth.images[rows]).mean()
    )
    assert report["ssim"][3] == pytest.approx(
        ssim(made[rows], truth.images[rows]).mean()
    )
    hits = judge.predict(made[rows]) == 3
    assert report["accuracy"][3] == pytest.approx(hits.mean())
    assert np.isnan(report["psnr"][4])
    count = (truth.labels == 4).sum()
    assert report.reasons["4"] == f"{count} of {count} images were not reconstructed"


def test_pairs_that_do_not_belong_together(private, judge, trained):
    with pytest.raises(ValueError, match="one image for each"):
        evaluate_pairs(private.images[:5], private, judge)
    cheat = Judge(trained.network, trained.class_names, trained.image_shape)
    with pytest.raises(ValueError, match="the judge is the victim"):
        evaluate_pairs(private.images, private, cheat, victim=trained)
