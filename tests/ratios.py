"""Log ratios of two samples as the estimators make them, for tests of their parts."""

import numpy as np

from kldiv._preparation import PreparedPair
from kldiv._ratio._corrections import estimate_log_ratio
from kldiv._ratio._log_ratio import Settings


def log_ratio(X, Y, k=5, correction=None, **settings):
    pair = PreparedPair(np.asarray(X), np.asarray(Y), X.shape[1], n_duplicates=0)
    return estimate_log_ratio(pair, correction, Settings(k, **settings))
