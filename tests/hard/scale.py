"""Slim images that are large in one way each, and see that time grows with them and memory does not grow out of hand.

    python tests/hard/run.py scale [--directory DIR] [--only files bytes layers]

Many files, a file of 30 GB that is nearly all hole, many layers. Each is an archive in a file, made here; what is
measured is a process of its own that makes the result of it: `slimmer run --no-verify -o docker-archive:/dev/null`'s
work, read, planned and written to nowhere.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MEMORY = 400 << 20
"""Bytes that slimmer may have at its peak, on an image of 100,000 files and any bytes and layers."""
GROWTH = 1.5
"""How much longer each file, byte or layer may take in a large image than in one of a tenth."""
_WORK = """
import gc, json, resource, sys, time
from slimmer import api
gc.set_threshold(200_000, 50, 1000)  # as the command line does
started = time.monotonic()
report = api.run(sys.argv[1], dry_run=True)
took = time.monotonic() - started
print(json.dumps({"seconds": took, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
                  "size": report.estimate.size, "layer_size": report.estimate.layer_size}))
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a dry run took."""

    what: str
    count: int
    seconds: float
    memory: int
    size: int

    def __str__(self) -> str:
        return f"{self.count:>13,} {self.what:<7} {self.seconds:7.1f} s {self.memory >> 20:5} MB"


def measured(what: str, count: int, image: Path) -> Figure:
    """Give what a dry run of an image in a file takes."""
    words = [sys.executable, "-c", _WORK, f"docker-archive:{image}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return Figure(what, count, said["seconds"], said["memory"], said["size"])


def many_files(count: int, image: Path) -> None:
    """Write an image of so many files of 100 bytes, a hundred in a directory, some of which are linked twice."""
    info = tarfile.TarInfo()
    info.mtime, info.mode = 1_600_000_000, 0o644
    data = b"x" * 100

    def entries(tar: tarfile.TarFile) -> None:
        for number in range(count):
            info.name, info.size, info.type, info.linkname = (
                f"srv/{number // 10_000}/{number // 100 % 100}/file-{number}",
                100,
                tarfile.REGTYPE,
                "",
            )
            if number % 50 == 49:
                info.type, info.size, info.linkname = (
                    tarfile.LNKTYPE,
                    0,
                    f"srv/{(number - 1) // 10_000}/{(number - 1) // 100 % 100}/file-{number - 1}",
                )
            tar.addfile(info, io.BytesIO(data[: info.size]))
            tar.members = []  # type: ignore[attr-defined] # or it remembers them all

    _written([entries], image)


def sparse(count: int, image: Path) -> None:
    """Write an image with a file of so many bytes, of which the last 4 KiB are data; the archive has it as a hole."""
    layer = image.with_suffix(".layer")
    with layer.open("wb") as stream:
        info = tarfile.TarInfo("data.bin")
        info.size = count
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.seek(count - 4096, os.SEEK_CUR)
        stream.write(b"d" * 4096)
        stream.truncate(-(-stream.tell() // 512) * 512 + 1024)
    _archived([layer], image)
    layer.unlink()


def many_layers(count: int, image: Path) -> None:
    """Write an image of so many layers; each changes a file, removes one of the layer below, adds a hundred."""

    def entries(number: int) -> Callable[[tarfile.TarFile], None]:
        def add(tar: tarfile.TarFile) -> None:
            names = ["same", f"srv/.wh.{number - 1}-0", *(f"srv/{number}-{index}" for index in range(100))]
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 1000 if ".wh." not in name else 0
                tar.addfile(info, io.BytesIO(bytes(info.size)))

        return add

    _written([entries(number) for number in range(count)], image)


def _written(layers: list[Callable[[tarfile.TarFile], None]], image: Path) -> None:
    paths = []
    for number, add in enumerate(layers):
        paths.append(image.with_name(f"{image.name}.{number}"))
        with tarfile.open(paths[-1], "w", format=tarfile.PAX_FORMAT) as tar:
            add(tar)
    _archived(paths, image)
    for path in paths:
        path.unlink()


def _archived(layers: list[Path], image: Path) -> None:
    digests = []
    with image.open("wb") as stream:
        names = [f"{number}/layer.tar" for number in range(len(layers))]
        for name, path in zip(names, layers, strict=True):
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            stream.write(info.tobuf(tarfile.GNU_FORMAT))
            digest = hashlib.sha256()
            for chunk in _chunks(path):
                digest.update(chunk)
                if chunk.count(0) == len(chunk):
                    stream.seek(len(chunk), os.SEEK_CUR)
                else:
                    stream.write(chunk)
            digests.append(f"sha256:{digest.hexdigest()}")
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}, "config": {}}
        ).encode()
        manifest = json.dumps([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": names}]).encode()
        for name, data in (("c.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            stream.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
        stream.write(bytes(1024))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            yield chunk


PARTS: dict[str, tuple[Callable[[int, Path], None], tuple[int, int]]] = {
    "files": (many_files, (10_000, 100_000)),
    "bytes": (sparse, (3_000_000_000, 30_000_000_000)),
    "layers": (many_layers, (13, 127)),
}


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether no image takes more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, help="where images are written; 31 GB are seen there and not taken")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--files", type=int, help="another number of files than 100,000")
    arguments = parser.parse_args(words)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="slimmer-scale-", dir=arguments.directory) as directory:
        for name in arguments.only:
            make, counts = PARTS[name]
            if name == "files" and arguments.files:
                counts = (arguments.files // 10, arguments.files)
            figures = []
            for count in counts:
                image = Path(directory, "image.tar")
                make(count, image)
                figures.append(measured(name, count, image))
                print(figures[-1], flush=True)
                image.unlink()
            wrong += judged(*figures)
    for line in wrong:
        print(line)
    return not wrong


def judged(small: Figure, large: Figure) -> list[str]:
    """Give what is wrong with two figures."""
    start = 0.05  # seconds that any image takes
    factor = max(large.seconds - start, 0) / large.count / (max(small.seconds - start, 0.05) / small.count)
    found = (
        [f"each of the {large.what} takes {factor:.1f} times as long where there are more"] if factor > GROWTH else []
    )
    if large.memory > MEMORY:
        found.append(f"{large.count:,} {large.what} take {large.memory >> 20} MB of memory")
    return found


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
