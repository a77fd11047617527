"""Groups that are left out together."""

import numpy as np

from kldiv._errors._leave_out import leave_out_groups


def test_twice_the_groups_are_parts():
    fine, coarse = leave_out_groups(97, 20, 0), leave_out_groups(97, 10, 0)
    np.testing.assert_array_equal(fine % 10, coarse)
    assert (np.bincount(fine) >= 4).all()
