"""A run that is stopped while it writes goes on to the same results."""

import os
import re
import subprocess
import sys

import pytest

# In the order of the ways; all points by python -m tests.attack.kill_points.
EVERY = {"kill": 12, "full": 30, "size": 9}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process per write point")
@pytest.mark.slow
def test_a_run_stopped_at_write_points_ends_as_if_it_had_not_been():
    steps = map(str, EVERY.values())
    ended = subprocess.run(
        [sys.executable, "-m", "tests.attack.kill_points", "--every", *steps],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    identical = re.findall(r"(\w+): .*, all resumed runs identical", ended.stdout)
    assert identical == list(EVERY)
    sys.stdout.write(ended.stdout)
