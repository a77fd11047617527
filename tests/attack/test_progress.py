"""Progress: a line that refreshes in terminals, a line a minute in logs."""

import io
import sys

import pytest

from kldiv_attack import _progress
from kldiv_attack._progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Each item takes ten seconds."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])

    def items(n, seconds=10.0):
        for item in range(n):
            yield item
            now[0] += seconds

    return items


def run(monkeypatch, file, items, **options):
    monkeypatch.setattr(sys, "stderr", file)
    bar = progress(items, file=file, mininterval=0, miniters=1, **options)
    for _ in bar:
        bar.set_postfix(loss=1)
    return file.getvalue()


def test_logs_get_a_line_a_minute(monkeypatch, clock):
    text = run(monkeypatch, io.StringIO(), clock(60), total=60, desc="train")
    lines = text.splitlines()
    assert 9 <= len(lines) <= 10
    assert all(line.startswith("train: ") and " of 60" in line for line in lines)
    assert "\r" not in text
    assert "\x1b" not in text


def test_logs_are_quiet_about_short_work(monkeypatch, clock):
    assert run(monkeypatch, io.StringIO(), clock(5), total=5, desc="train") == ""


def test_terminals_refresh_one_line(monkeypatch, clock):
    text = run(monkeypatch, Terminal(), clock(60), total=60, desc="train")
    assert text.count("\r") > 50
    assert text.count("\n") == 1


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_nothing_if_not_asked_for(monkeypatch, clock, kind):
    assert run(monkeypatch, kind(), clock(60), total=60, disable=True) == ""
