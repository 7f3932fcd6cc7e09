"""A path of a service, asked from within its own container, which has no network but its own loopback."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.checks.interpreters import system_interpreter
from slimmer.commands import program

if TYPE_CHECKING:
    from slimmer.containers import Started
    from slimmer.image import Config
    from slimmer.rootfs import Rootfs

_SECONDS, _START = 10, 5
"""How long the service may take to answer, and the program that asks to begin."""
_PYTHON = f"""
import sys, urllib.request, urllib.error
try: answer = urllib.request.urlopen(sys.argv[1], timeout={_SECONDS})
except urllib.error.HTTPError as error: answer = error
print("slimmer-status", answer.getcode())
"""
_MARK = "slimmer-status "


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, with which program of the image."""

    url: str
    words: tuple[str, ...]

    def ask(self, container: Started) -> str:
        """Give `answers` and the HTTP status, or that there is no answer."""
        done = container.execute(self.words, _SECONDS + _START)
        found = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
        return f"answers {self.url} with {found.removeprefix(_MARK)}" if found is not None else "does not answer"


def asker(rootfs: Rootfs, config: Config, path: str | None) -> Asked | None:
    """Give how to ask for PATH at the first port of EXPOSE; None without a path, a port or a program to ask with."""
    exposed = (str(port).partition("/")[0] for port in config.execution.get("ExposedPorts") or {})
    ports = sorted(int(port) for port in exposed if re.fullmatch(r"\d{1,5}", port, re.ASCII))
    if path is None or not ports:
        return None
    url = f"http://127.0.0.1:{ports[0]}/{path.lstrip('/')}"
    if (python := system_interpreter(rootfs)) is not None:
        return Asked(url, (python, "-c", _PYTHON, url))
    if (curl := program(rootfs, config, "curl")) is not None:
        status = f"{_MARK}%{{http_code}}\\n"
        return Asked(url, (f"/{curl}", "-s", "-o", "/dev/null", "-m", str(_SECONDS), "-w", status, url))
    return None
