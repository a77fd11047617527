"""Compiled kernels of kldiv. Everything else about packaging is in pyproject.toml."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("kldiv") / "_kernels"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": bool(int(os.environ.get("KLDIV_BOUNDSCHECK", "0"))),
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}
OPENMP_PROGRAM = """
#include <omp.h>
int main(void) { return omp_get_max_threads() > 0 ? 0 : 1; }
"""


def openmp_flags(compiler):
    """Compile and link flags for OpenMP, or two empty lists if a probe fails."""
    if os.environ.get("KLDIV_NO_OPENMP"):
        return [], []
    if sys.platform == "win32":
        compile_flags, link_flags = ["/openmp"], []
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


class BuildKernels(build_ext):
    """Add optimisation and OpenMP flags that the compiler accepts."""

    def build_extensions(self):
        compile_flags, link_flags = openmp_flags(self.compiler)
        optimise = ["/O2"] if sys.platform == "win32" else ["-O3"]
        for extension in self.extensions:
            extension.extra_compile_args += optimise + compile_flags
            extension.extra_link_args += link_flags
        super().build_extensions()


def extensions():
    return [
        Extension(f"kldiv._kernels.{source.stem}", [str(source)])
        for source in sorted(KERNELS.glob("*.pyx"))
    ]


setup(
    ext_modules=cythonize(
        extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython"
    ),
    cmdclass={"build_ext": BuildKernels},
)
