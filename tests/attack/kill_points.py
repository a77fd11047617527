"""Stop a run at every point at which it writes, go on, and compare the results.

    python -m tests.attack.kill_points [--way kill|full|size] [--every N ...]
                                       [--part A B]

A run is made once to count its write points: files that are opened for writing,
renamed, removed, cut off, folders that are made, and the middle and the end of what is
written. Then, at each of them in turn, a child process dies by SIGKILL, or its disk is
full; the next child goes on in the same folder and must end as the undisturbed run did.
The third way asks the system itself: files may be one byte smaller than one of the
run's files in turn. N is one number, or one for each way.
"""

import argparse
import errno
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import warnings
from pathlib import Path

from kldiv_attack import _files, _run_folder
from kldiv_attack.experiment import run_experiment
from tests.attack.conftest import three_digits

WAYS = ("kill", "full", "size")
FAILURES = {"full": "No space left", "size": "File too large"}
EVENTS = {"os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Faults:
    """Counts write points inside a folder and strikes at one of them."""

    def __init__(self, folder, strike_at=0, way="kill"):
        self.folder, self.strike_at, self.way = str(folder), strike_at, way
        self.count = 0

    def install(self):
        """Watch the file functions of this process from now on."""
        sys.addaudithook(self._hook)
        for module in (_files, _run_folder):
            module.open = self._open

    def point(self):
        """A write point; the process may not come back from it."""
        self.count += 1
        if self.count != self.strike_at:
            return
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _hook(self, event, arguments):
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in EVENTS:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(
            self.folder
        ):
            self.point()

    def _open(self, path, mode="r", **options):
        file = open(path, mode, **options)  # noqa: SIM115 - who asked closes it
        if "r" not in mode and str(path).startswith(self.folder):
            return Half(file, self)
        return file


class Half:
    """A file whose writes are points in their middle and at their end."""

    def __init__(self, file, faults):
        self.file, self.faults = file, faults

    def write(self, data):
        middle = len(data) // 2
        self.file.write(data[:middle])
        self.file.flush()
        self.faults.point()
        self.file.write(data[middle:])
        self.file.flush()
        self.faults.point()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *reasons):
        self.file.close()


def settings():
    """A run of a second, with two checkpoints."""
    return {
        "train": three_digits("train", 200),
        "aux": three_digits("test", 200),
        "victim": {"epochs": 4, "batch_size": 16, "width": 4},
        "judge": {"epochs": 1, "batch_size": 32, "width": 4},
        "attacker": {
            "name": "cgan", "steps": 4, "width": 4, "batch_size": 8,
            "candidates": 1, "consistency": None, "min_responses": 1,
        },
        "checkpoint_every": 2,
        "indicator": [{"features": "pca2", "n_neighbors": 1}],
        "evaluate": {"n_reconstructions": 3, "n_neighbors": 2, "max_rows": 20},
    }  # fmt: skip


def outcome(folder):
    """All numbers and images of a run but the time it took."""
    results = json.loads((folder / "results.json").read_text())
    del results["seconds"]
    for report in results["indicators"].values():
        report["settings"].pop("seconds", None)
    names = ("metrics.jsonl", "images.safetensors")
    files = {name: (folder / name).read_bytes() for name in names}
    left = sorted(p.name for p in folder.rglob("*") if p.suffix in (".tmp", ".lock"))
    whole = (folder / "report.html").stat().st_size > 0
    return results, files, whole, [name for name in left if name != ".lock"]


def in_child(function):
    """Run in a fork; returns what the child wrote, and its exit status."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            os.write(write, str(function()).encode())
            code = 0
        except (OSError, RuntimeError) as error:
            os.write(write, str(error).encode())
            code = 2
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    return text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def attempt(folder, strike_at=0, way="kill"):
    """A run whose disk or process fails at a point; returns how many it passed."""
    if way == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (strike_at - 1, strike_at - 1))
        strike_at = 0
    faults = Faults(folder, strike_at, way)
    faults.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_experiment(settings(), folder, verbose=0)
    return faults.count


def struck(folder, point, way, expected):
    """Strike at a point, go on, and compare."""
    text, status = in_child(lambda: attempt(folder, point, way))
    if way == "kill":
        assert status == -signal.SIGKILL, (point, status, text)
    else:  # what is not lost may go on, for instance without a lock to remove
        assert status in (0, 2), (point, status, text)
        assert status == 0 or FAILURES[way] in text, (point, text)
    text, status = in_child(lambda: attempt(folder))
    assert status == 0, (point, text)
    assert outcome(folder)[:3] == expected[:3], point


def load_what_runs_load():
    """Import here what every child would otherwise import anew, for two seconds."""
    for name in ("torch._dynamo", "matplotlib.pyplot"):
        importlib.import_module(name)


def check(way, every=1, part=(1, sys.maxsize), say=print):
    """Strike at the points of a part, every n-th; returns how many were tried."""
    load_what_runs_load()
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        text, status = in_child(lambda: attempt(whole))
        if status:
            raise AssertionError(f"the undisturbed run failed: {text}")
        points = list(range(1, int(text) + 1))
        if way == "size":
            sizes = {path.stat().st_size for path in whole.rglob("*")}
            points = sorted(size for size in sizes if size > 1)
        total, expected = len(points), outcome(whole)
        say(f"{way}: {total} write points")
        points = points[part[0] - 1 : part[1]][::every]
        for tried, point in enumerate(points, 1):
            struck(Path(place) / f"{way}_{point}", point, way, expected)
            if tried % 10 == 0:
                say(f"{way}: {tried} of {len(points)}")
    say(f"{way}: {len(points)} of {total} write points, all resumed runs identical")
    return len(points), total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, nargs="+", default=[1])
    parser.add_argument("--part", type=int, nargs=2, default=(1, sys.maxsize))
    parser.add_argument("--way", choices=WAYS)
    chosen = parser.parse_args()
    ways = list(WAYS) if chosen.way is None else [chosen.way]
    steps = chosen.every * len(ways) if len(chosen.every) == 1 else chosen.every
    for one, step in zip(ways, steps, strict=True):
        check(one, step, chosen.part)
