"""Where the figures come from: the machine, the versions, and its page cache."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import images

if TYPE_CHECKING:
    from tests.bench.contestants import Tools

_DROP = Path("/proc/sys/vm/drop_caches")


def engine_directory() -> Path | None:
    """Give the engine's own directory for temporary files, or None where it is not on this machine."""
    directory = Path(json.loads(images.docker("info", "--format", "{{json .DockerRootDir}}")), "tmp")
    return directory if os.access(directory, os.R_OK | os.X_OK) else None


def forget_files() -> bool:
    """Empty the page cache; say whether this user may."""
    os.sync()
    try:
        _DROP.write_text("3\n")
    except OSError:
        return False
    return True


def described(tools: Tools) -> dict[str, Any]:
    """Give what the figures depend on."""
    engine = json.loads(images.docker("info", "--format", "{{json .}}"))
    checkout = Path(__file__).parent
    commit = subprocess.run(
        ["git", "-C", checkout, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": memory,
        "kernel": platform.release(),
        "engine": f"{engine['ServerVersion']}, {engine['Driver']} on {dict(engine['DriverStatus']).get('Backing Filesystem')}",
        "client": engine.get("ClientInfo", {}).get("Version"),
        # Which one matters: a distribution's is built with optimisations (PGO, LTO), one that is built at home mostly not.
        "python": f"{platform.python_version()}, {Path(sys.executable).resolve()}",
        "slimmer": f"{version('slimmer')} ({commit.stdout.strip() or 'no checkout'}), {tools.slimmer}",
        "docker-squash": _version_in(tools, "docker-squash"),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version_in(tools: Tools, distribution: str) -> str:
    ask = f"from importlib.metadata import version; print(version({distribution!r}))"
    return subprocess.run([tools.python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
