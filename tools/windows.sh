#!/usr/bin/env bash
# Cross-compile the C of all kernels for Windows, every instruction set, and link it: shows
# that nothing in it is of one system. Needs Debian's gcc-mingw-w64-x86-64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../kldiv/_kernels"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
wide="-mavx2 -mfma"
widest="$wide -mavx512f -mavx512bw -mavx512dq -mavx512vl"
build() { # name of the object, source, options
    # shellcheck disable=SC2086
    x86_64-w64-mingw32-gcc -O1 -Werror=implicit-function-declaration -Wno-unknown-pragmas \
        -DKLDIV_HAS_{AVX2,AVXVNNI,AVX512,VNNI} $3 -c "$2" -o "$folder/$1.o"
}
for source in isa.c knn.c ks.c ball_mass.c; do build "${source%.c}" "$source" ""; done
for source in knn_*.c ks_*.c ball_mass_*.c; do
    build "${source%.c}_baseline" "$source" -DKLDIV_ISA=baseline
    build "${source%.c}_avx2" "$source" "-DKLDIV_ISA=avx2 $wide"
    build "${source%.c}_avx512" "$source" "-DKLDIV_ISA=avx512 $widest"
done
for source in knn_int8.c knn_filter.c; do
    build "${source%.c}_avxvnni" "$source" \
        "-DKLDIV_ISA=avxvnni -DKLDIV_AVXVNNI $wide -mavxvnni"
    build "${source%.c}_vnni" "$source" \
        "-DKLDIV_ISA=vnni -DKLDIV_VNNI $widest -mavx512vnni"
done
x86_64-w64-mingw32-gcc -shared "$folder"/*.o -o "$folder/kernels.dll"
echo "all kernels compile and link for Windows"
