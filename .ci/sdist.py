"""Build a source distribution that depends on the sources alone.

    python .ci/sdist.py FOLDER            into FOLDER, and print its SHA-256
    python .ci/sdist.py --check FOLDER    the same, and compare with one built from it

Times, owners and the order of files would differ between two builds, and so would what
setuptools notes for itself and writes anew. Needs `build`.
"""

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Of every file unless the variable says otherwise; the first day that zip files know.
TIME = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))
NOTES = ("kldiv.egg-info", "setup.cfg")


def build(source, folder):
    """The normalised source distribution of the folder `source`."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "build", "--sdist", "--outdir", place, source]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (found,) = Path(place).iterdir()
        target = Path(folder) / found.name
        target.parent.mkdir(parents=True, exist_ok=True)
        normalise(found, target)
    return target


def normalise(source, target):
    """The same files, sorted, of nobody, at one time."""
    with (
        tarfile.open(source) as old,
        open(target, "wb") as raw,
        gzip.GzipFile("", "wb", mtime=TIME, fileobj=raw) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            if any(part in NOTES for part in Path(member.name).parts):
                continue
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime, member.pax_headers = TIME, {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same_again(first):
    """Whether a second build, from the first and in another folder, is the same."""
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(first) as archive:
            archive.extractall(place, filter="data")
        unpacked = Path(place, first.name.removesuffix(".tar.gz"))
        return digest(build(unpacked, Path(place, "second"))) == digest(first)


if __name__ == "__main__":
    made = build(ROOT, sys.argv[-1])
    print(digest(made), made)
    if "--check" in sys.argv and not same_again(made):
        sys.exit("a build from this source distribution differs from it")
