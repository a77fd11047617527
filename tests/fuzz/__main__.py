"""The long tier: python -m tests.fuzz [--minutes M] [--seed S] [words for pytest].

Rounds of pytest with a seed of their own until the time is over. Inputs that fail stay
in tests/fuzz/corpus and are tried first, also by the short tier, until they pass.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.tiers import LONG, SEED

EXAMPLES = 300  # per test and round


def main():
    """Run rounds; returns 0 if none found anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options, words = parser.parse_known_args()
    environment = {**os.environ, LONG: str(EXAMPLES)}
    command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)]
    command += ["-n", "0", *words]
    end = time.monotonic() + 60 * options.minutes
    rounds, failed = 0, []
    while time.monotonic() < end:
        seed = options.seed + rounds
        environment[SEED] = str(seed)
        if subprocess.run(command, env=environment, check=False).returncode:
            failed.append(seed)
        rounds += 1
        sys.stdout.write(
            f"{rounds} rounds of {EXAMPLES} examples per test; failed seeds: {failed}\n"
        )
        sys.stdout.flush()
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
