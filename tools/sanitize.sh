#!/usr/bin/env bash
# Build the kernels with AddressSanitizer and UndefinedBehaviorSanitizer in a copy of the
# sources, and run the tests of the kernels and the fuzzer's inputs over them.
# Usage: tools/sanitize.sh [python] [options of pytest]
set -euo pipefail
python=$(command -v "${1:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r "$root"/{setup.py,pyproject.toml,README.md,kldiv,tests} "$folder"
find "$folder" -name '*.so' -delete
cd "$folder"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# Rounding of out-of-range floats to integers would be a bug as well. Checks as calls
# instead of inline code: compiling takes a tenth of the time. The matrix registers of AMX
# are arrays, so that the level runs, and its memory is seen, on every machine with VNNI.
export KLDIV_CFLAGS="-O1 -g1 $sanitizers -fsanitize=float-cast-overflow -fno-omit-frame-pointer
    -DKLDIV_PLAIN_MATRIX
    --param asan-instrumentation-with-call-threshold=0"
LDFLAGS="$sanitizers" "$python" setup.py -q build_ext --inplace 2> build.log \
    || { cat build.log; exit 1; }
echo "built with sanitizers in $SECONDS s; tests:"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
sanitized() { LD_PRELOAD=$libraries "$python" "$@"; }
run() { sanitized -m pytest -q -p no:cacheprovider "$@"; }
for name in _ball_mass _distances _knn _ks; do
    sanitized -c "import kldiv._kernels.$name as k; assert k.__file__.startswith('$folder'), k"
done

# Every instruction set that the machine has, by a fixture of these tests; the widest
# case costs as much as all others and goes through the same code, as ties of small and of
# large integers do, and neither the draws of Monte Carlo nor the size of a process show
# anything of the kernels' memory.
run "${@:2}" -k "not environment_forces and not different_code and not 200-40 \
    and not monte_carlo and not memory_beyond and not 20-8 and not 300-9" \
    tests/test_kernels.py tests/test_backends.py \
    tests/test_ball_mass.py tests/test_ks_*.py
# Awkward data on the narrowest and on the widest set: other loops have other ends.
selected="not emnist and not other_metrics and not near_duplicates \
    and (not awkward or -20-float32 or sorted)"
for level in baseline ""; do
    echo "awkward data, instruction set: ${level:-the highest}"
    KLDIV_ISA=$level run "${@:2}" -k "$selected" tests/test_neighbors.py
done
# What ever failed (tests/fuzz/corpus and the examples in the files), and some of what
# the fuzzer draws, through every extension: searches, ball masses, distances, gaps.
echo "inputs of the fuzzer"
KLDIV_FUZZ_EXAMPLES=${KLDIV_FUZZ_EXAMPLES:-8} run "${@:2}" -n 0 \
    tests/fuzz/test_fuzz_core.py tests/fuzz/test_fuzz_estimators.py
echo "sanitizers found nothing ($SECONDS s)"
