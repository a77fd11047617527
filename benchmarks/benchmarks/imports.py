"""What an import and the first call cost, each in a fresh interpreter."""

import subprocess
import sys
import time


def timeraw_import_kldiv():
    return "import kldiv"


def timeraw_import_everything():
    """Names load their modules on first use; this uses one."""
    return "from kldiv import KNNDivergence"


def timeraw_import_numpy():
    return "import numpy"


def timeraw_import_kldiv_attack():
    return "import kldiv_attack"


class FirstCall:
    """Seconds of the first estimate after the import: nothing is compiled."""

    CODE = """
import time
import numpy as np
from kldiv import kl_divergence
X = np.random.default_rng(0).normal(size=(100, 2))
started = time.perf_counter()
kl_divergence(X[:50], X[50:])
print(time.perf_counter() - started)
"""

    unit = "seconds"

    def track_first_call(self):
        times = [
            float(subprocess.check_output([sys.executable, "-c", self.CODE]))
            for _ in range(3)
        ]
        return min(times)


def track_import_ratio():
    """``import kldiv`` over ``import numpy``, interpreter start included."""

    def best(code):
        times = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - started)
        return min(times)

    return best("import kldiv") / best("import numpy")
