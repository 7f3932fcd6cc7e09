"""NVIDIA's own programs and linker, none of which needs a GPU: of this machine's CUDA toolkit, or of the wheels."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FATBIN = 4
"""NVJITLINK_INPUT_FATBIN of nvJitLink.h."""


@cache
def _wheels() -> Path:
    """Give the folder that the wheels of CUDA 13 share."""
    spec = importlib.util.find_spec("nvidia")
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "cu13").is_dir():
            return Path(place) / "cu13"
    raise AssertionError("the wheels of CUDA 13 are not installed; pip install --group test")


def program(name: str) -> str:
    """Give the path of a program: that of this machine, which fits its driver, before the wheel's."""
    found = shutil.which(name) or shutil.which(name, path=str(_wheels() / "bin"))
    assert found is not None, f"there is no {name}, neither in PATH nor in the wheels of CUDA"
    return found


def libraries() -> list[Path]:
    """Give where nvcc has to look for CUDA's libraries: a toolkit's finds its own, the wheels' does not."""
    return [] if shutil.which("nvcc") else [_wheels() / "lib"]


class LinkError(Exception):
    """The linker took none of the code, or could not link it."""


class JitLinker:
    """nvJitLink: NVIDIA's linker of relocatable device code, as a library that needs no GPU.

    It takes containers as they are and chooses from each what a GPU needs. Its documentation: nvJitLink.h.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(_wheels() / "lib" / "libnvJitLink.so.13"))

    def link(self, containers: Sequence[bytes], gpu: str) -> bytes:
        """Give the machine code that containers make for a GPU such as `90`; raise LinkError where they make none."""
        handle = ctypes.c_void_p()
        options = (ctypes.c_char_p * 1)(f"-arch=sm_{gpu}".encode())
        assert self._library.nvJitLinkCreate(ctypes.byref(handle), 1, options) == 0
        try:
            for data in containers:
                self._do("AddData", handle, _FATBIN, data, ctypes.c_size_t(len(data)), b"container")
            self._do("Complete", handle)
            size = ctypes.c_size_t()
            self._do("GetLinkedCubinSize", handle, ctypes.byref(size))
            made = ctypes.create_string_buffer(size.value)
            self._do("GetLinkedCubin", handle, made)
            return made.raw
        finally:
            self._library.nvJitLinkDestroy(ctypes.byref(handle))

    def _do(self, name: str, handle: ctypes.c_void_p, *arguments: object) -> None:
        status = self._library[f"nvJitLink{name}"](handle, *arguments)
        if status:
            size = ctypes.c_size_t()
            self._library.nvJitLinkGetErrorLogSize(handle, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value + 1)
            self._library.nvJitLinkGetErrorLog(handle, log)
            raise LinkError(f"nvJitLink{name} gives {status} {os.fsdecode(log.value).strip()}".strip())
