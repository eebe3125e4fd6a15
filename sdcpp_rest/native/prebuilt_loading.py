"""Loads the prebuilt engine's ggml with the modules that suit this machine, before the binding loads the library.

For the process of an engine alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sdcpp_rest.native import prebuilt

_COMPILE = "`sdcpp-rest native build` compiles an engine here"


@contextlib.contextmanager
def preload_engine() -> Iterator[None]:
    """Make the binding, which is imported inside, load the prebuilt engine where that is the library of choice.

    Loads ggml with the CPU module that suits this processor best, and those of GPUs whose drivers are here, then names
    the library to the binding. Raises PrebuiltError.
    """
    choice = prebuilt.choose_library(prebuilt.binding_folder())
    if choice.file is None or not (choice.kind == "prebuilt" or (choice.file.parent / prebuilt.STAMP).is_file()):
        yield
        return
    folder = choice.file.parent
    stamp = prebuilt.read_stamp(folder)
    missing = next(
        (f"{name} of {prebuilt.PROJECT} is missing" for name in stamp.files if not (folder / name).is_file()), None
    )
    if unfit := prebuilt.find_misfit(stamp) or missing:
        raise prebuilt.PrebuiltError(f"{unfit}: run `sdcpp-rest native install`, or `sdcpp-rest native build`")
    try:
        ggml = ctypes.CDLL(str(folder / f"libggml{prebuilt.SUFFIX}"))
    except OSError as error:
        raise prebuilt.PrebuiltError(f"{prebuilt.PROJECT} does not run on this system ({error}): {_COMPILE}") from error
    # GGML_BACKEND_API void ggml_backend_load_all_from_path(const char* dir_path);
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path.restype = None
    ggml.ggml_backend_load_all_from_path(os.fsencode(folder))
    if not loaded_cpu_module(ggml):
        raise prebuilt.PrebuiltError(f"no CPU module of {prebuilt.PROJECT} suits this processor: {_COMPILE}")
    before = os.environ.get(prebuilt.VARIABLE)
    os.environ[prebuilt.VARIABLE] = str(choice.file)
    try:
        yield
    finally:
        if before is None:
            del os.environ[prebuilt.VARIABLE]


class _Place(ctypes.Structure):
    """Dl_info of dladdr."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def loaded_cpu_module(ggml: ctypes.CDLL) -> str:
    """The file name of the CPU module that ggml chose, such as ``libggml-cpu-zen4.so``; empty while there is none, and
    where the CPU's code is not in a module."""
    # GGML_API ggml_backend_reg_t ggml_backend_reg_by_name(const char* name);
    by_name = ggml.ggml_backend_reg_by_name
    by_name.restype, by_name.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    # GGML_API void* ggml_backend_reg_get_proc_address(ggml_backend_reg_t reg, const char* name);
    address_of = ggml.ggml_backend_reg_get_proc_address
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
    registered = by_name(b"CPU")
    # A function of the module's own: for the one that sets the threads the guard stands in.
    address = address_of(registered, b"ggml_backend_get_features") if registered else None
    # Of glibc and macOS: int dladdr(const void* address, Dl_info* info);
    look_up = getattr(ctypes.CDLL(None), "dladdr", None) if os.name != "nt" else None
    place = _Place()
    if not address or look_up is None or not look_up(ctypes.c_void_p(address), ctypes.byref(place)):
        return ""
    name = Path(os.fsdecode(place.file)).name
    return name if name.startswith("libggml-cpu") else ""


def loaded_modules(ggml: ctypes.CDLL, file: Path, backends: Iterable[str]) -> tuple[str, ...]:
    """The files of ggml's modules that were loaded beside the library's ``file`` for ``backends``; none where all of
    ggml is in that file."""
    cpu = loaded_cpu_module(ggml)
    names = (f"libggml-{backend.lower()}.so" for backend in backends if backend != "CPU")
    return (cpu, *(name for name in names if (file.parent / name).is_file())) if cpu else ()
