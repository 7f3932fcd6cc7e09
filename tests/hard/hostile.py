"""Give slimmer images that somebody made to hurt: bombs in every packing, and any number that are mutated at random.

    python tests/hard/run.py hostile [--count 10000] [--first 0] [--seed 1] [--only bombs images]

Each bomb is done by a process of its own, with a limit of memory and of time, in a temporary directory that must hold
nothing afterwards. Programs that fight the checks are tests/engine/test_hostile_containers.py with SLIMMER_FIGHTS=1.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import mutations
from handmade import file, make_tar
from hostile_images import hostile_image, rich_root
from image_files import LAYER, MANIFEST, Layout, config_of, docker_archive, sha256
from judged_images import image_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MEMORY = 400 << 20
SECONDS = 300
_LINES = 3


def main(words: Sequence[str] | None = None) -> bool:
    """Try them and print what is wrong; say whether nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=["bombs", "images"], default=["bombs", "images"])
    arguments = parser.parse_args(words)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="slimmer-hostile-") as directory:
        if "bombs" in arguments.only:
            wrong += bombs(Path(directory))
        if "images" in arguments.only:
            wrong += images(Path(directory), arguments.seed, range(arguments.first, arguments.first + arguments.count))
    for line in wrong:
        print(line)
    return not wrong


def images(directory: Path, seed: int, numbers: range) -> list[str]:
    """Give what is wrong with what becomes of images that are mutated at random."""
    root = rich_root(mutations.subjects(directory)[0].data)
    started, wrong, ends = time.monotonic(), [], Counter[str]()
    for number in numbers:
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            begun = time.monotonic()
            reference = hostile_image(number, seed, root, Path(folder, "image"))
            found, end = image_findings(reference, Path(folder, "result.tar"))
            ends[end] += 1
            took = time.monotonic() - begun
            wrong += [f"{number}: {sentence}" for sentence in found]
            if took > 30:
                wrong.append(f"{number}: it took {took:.0f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{len(numbers)} images in {time.monotonic() - started:.0f} s: {dict(ends)}, peak {peak} MB; {len(wrong)} wrong"
    )
    return wrong


def bombs(directory: Path) -> list[str]:
    """Give what is wrong with what becomes of each bomb."""
    wrong = []
    for name, make in BOMBS.items():
        folder = Path(directory, "bomb")
        folder.mkdir()
        temporary = Path(directory, "temporary")
        temporary.mkdir()
        reference, ending = make(folder)
        words = [sys.executable, "-m", "slimmer", "run", "--dry-run", "-q", reference, "--report", folder / "r.json"]
        started = time.monotonic()
        process = subprocess.Popen(
            list(map(str, words)), stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
        )
        said, status, usage = _ended(process)
        took = time.monotonic() - started
        memory = usage.ru_maxrss << 10
        print(
            f"{name:<44} exit {status}, {took:5.1f} s, {memory >> 20:4} MB: {said[-100:].strip() or 'slimmed'}",
            flush=True,
        )
        limit = _LARGER.get(name, MEMORY)
        if status != ending or memory > limit or took > SECONDS or len(said.splitlines()) > _LINES:
            wrong.append(f"{name}: exit status {status} for {ending}, {memory >> 20} MB, {took:.0f} s: {said[-300:]}")
        left = [path for path in temporary.rglob("*") if path.is_file()]
        if left:
            wrong.append(f"{name}: it left {left}")
        for place in (folder, temporary):
            subprocess.run(["rm", "-rf", place], check=True)
    return wrong


def _ended(process: subprocess.Popen[str]) -> tuple[str, int, resource.struct_rusage]:
    """Give what a process said, its exit status and what it took."""
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return said, process.returncode, usage


def _tar(entries: Callable[[tarfile.TarFile], None], path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        entries(tar)
    return path


def _million(folder: Path) -> tuple[str, int]:
    """Write files of a byte, each in a header and a block of its own."""

    def chunks() -> Iterator[bytes]:
        for number in range(1_000_000):
            info = tarfile.TarInfo(f"srv/{number // 10_000}/{number // 100 % 100}/file-{number}")
            info.size, info.mtime = 1, 1_600_000_000
            yield info.tobuf(tarfile.USTAR_FORMAT) + b"x" + bytes(511)
        yield bytes(1024)

    return _gzipped(folder, chunks(), 0)


def _six_million(folder: Path) -> tuple[str, int]:
    """Give so many empty entries that they would not be held, in a gzip of a thousandth of their tar."""
    info = tarfile.TarInfo("d/x")
    block = info.tobuf(tarfile.USTAR_FORMAT)
    return _gzipped(folder, (block * 1000 for _ in range(6000)), 4)


def _deep(folder: Path) -> tuple[str, int]:
    """Put directories in directories, each layer a thousand deeper, by a symlink to where the one before ended."""

    def entries(tar: tarfile.TarFile) -> None:
        for number in range(39):
            link = tarfile.TarInfo(f"s{number}")
            link.type, link.linkname = tarfile.SYMTYPE, (f"s{number - 1}/" if number else "") + "d/" * 2000
            tar.addfile(link)
            tar.addfile(tarfile.TarInfo(f"s{number}/" + "d/" * 2000 + "x"))

    layer = _tar(entries, folder / "layer.tar").read_bytes()
    (folder / "image.tar").write_bytes(docker_archive([layer], "app:1"))
    return f"docker-archive:{folder}/image.tar", 4


def _sparse(folder: Path) -> tuple[str, int]:
    """Have a list of accounts of a terabyte of nothing, in a tar of two kilobytes."""
    records = {"GNU.sparse.map": "1099511627770,6", "GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1"}
    info = tarfile.TarInfo("etc/passwd")
    info.size, info.pax_headers = 6, records
    layer = info.tobuf(tarfile.PAX_FORMAT) + b"Packag" + bytes(506 + 1024)
    (folder / "image.tar").write_bytes(docker_archive([layer], "app:1"))
    return f"docker-archive:{folder}/image.tar", 4


def _sparse_data(folder: Path) -> tuple[str, int]:
    """Have a file of a terabyte of nothing that no rule reads: a dry run says how large the result would be."""
    reference, _ = _sparse(folder)
    records = {"GNU.sparse.map": "1099511627770,6", "GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1"}
    info = tarfile.TarInfo("srv/data")
    info.size, info.pax_headers = 6, records
    layer = info.tobuf(tarfile.PAX_FORMAT) + b"Packag" + bytes(506 + 1024)
    (folder / "image.tar").write_bytes(docker_archive([layer], "app:1"))
    return reference, 0


def _gzip_of_zeros(folder: Path) -> tuple[str, int]:
    """Put ten gigabytes of zeros behind the end of a layer, in 45 MB: read to the end, and no disk is taken."""
    return _gzipped(folder, (bytes(1 << 20) for _ in range(10_000)), 4)


def _gzip_in_gzip(folder: Path) -> tuple[str, int]:
    """Pack an archive of a layer that is packed: 5 GB in 20 kB."""
    inner = io.BytesIO()
    with gzip.GzipFile(fileobj=inner, mode="wb", compresslevel=9) as stream:
        for _ in range(5_000):
            stream.write(bytes(1 << 20))
    layout = docker_archive([inner.getvalue()], "app:1")
    (folder / "image.tar").write_bytes(gzip.compress(layout))
    return f"docker-archive:{folder}/image.tar", 4


def _zstd(folder: Path) -> tuple[str, int]:
    """Pack twenty gigabytes in 2 MB."""
    words = f"head -c 20G /dev/zero | zstd -q -T1 -1 -o {folder}/layer"
    subprocess.run(["sh", "-c", words], check=True)
    return _layout(folder, (folder / "layer").read_bytes(), "+zstd", "sha256:" + "0" * 64), 4


def _zstd_window(folder: Path) -> tuple[str, int]:
    """Write a frame that asks for 2 GiB of memory to be read at all."""
    words = f"head -c 3G /dev/zero | zstd -q --ultra -1 --long=31 -o {folder}/layer"
    subprocess.run(["sh", "-c", words], check=True)
    return _layout(folder, (folder / "layer").read_bytes(), "+zstd", "sha256:" + "0" * 64), 4


def _gzipped(folder: Path, chunks: Iterator[bytes], status: int) -> tuple[str, int]:
    digest = hashlib.sha256()
    with gzip.open(folder / "layer", "wb", compresslevel=1) as stream:
        for chunk in chunks:
            digest.update(chunk)
            stream.write(chunk)
    return _layout(folder, (folder / "layer").read_bytes(), "+gzip", f"sha256:{digest.hexdigest()}"), status


def _layout(folder: Path, blob: bytes, packing: str, diff_id: str) -> str:
    layout = Layout()
    config = json.loads(config_of([b""]))
    config["rootfs"]["diff_ids"] = [diff_id]
    manifest = {
        "schemaVersion": 2,
        "config": layout.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [layout.blob(blob, LAYER + packing)],
    }
    layout.add(layout.blob(json.dumps(manifest).encode(), MANIFEST))
    return f"oci:{layout.in_directory(folder / 'layout')}"


def _layers(folder: Path) -> tuple[str, int]:
    """Name one layer a hundred thousand times: each would be read, and unpacked, anew."""
    layer = gzip.compress(bytes(1 << 20))
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l"] * 100_000}]
    config = json.loads(config_of([layer]))
    config["rootfs"]["diff_ids"] = [sha256(bytes(1 << 20))] * 100_000
    members = (
        file("l", layer),
        file("c.json", json.dumps(config).encode()),
        file("manifest.json", json.dumps(manifest).encode()),
    )
    (folder / "image.tar").write_bytes(make_tar(*members))
    return f"docker-archive:{folder}/image.tar", 4


BOMBS: dict[str, Callable[[Path], tuple[str, int]]] = {
    "a million files": _million,
    "six million entries, in a gzip": _six_million,
    "paths 80,000 directories deep": _deep,
    "accounts of a terabyte, all hole": _sparse,
    "data of a terabyte, all hole": _sparse_data,
    "ten gigabytes of zeros, in a gzip": _gzip_of_zeros,
    "five gigabytes of zeros, in a gzip in a gzip": _gzip_in_gzip,
    "twenty gigabytes of zeros, in zstd": _zstd,
    "a zstd frame that asks for 2 GiB": _zstd_window,
    "a layer that is named a hundred thousand times": _layers,
}
_LARGER = {"six million entries, in a gzip": 4 << 30}


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
