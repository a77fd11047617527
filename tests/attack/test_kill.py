"""A run that is stopped while it writes goes on to the same results."""

import os
import subprocess
import sys

import pytest

# All of them by python -m tests.attack.kill_points.
EVERY = {"kill": 12, "full": 30, "size": 9}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process per write point")
@pytest.mark.slow
@pytest.mark.parametrize("way", sorted(EVERY))
def test_a_run_stopped_at_write_points_ends_as_if_it_had_not_been(way):
    command = [sys.executable, "-m", "tests.attack.kill_points", "--way", way]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*command, "--every", str(EVERY[way])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    last = ended.stdout.splitlines()[-1]
    assert "all resumed runs identical" in last
    sys.stdout.write(f"{last}\n")
