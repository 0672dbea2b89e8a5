"""Print the classes of one TensorRT release's bindings: `python tensorrt_bindings.py FOLDER`, JSON on standard output.

The bindings link to libraries that this machine does not have. Empty libraries of the same names, with the few
functions that the linker needs, make it possible to load the bindings and read their signatures. They compute nothing.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def load_bindings(folder: Path) -> Any:
    """Load the module from a folder with an unpacked wheel."""
    library = next((folder / "tensorrt_bindings").glob("tensorrt*.so"))
    with tempfile.TemporaryDirectory() as directory:
        for name in _needed(library):
            _make_library(Path(directory) / name, _undefined(library))
            ctypes.CDLL(str(Path(directory) / name), mode=ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(folder))
    import tensorrt_bindings

    return tensorrt_bindings


def describe(thing: Any) -> dict[str, Any]:
    """Each class with its enum values, its members and their signatures, and its nested classes."""
    classes = {name: value for name, value in vars(thing).items() if inspect.isclass(value)}
    return {
        name: {
            "values": sorted(getattr(value, "__members__", {})),
            "members": {member: _signatures(getattr(value, member)) for member in dir(value)},
            "classes": describe(value) if value is not thing and not hasattr(value, "__members__") else {},
        }
        for name, value in classes.items()
        if not name.startswith("_")
    }


def _signatures(member: Any) -> list[str]:
    """The lines of a docstring that are signatures, as pybind11 writes them."""
    lines = (getattr(member, "__doc__", None) or "").splitlines()
    return [line.strip() for line in lines if "(self: " in line]


def _needed(library: Path) -> list[str]:
    lines = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout.splitlines()
    names = [line.split("[")[1].split("]")[0] for line in lines if "(NEEDED)" in line]
    return [name for name in names if name.startswith("libnv")]


def _undefined(library: Path) -> list[str]:
    """NVIDIA's functions among the undefined symbols, without those of the C library and weak ones."""
    command = ["nm", "-D", "--undefined-only", library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    strong = [line.split()[-1] for line in lines if line.split()[-2] == "U" and "@" not in line]
    known = ("create", "getNvOnnx", "getBuilder", "getPlugin", "initLib")
    return [name for name in strong if name.startswith(known)]


def _make_library(path: Path, functions: list[str]) -> None:
    source = path.with_suffix(".c")
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in functions))
    compiler = shutil.which("cc") or "gcc"
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", str(path), str(source)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    bindings = load_bindings(Path(sys.argv[1]))
    json.dump({"version": bindings.__version__, "classes": describe(bindings)}, sys.stdout)
