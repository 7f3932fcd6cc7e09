"""Runs of slimmer that something happens to: an image whose every stage lasts a while, ways to slim it, and what is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    from docker_cli import Docker

SOURCES = Path(__file__).parents[2] / "fixtures" / "elf"
NAME = "slimmer-test/victim:1"
SLIM = f"{NAME}-slim"
PROGRESS = ["reading", "flattening", "stripping", "writing", "verifying"]
"""The stages that a run tells of, in their order; each is a line of progress."""

_ARCHIVES = 12


def interpreter(place: Path, milliseconds: int = 3000) -> bytes:
    """Compile in PLACE what stands where Python would and only sleeps."""
    program = place / "sleeper"
    subprocess.run(
        ["gcc", "-static", f"-DMILLISECONDS={milliseconds}", "-o", program, SOURCES / "sleeper.c"],
        check=True, capture_output=True,
    )  # fmt: skip
    return program.read_bytes()


def victim(engine: Docker, place: Path, name: str = NAME, milliseconds: int = 400, megabytes: int = 80) -> str:
    """Load an image with things to strip, a volume, a command, and an interpreter that takes so many MILLISECONDS.

    Most of its MEGABYTES are files that stay as they are.
    """
    library, member, archive = (place / part for part in ("answer.so", "answer.o", "answer.a"))
    source = SOURCES / "answer.c"
    subprocess.run(["gcc", "-g3", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True)
    subprocess.run(["gcc", "-g3", "-c", "-fPIC", "-o", member, source], check=True, capture_output=True)
    archive.unlink(missing_ok=True)
    subprocess.run(["ar", "rcD", archive, member], check=True, capture_output=True)
    layer = make_tar(
        *(directory(path) for path in ("usr", "usr/bin", "usr/lib", "data")),
        file("usr/bin/python3.11", interpreter(place, milliseconds), mode=0o755),
        file("usr/lib/python3.11/dist-packages/numpy/__init__.py"),
        *(file(f"usr/lib/answer{number}.a", archive.read_bytes()) for number in range(_ARCHIVES)),
        file("usr/lib/answer.so", library.read_bytes()),
        *(file(f"data/{number}", bytes([number]) * (megabytes * 100_000)) for number in range(10)),
    )
    engine.image(name, [layer], {"Volumes": {"/data": {}}, "Cmd": ["/usr/bin/python3.11"]})
    return name


@dataclass
class Running:
    """A run that has been started: what it says is read as it says it, and when."""

    process: subprocess.Popen[str]
    began: float
    lines: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since the beginning, and a line of stderr."""
    out: str = ""
    took: float = 0.0
    """Seconds from the beginning to the end."""
    _reader: threading.Thread | None = None

    @property
    def said(self) -> str:
        """All that it said so far."""
        return "".join(line for _, line in self.lines)

    @property
    def stage(self) -> str:
        """The last stage that it told of; before the first it is starting."""
        told = [stage for _, line in self.lines for stage in PROGRESS if f"slimmer: {stage} " in line]
        return told[-1] if told else "starting"

    def reaches(self, text: str, seconds: float = 60) -> bool:
        """Wait until it says TEXT; say whether it did before it ended."""
        deadline = time.monotonic() + seconds
        while text not in self.said:
            if self.process.poll() is not None or time.monotonic() > deadline:
                return text in self.said
            time.sleep(0.001)
        return True

    def wait(self, text: str | None, seconds: float) -> None:
        """Wait until so many seconds after it said TEXT, or after its beginning; no longer than it runs."""
        if text is not None:
            self.reaches(text)
        said = next((at for at, line in self.lines if text is not None and text in line), 0.0)
        while self.process.poll() is None and (rest := self.began + said + seconds - time.monotonic()) > 0:
            time.sleep(min(rest, 0.05))

    def ended(self, seconds: float = 120) -> int:
        """Wait for its end and give its exit status."""
        assert self.process.stdout is not None
        self.process.wait(seconds)
        self.took = time.monotonic() - self.began
        if self._reader is not None:
            self._reader.join(seconds)
        self.out = self.process.stdout.read()
        self.process.stdout.close()
        return self.process.returncode


def started(*arguments: str | Path, temporary: Path, host: str | None = None) -> Running:
    """Start a command of slimmer in a process group of its own, as a shell would, with its temporary files in TEMPORARY."""
    program = shutil.which("slimmer", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None
    began = time.monotonic()
    process = subprocess.Popen(
        # A shell starts what runs behind it with SIGINT ignored, and slimmer leaves that so, as nohup wants it.
        ["env", "--default-signal=INT", program, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary), **({"DOCKER_HOST": host} if host else {})},
    )  # fmt: skip
    running = Running(process, began)

    def read() -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                running.lines.append((time.monotonic() - began, line))

    running._reader = threading.Thread(target=read, daemon=True)
    running._reader.start()
    return running
