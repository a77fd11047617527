#!/usr/bin/env bash
# Build the kernels without OpenMP in a copy of the sources, compare every digit of the
# distances with the build of the caller, and run the tests of the neighbours.
# Usage: tools/serial.sh [python] [options of pytest]
set -euo pipefail
python=$(command -v "${1:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$root"/{setup.py,pyproject.toml,README.md,kldiv,tests} "$folder"
find "$folder" -name '*.so' -delete
mkdir "$folder/compare" && cat > "$folder/compare/digest.py" <<'PYTHON'
"""Print a hash of the distances that every algorithm finds, and whether with OpenMP."""

import hashlib
import sys

import numpy as np

import kldiv
from kldiv._backends import BACKENDS
from kldiv._backends._filter import bytes_available
from kldiv._neighbors import BLOCKS
from kldiv._versions import versions

rng = np.random.default_rng(0)
for d in (1, 3, 12, 90):
    for dtype in (np.float32, np.float64):
        X, Y = (rng.normal(size=(n, d)).astype(dtype) for n in (700, 600))
        X[::5] = X[0]
        for name in BACKENDS:
            if (name == "sorted" and d > 1) or (
                name == "int8" and not bytes_available(d)
            ):
                continue
            found = kldiv.neighbor_distances(
                X, Y, n_neighbors=7, blocks=BLOCKS, algorithm=name, n_jobs=2
            )
            digest = hashlib.sha256()
            for block in BLOCKS:
                digest.update(found.block(block).tobytes())
            print(d, np.dtype(dtype).name, name, digest.hexdigest()[:16])
print("OpenMP:", versions()["openmp"], file=sys.stderr)
PYTHON
(cd "$root" && PYTHONPATH="$root" "$python" "$folder/compare/digest.py" > "$folder/parallel.txt")
cd "$folder"
KLDIV_NO_OPENMP=1 KLDIV_CFLAGS="-O1 -g0" "$python" setup.py -q build_ext --inplace 2> build.log \
    || { cat build.log; exit 1; }
PYTHONPATH="$folder" "$python" compare/digest.py > serial.txt 2> serial.log
cat serial.log
grep -q "OpenMP: no" serial.log
diff parallel.txt serial.txt
echo "$(wc -l < serial.txt) searches give the same distances with and without OpenMP"
"$python" -m pytest -q -p no:cacheprovider "${@:2}" \
    -k "not emnist and not other_metrics and not near_duplicates and (not awkward or -5-)" \
    tests/test_neighbors.py tests/test_backends.py
