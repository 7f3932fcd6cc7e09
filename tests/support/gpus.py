"""The GPU of this machine, and what libraries compute on it, each in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""
NO_KERNEL_IMAGE = 209
"""cudaErrorNoKernelImageForDevice of driver_types.h."""
NO_DRIVER = (35, 100)
"""cudaErrorInsufficientDriver and cudaErrorNoDevice."""
_RUN = """
import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1], mode=2)
values = (ctypes.c_float * 1000)(*range(1000))
error = library.computed(values, 1000)
print(json.dumps([error, list(values), library.answer()]))
"""


@cache
def gpu() -> int | None:
    """Give the number of the first GPU's architecture, 90 for an H100, or None where there is none, or no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    for number, result in ((_MAJOR, major), (_MINOR, minor)):
        assert driver.cuDeviceGetAttribute(ctypes.byref(result), number, device) == 0
    return 10 * major.value + minor.value


def computed(library: Path, loading: str) -> tuple[int, list[float], int]:
    """Have a library of fixtures/cuda compute on 0 to 999: CUDA's error, the values, and what needs no GPU.

    LOADING is CUDA_MODULE_LOADING: EAGER loads all machine code when the library is, LAZY each kernel when it is needed.
    """
    environment = {**os.environ, "CUDA_MODULE_LOADING": loading, "CUDA_CACHE_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, library], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{library}: exit status {done.returncode}: {done.stderr}"
    error, values, answer = json.loads(done.stdout)
    return error, values, answer
