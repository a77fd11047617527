"""Small victims and data whose exposure is known."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kldiv import KNNDivergence
from kldiv_attack import audit
from kldiv_attack.audit import one_law, scoring


def cloud(rng, n, shift=0.0, d=3):
    """Three classes of Gaussians; auxiliary ones may be moved away."""
    y = np.arange(n) % 3
    centres = 4.0 * np.eye(3, d)
    return rng.normal(size=(n, d)) + centres[y] + shift, y


@pytest.fixture
def train(rng):
    return cloud(rng, 300)


@pytest.fixture
def public(rng):
    return cloud(np.random.default_rng(rng.integers(2**31)), 240)[0]


@pytest.fixture
def unseen():
    return cloud(np.random.default_rng(77), 240)


@pytest.fixture
def model(train):
    return LogisticRegression().fit(*train)


@pytest.fixture
def run(tmp_path, train, public, model):
    """An audit of the small victim; arguments replace the defaults."""

    def call(victim=None, aux=None, folder=None, **options):
        return audit(
            model if victim is None else victim,
            options.pop("train", train),
            public if aux is None else aux,
            tmp_path / "out" if folder is None else folder,
            **options,
        )

    return call


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of victims and make it importable by a fresh name."""
    monkeypatch.chdir(tmp_path)
    count = iter(range(100))

    def write(text):
        name = f"victims_{tmp_path.name.replace('-', '_')}_{next(count)}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return write


@pytest.fixture
def plain_scores(monkeypatch):
    """Without a search for the best correction, where a test is about no number."""
    for module in (one_law, scoring):
        monkeypatch.setattr(
            module, "KNNDivergence", partial(KNNDivergence, correction=None)
        )
