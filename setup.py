"""Compiled kernels of kldiv. Everything else about packaging is in pyproject.toml.

`kldiv/_kernels/_<name>.pyx` is one extension. It is linked with `<name>.c`, compiled
once, and with every `<name>_*.c`, compiled once per instruction set: the macro
KLDIV_ISA holds the name of the set, and the tables in `<name>.c` the functions of each.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("kldiv") / "_kernels"
# Only to measure what it would cost: see benchmarks/abi3.py.
LIMITED_API = bool(int(os.environ.get("KLDIV_LIMITED_API", "0")))
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": bool(int(os.environ.get("KLDIV_BOUNDSCHECK", "0"))),
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}
AVX512 = [
    *("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"),
    "-mprefer-vector-width=512",
]
# By family of processors, and of compilers.
INSTRUCTION_SETS = {
    ("x86", "unix"): {
        "avx2": ["-mavx2", "-mfma"],
        "avxvnni": ["-mavx2", "-mfma", "-mavxvnni", "-DKLDIV_AVXVNNI"],
        "avx512": AVX512,
        "vnni": [*AVX512, "-mavx512vnni", "-DKLDIV_VNNI"],
    },
    ("x86", "msvc"): {
        "avx2": ["/arch:AVX2"],
        "avxvnni": ["/arch:AVX2", "/DKLDIV_AVXVNNI"],
        "avx512": ["/arch:AVX512"],
        "vnni": ["/arch:AVX512", "/DKLDIV_VNNI"],
    },
    ("arm", "unix"): {
        "dotprod": ["-march=armv8.2-a+dotprod", "-DKLDIV_DOTPROD"],
        "i8mm": ["-march=armv8.2-a+i8mm", "-DKLDIV_I8MM"],
    },
}
# These sets add products of bytes, from which only these files gain.
BYTE_SETS = {"dotprod", "i8mm", "avxvnni", "vnni"}
BYTE_KERNELS = {"knn_filter.c", "knn_int8.c"}
OPENMP_PROGRAM = """
#include <omp.h>
int main(void) {
    int most = 0;
#pragma omp parallel for reduction(max : most)
    for (int i = 0; i < omp_get_max_threads(); i++)
        most = i + 1;
    return most > 0 ? 0 : 1;
}
"""
# What the kernels of a set are made of: intrinsics, or assembly where there is some.
ISA_PROGRAM = """
#include "knn_bytes.h"
void probe(void *c) {
#if HAS_BYTES
    vi sum = vi_load(c);
    dot_codes(&sum, sum, sum);
    vi_store(c, sum);
#endif
}
"""


def openmp_flags(compiler):
    """Compile and link flags for OpenMP, or two empty lists if a probe fails."""
    if os.environ.get("KLDIV_NO_OPENMP"):
        return [], []
    if sys.platform == "win32":
        compile_flags, link_flags = ["/openmp:llvm"], []
    elif sys.platform == "darwin":
        compile_flags, link_flags = ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
    else:
        compile_flags, link_flags = ["-fopenmp"], ["-fopenmp"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(OPENMP_PROGRAM)
        try:
            objects = compiler.compile(
                [str(source)], output_dir=folder, extra_postargs=compile_flags
            )
            compiler.link_executable(
                objects, str(Path(folder) / "probe"), extra_postargs=link_flags
            )
            if sys.platform != "win32":
                subprocess.run([str(Path(folder) / "probe")], check=True)
        except Exception as error:
            print(f"setup.py: no OpenMP ({error}); kernels will be serial")
            return [], []
    return compile_flags, link_flags


def optimise_flags():
    """No contraction of a * b + c: where it is fused, the kernels say so."""
    if sys.platform == "win32":
        return ["/O2", "/std:c11", "/D_USE_MATH_DEFINES"]
    flags = os.environ.get("KLDIV_CFLAGS", "-O3 -g0").split()
    return [*flags, "-fno-math-errno", "-ffp-contract=off"]


def processor_family():
    """Of the machine that is compiled for; None if it is several or unknown."""
    if len(os.environ.get("ARCHFLAGS", "").split("-arch ")) > 2:
        return None
    machine = sysconfig.get_platform().rpartition("-")[2]
    families = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}
    return families.get(machine)


def instruction_sets(compiler):
    """The baseline and every instruction set that the compiler knows."""
    found = {"baseline": []}
    # None for MinGW: its stack is not aligned to what wide vectors are stored in.
    kind = compiler.compiler_type
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(ISA_PROGRAM)
        for name, flags in INSTRUCTION_SETS.get((processor_family(), kind), {}).items():
            try:
                compiler.compile(
                    [str(source)],
                    output_dir=folder,
                    macros=[("KLDIV_ISA", name)],
                    include_dirs=[str(KERNELS)],
                    extra_postargs=flags,
                )
            except Exception as error:
                print(f"setup.py: the compiler does not know {name} ({error})")
            else:
                found[name] = flags
    return found


class BuildKernels(build_ext):
    """Add optimisation and OpenMP flags that the compiler accepts."""

    def build_extensions(self):
        compile_flags, link_flags = openmp_flags(self.compiler)
        self.common_flags = optimise_flags() + compile_flags
        self.variants = instruction_sets(self.compiler)
        for extension in self.extensions:
            extension.extra_compile_args += self.common_flags
            extension.extra_link_args += link_flags
            extension.define_macros += [
                (f"KLDIV_HAS_{name.upper()}", "1") for name in self.variants
            ]
            extension.extra_objects += self.compile_variants(extension)
        super().build_extensions()

    def compile_variants(self, extension):
        """Compile `<name>_*.c` once per instruction set; return the objects."""
        jobs = [
            (str(source), name, flags)
            for source in variant_sources(extension)
            for name, flags in self.variants.items()
            if name not in BYTE_SETS or source.name in BYTE_KERNELS
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self.compile_variant, jobs))

    def compile_variant(self, job):
        source, name, flags = job
        folder = Path(self.build_temp) / name
        target = Path(
            self.compiler.object_filenames([source], output_dir=str(folder))[0]
        )
        newest = max(path.stat().st_mtime for path in [*headers(), Path(source)])
        if not self.force and target.exists() and target.stat().st_mtime > newest:
            return str(target)
        self.compiler.compile(
            [source],
            output_dir=str(folder),
            macros=[("KLDIV_ISA", name)],
            include_dirs=[str(KERNELS)],
            extra_postargs=self.common_flags + flags,
        )
        return str(target)


def headers():
    return [Path("setup.py"), *sorted(KERNELS.glob("*.h")), *KERNELS.glob("*.pxd")]


def variant_sources(extension):
    name = extension.name.rpartition("._")[2]
    return sorted(KERNELS.glob(f"{name}_*.c"))


def extensions():
    for source in sorted(KERNELS.glob("*.pyx")):
        plain = source.with_name(f"{source.stem.lstrip('_')}.c")
        extension = Extension(
            f"kldiv._kernels.{source.stem}",
            [str(source), *([str(plain)] if plain.exists() else [])],
            include_dirs=[str(KERNELS)],
            define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED_API else [],
            py_limited_api=LIMITED_API,
        )
        extension.depends = [
            str(path)
            for path in [
                *headers(),
                *KERNELS.glob("*.pxd"),
                *variant_sources(extension),
            ]
        ]
        yield extension


setup(
    ext_modules=cythonize(
        list(extensions()), compiler_directives=DIRECTIVES, build_dir="build/cython"
    ),
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
