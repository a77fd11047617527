#!/usr/bin/env bash
# Cross-compile the kernels for arm64 and run their tests under user-mode emulation, on
# every level that the emulated processor has. For Debian; needs root only for
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user unzip
# Usage: tools/arm64.sh [python, of the version of Debian's] [options of pytest]
set -euo pipefail
python=$(command -v "${1:-python}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
mkdir "$folder"/{debs,system,wheels,packages,sources}
chmod 755 "$folder" "$folder/debs"
(
    cd "$folder/debs"
    apt-get -qq download "python$version-minimal:arm64" "libpython$version-minimal:arm64" \
        "libpython$version-stdlib:arm64" libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64 \
        libgfortran5:arm64 libexpat1:arm64 zlib1g:arm64 libffi8:arm64 libssl3:arm64 \
        libbz2-1.0:arm64 liblzma5:arm64 libcrypt1:arm64 libuuid1:arm64
    for package in *.deb; do dpkg-deb -x "$package" "$folder/system"; done
)
"$python" -m pip download -q --only-binary=:all: --python-version "$version" \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 -d "$folder/wheels" \
    numpy scipy scikit-learn pytest hypothesis
for wheel in "$folder"/wheels/*.whl; do unzip -qo "$wheel" -d "$folder/packages"; done

cp -r "$root"/{setup.py,pyproject.toml,README.md,kldiv,tests} "$folder/sources"
cd "$folder/sources"
find . -name '*.so' -delete
# Serial: whether OpenMP works is probed by a program that cannot run here.
CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared" \
    _PYTHON_HOST_PLATFORM=linux-aarch64 KLDIV_NO_OPENMP=1 \
    "$python" setup.py -q build_ext --inplace > build.log 2>&1 || { cat build.log; exit 1; }
for file in kldiv/_kernels/*.so; do mv "$file" "${file%%.*}.so"; done
echo "built in $SECONDS s; tests:"
export PYTHONPATH=.:$folder/packages OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
emulated() { qemu-aarch64 -cpu "${processor:-max}" -L "$folder/system" "$folder/system/usr/bin/python$version" "$@"; }
levels_of() {
    processor=$1 emulated -c 'import sys
from kldiv._kernels._isa import available_levels
assert available_levels() == sys.argv[1:], available_levels()' "${@:2}"
}
levels_of cortex-a72 baseline
levels_of neoverse-n1 baseline dotprod
levels_of max baseline dotprod i8mm
# Tests that start another Python would start one for this processor.
emulated -m pytest -q -o addopts= -p no:cacheprovider -k "not environment_forces \
    and not different_code and not memory_beyond and not 200-40" \
    tests/test_kernels.py tests/test_ball_mass.py "${@:2}"
echo "no difference on arm64 ($SECONDS s)"
