"""What an import costs, and the first call after it.

    python benchmarks/startup.py [--repetitions 9]

Every line is a fresh interpreter, its start included; the commands take turns and the
smallest process CPU time of each counts. The first call is timed inside, after
``from kldiv import kl_divergence``: nothing is compiled, so it costs what the second
call costs.
"""

import argparse
import subprocess
import sys

COMMANDS = {
    "nothing": "",
    "import numpy": "import numpy",
    "import kldiv": "import kldiv",
    "import sklearn.base": "import sklearn.base",
    "from kldiv import kl_divergence": "from kldiv import kl_divergence",
}
TIMED = "{code}\nimport time\nprint(time.process_time())"
CALLS = """
import time
import numpy as np
from kldiv import kl_divergence
X, Y = np.random.default_rng(0).normal(size=(2, 50, 2))
for _ in range(2):
    started = time.process_time()
    kl_divergence(X, Y)
    print(time.process_time() - started)
"""


def printed(code):
    """Numbers that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return [float(line) for line in done.stdout.split()]


def smallest(codes, repetitions):
    """Per code the smallest of each printed number, in turns."""
    rounds = [[printed(code) for code in codes] for _ in range(repetitions)]
    return [
        [min(values) for values in zip(*found, strict=True)]
        for found in zip(*rounds, strict=True)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    repetitions = parser.parse_args().repetitions
    codes = [*(TIMED.format(code=code) for code in COMMANDS.values()), CALLS]
    *imports, calls = smallest(codes, repetitions)
    seconds = {name: found[0] for name, found in zip(COMMANDS, imports, strict=True)}
    print("| in a fresh interpreter | CPU, ms | times `import numpy` |\n|---|--:|--:|")
    for name, cost in seconds.items():
        print(f"| {name} | {1e3 * cost:.0f} | {cost / seconds['import numpy']:.2f} |")
    for name, cost in zip(("first", "second"), calls, strict=True):
        print(f"| {name} call of kl_divergence, 50 and 50 rows | {1e3 * cost:.1f} | |")


if __name__ == "__main__":
    main()
