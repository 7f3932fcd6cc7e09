"""The command line as a shell starts it, to be interrupted at a moment that its progress names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def start(image: str, temporary: Path, host: str | None = None, *options: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own, as a shell would; HOST says where the engine is."""
    program = shutil.which("slimmer", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None
    return subprocess.Popen(
        # A shell starts what runs behind it with SIGINT ignored, and slimmer leaves that so, as nohup wants it.
        ["env", "--default-signal=INT", program, "run", image, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary), **({"DOCKER_HOST": host} if host else {})},
    )  # fmt: skip


def heard(process: subprocess.Popen[str], beginning: str) -> str:
    """Read what a run says until a line that begins so, and give it."""
    assert process.stderr is not None
    said = ""
    while not said.endswith("\n") or f"slimmer: {beginning}" not in said.splitlines()[-1]:
        more = process.stderr.readline()
        assert more, f"it ended before {beginning}: {said}"
        said += more
    return said
