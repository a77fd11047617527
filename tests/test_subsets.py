"""Subsets of rows that effects are looked at in."""

import numpy as np
import pytest

from kldiv._errors._subsets import subsets


def test_subsets_share_what_they_should():
    masks = subsets(1000, 0)
    assert masks[0].all()
    for one, two, share in ((1, 2, 0.2113), (3, 4, 0.7887)):
        assert masks[one].sum() == masks[two].sum()
        assert (masks[one] | masks[two]).all()
        common = (masks[one] & masks[two]).sum() / masks[one].sum()
        assert common == pytest.approx(share, abs=3e-3)
    assert not np.array_equal(masks[1], subsets(1000, 1)[1])
    np.testing.assert_array_equal(masks[1], subsets(1000, 0)[1])
