"""Build PyCUDA and a CUDA driver that runs on the CPU, both for tests only: `python build.py FOLDER`.

PyCUDA is the real one, compiled from its source in three to four minutes. driver.cpp has the driver's functions that we
need; the others that PyCUDA refers to return "not supported".
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCE = Path(__file__).with_name("driver.cpp")

# The compiler checks our driver against NVIDIA's declarations in these headers; 12.2 is JetPack 6's.
HEADERS = "nvidia-cuda-runtime-cu12==12.2.140"

# For PyCUDA: tests need none of its speed.
UNOPTIMISED = "-O0 -g0"


def main() -> None:
    """Build FOLDER/libcuda.so.1, and FOLDER/pycuda unless it exists."""
    folder = Path(sys.argv[1]).absolute()
    (folder / "headers").mkdir(parents=True, exist_ok=True)
    include, library = fetch_headers(folder / "headers"), folder / "libcuda.so.1"
    (folder / "others.cpp").write_text("")
    compile_driver(library, include, folder / "others.cpp")
    if not (folder / "pycuda").exists():
        environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "CFLAGS": UNOPTIMISED, "CXXFLAGS": UNOPTIMISED}
        install = [sys.executable, ROOT / "scripts" / "install-gpu", "--pycuda-only", folder / "pycuda"]
        if subprocess.run(install, check=False, env=environment).returncode != 0:
            raise SystemExit("PyCUDA was not built")
    others = sorted(undefined(next((folder / "pycuda" / "pycuda").glob("_driver*.so"))) - defined(library))
    functions = "".join(f'extern "C" int {name}() {{ return 801; }}\n' for name in others)
    (folder / "others.cpp").write_text(f"// CUDA_ERROR_NOT_SUPPORTED\n{functions}")
    compile_driver(library, include, folder / "others.cpp")


def fetch_headers(folder: Path) -> Path:
    """Download the headers and return the folder with cuda.h."""
    if not (folder / "nvidia").exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "-d", folder, HEADERS], check=True)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder / "nvidia" / "cuda_runtime" / "include"


def compile_driver(library: Path, include: Path, others: Path) -> None:
    """Compile our driver together with the kernels."""
    kernels = f'-DKERNELS_SOURCE="{ROOT / "engines" / "runtime" / "tensorrt" / "kernels" / "frames.cu"}"'
    options = ["-std=c++17", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{include}", kernels]
    subprocess.run(["g++", *options, f"-Wl,-soname,{library.name}", "-o", library, SOURCE, others], check=True)


def undefined(library: Path) -> set[str]:
    """Functions of the driver that a library refers to."""
    return {name for name in symbols(library, "--undefined-only") if name.startswith("cu")}


def defined(library: Path) -> set[str]:
    """Functions that a library defines."""
    return set(symbols(library, "--defined-only"))


def symbols(library: Path, which: str) -> list[str]:
    """Names in a library's dynamic symbol table."""
    done = subprocess.run(["nm", "-D", which, library], check=True, capture_output=True, text=True)
    return [line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
