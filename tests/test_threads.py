"""Progress of jobs in threads."""

import io
import sys

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, ks_test
from kldiv import _threads as threads


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def told(monkeypatch):
    """What in_threads writes of jobs that take so many seconds each."""

    def run(file, n_jobs, seconds, n_threads=1, name="jobs done"):
        now = [0.0]

        def work(job):
            now[0] += seconds
            return job

        monkeypatch.setattr(threads, "monotonic", lambda: now[0])
        monkeypatch.setattr(sys, "stderr", file)
        jobs = [(i,) for i in range(n_jobs)]
        assert threads.in_threads(work, jobs, n_threads, name) == list(range(n_jobs))
        return file.getvalue()

    return run


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_log_gets_a_line_at_once_and_one_a_minute(told, n_threads):
    lines = told(io.StringIO(), 30, 10.0, n_threads).splitlines()
    assert lines[0] == "jobs done: 1 of 30, 10 s passed, 290 s left"
    assert lines[1] == "jobs done: 7 of 30, 70 s passed, 230 s left"
    assert len(lines) == 5


def test_a_terminal_has_one_line_that_is_gone_in_the_end(told):
    text = told(Terminal(), 30, 10.0)
    assert "\n" not in text
    assert text.count("\r\x1b[Kjobs done: ") == 30
    assert text.endswith("\r\x1b[K")


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
@pytest.mark.parametrize(("seconds", "name"), [(0.3, "jobs done"), (60.0, "")])
def test_nothing_of_short_work_or_unasked(told, kind, seconds, name):
    assert told(kind(), 30, seconds, name=name) == ""


@pytest.mark.parametrize("verbose", [0, 1])
def test_who_tells_of_what(monkeypatch, capsys, rng, verbose):
    monkeypatch.setattr(threads, "_LONG_SECONDS", 0.0)
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    labels = np.arange(60) % 2, np.arange(50) % 2
    ks_test(X, Y, n_permutations=99, verbose=verbose)
    said = "blocks of 64 relabellings: 1 of 2, 0 s passed, 0 s left\n" * verbose
    assert capsys.readouterr().err == said
    scorer = ConditionalKLScorer(verbose=verbose)
    scorer.fit((X, labels[0]), (Y, labels[1]))
    assert ("classes scored: 1 of 2," in capsys.readouterr().err) == bool(verbose)
