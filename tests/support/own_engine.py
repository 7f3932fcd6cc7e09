"""An engine of a test's own, which may run full, be stopped and be killed without anybody else's noticing.

It is this machine's dockerd in namespaces of its own: no bridge, no rule and no mount of the machine's own engine is
touched, and whatever it started ends with it. Its images lie where the machine sees them, so they can be read in place.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docker_cli import Docker

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTLES = 60


class OwnEngine(Docker):
    """A graph driver's engine with all that is its own below DIRECTORY, whose name must be short: sockets lie there.

    IMAGES is where it keeps images; with DISK, a file that holds a file system, that is mounted there, for the engine
    alone.
    """

    def __init__(self, directory: Path, images: Path | None = None, disk: Path | None = None) -> None:
        super().__init__(f"unix://{directory}/docker.sock")
        self.directory = directory
        self.images = images or directory / "images"
        self._disk = disk
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        self.images.mkdir(parents=True, exist_ok=True)
        # A killed engine leaves numbers of processes behind, which the next one believes in: among the few numbers of a
        # namespace of its own another process has them soon, and dockerd then waits for a containerd that nobody started.
        for left in ("pid", "run/containerd/containerd.pid"):
            (self.directory / left).unlink(missing_ok=True)
        mount = f"mount -o loop {self._disk} {self.images} && " if self._disk else ""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # Whatever ends the tests ends it, too.
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
                 "sh", "-c", f'{mount}exec dockerd "$@"', "dockerd",
                 "--host", f"unix://{self.directory}/docker.sock", "--data-root", str(self.images),
                 "--exec-root", f"{self.directory}/run", "--pidfile", f"{self.directory}/pid",
                 "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _SETTLES
        while self._run(["version"]).returncode:
            assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2000:]
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the engine as a machine's service manager does, or with SIGKILL as the kernel does."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                self._process.kill()
            else:
                self.signal(number)
        self._process.wait(_SETTLES)

    def signal(self, number: signal.Signals) -> None:
        """Send the engine a signal."""
        assert self._process is not None
        # unshare itself takes no notice of it; its one child is the engine.
        (child,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        os.kill(int(child), number)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let the engine answer nobody, as one that the machine has no time for."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@contextmanager
def own_engine(directory: Path, images: Path | None = None, disk: Path | None = None) -> Iterator[OwnEngine]:
    """Give an engine that is started, and gone afterwards."""
    engine = OwnEngine(directory, images, disk)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(signal.SIGKILL)


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Path]:
    """Give a directory that is a file system of SIZE bytes, and a mount of this machine, until then."""
    disk, place = directory / "disk", directory / "small"
    make_disk(disk, size)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", disk, place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


def make_disk(path: Path, size: int) -> Path:
    """Make a file that holds an empty file system of SIZE bytes."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", path], check=True, capture_output=True)
    return path
