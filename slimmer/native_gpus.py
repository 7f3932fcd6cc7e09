"""The GPUs of this machine, as its driver names them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUERY = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
_ADVICE = "name the architecture, such as sm_90"
_TIME_LIMIT = 30.0


def native_architectures(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the architecture of each GPU here; raise UsageError where the driver names none.

    An engine elsewhere has other GPUs, so none of this machine stands for them.
    """
    host = environment.get("DOCKER_HOST", "")
    if host and not host.startswith("unix:"):
        raise UsageError(f"--gpu-arch native: the engine at {host} is on another machine; {_ADVICE}")
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--gpu-arch native: nvidia-smi does not run here; {_ADVICE}") from error
    found = re.findall(r"^\s*(\d+)\.(\d)\s*$", done.stdout, re.MULTILINE) if done.returncode == 0 else []
    if not found:
        raise UsageError(f"--gpu-arch native: nvidia-smi names no GPU here; {_ADVICE}")
    return tuple(sorted({f"sm_{major}{minor}" for major, minor in found}))
