"""Images built on a fixture by the engine's classic builder, which needs no shell in them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker_cli import Docker


def built(docker: Docker, name: str, base: str, files: Mapping[str, bytes], context: Path, lines: str = "") -> str:
    """Build the image NAME of BASE with FILES and more LINES of a Dockerfile; it is removed after the test."""
    context.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        place = context / "root" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    copy = "COPY root /\n" if files else ""
    (context / "Dockerfile").write_text(f"FROM {base}\n{copy}{lines}\n")
    docker.will_make(name)
    subprocess.run(
        ["docker", "build", "-q", "-t", name, context],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    return name
