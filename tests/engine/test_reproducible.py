"""The same input gives the same image on every machine, whatever the machine is like."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from slimmer import api
from slimmer.content import Content
from slimmer.flattening import flatten
from slimmer.layer import read_layer
from slimmer.layer_writer import layer_chunks

from handmade import directory, file, hard_link, make_tar, symlink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker_cli import Docker
    from handmade import Spec

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def small_memory(tmp_path: Path) -> Iterator[Path]:
    """Give a directory of another file system than the rest, which lists names in another order."""
    mounted = tmp_path / "größer"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)
    yield mounted
    subprocess.run(["umount", mounted], check=True)


def entries(library: bytes) -> list[Spec]:
    """Give a root with something for every rule and names in no order."""
    tag = b"Signature: 8a477f597d28d172789f06886806bc55\n"
    return [
        directory("usr"), file("usr/z", b"z"), file("usr/größer", b"1"), file(os.fsdecode(b"usr/\xff"), b"2"),
        file("usr/A", b"A"), file("usr/a", b"a"), directory("usr/lib"), file("usr/lib/answer.so", library),
        hard_link("usr/lib/answer.so.1", "usr/lib/answer.so"), symlink("lib", "usr/lib"), directory("root"),
        directory("root/.cache"), directory("root/.cache/uv"), file("root/.cache/uv/CACHEDIR.TAG", tag),
    ]  # fmt: skip


def told(report: Path) -> dict[str, Any]:
    """Give what a report says less how long things took."""
    told: dict[str, Any] = json.loads(report.read_text("utf-8"))
    del told["timings"]
    for check in told["checks"]:
        del check["seconds"]
    return told


@pytest.mark.engine
def test_no_machine_reaches_the_result(
    docker: Docker, slimmer: Slimmer, compiled: Callable[..., Path], small_memory: Path, tmp_path: Path
) -> None:
    """Umask, time zone, locale, hash seed, temporary directory, current directory, home and user change no byte."""
    layer = make_tar(*entries(compiled("answer", "-g3").read_bytes()))
    docker.image(
        "slimmer-test/same:1", [layer, make_tar(file("usr/.wh.a"), file("usr/b", b"b"))], {"Env": ["A=größer"]}
    )
    result = docker.will_make("slimmer-test/same:1-slim")
    machines: list[tuple[dict[str, str], int]] = [
        ({"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "HOME": "/root", "USER": "root"}, 0o022),
        (
            {
                "TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "tr_TR.ISO-8859-9", "PYTHONHASHSEED": "4294967295",
                "TMPDIR": str(small_memory), "HOME": str(small_memory), "USER": "größer", "LOGNAME": "größer",
                "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "40",
            },
            0o777,
        ),
    ]  # fmt: skip
    images, reports = [], []
    for number, (environment, umask) in enumerate(machines):
        report = tmp_path / f"{number}.json"
        done = slimmer(
            "run", "slimmer-test/same:1", "--report", report, env=environment, umask=umask,
            cwd=environment["HOME"],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        images.append((done.stdout, docker.inspect(result)["RootFS"]))
        report.chmod(0o600)
        reports.append(told(report))
        docker("rmi", result)

    assert images[0] == images[1]
    assert reports[0] == reports[1]
    assert reports[0]["saved"] > 0


def test_the_order_of_a_layer_does_not_reach_the_result() -> None:
    """A file system lists names in an order of its own, and a builder may write them so; slimmer's layer is the same."""
    plain = [entry for entry in entries(b"library") if entry.get("type") != tarfile.LNKTYPE]
    links = [entry for entry in entries(b"library") if entry not in plain]

    written = {
        b"".join(layer_chunks(flatten([("l", read_layer(Content.of(make_tar(*order, *links)), "l"))]).as_layer()))
        for order in (plain, plain[::-1], sorted(plain, key=lambda entry: os.fsencode(entry["path"])[::-1]))
    }

    assert len(written) == 1


def test_the_time_of_writing_an_archive_is_told(numpy: str, tmp_path: Path) -> None:
    """What is written is written at the end of a run, and its time is that of writing."""
    before = time.monotonic()
    report = api.run(numpy, verify=False, output=f"docker-archive:{tmp_path / 'numpy.tar'}")
    took = time.monotonic() - before

    assert sum(report.timings.values()) > 0.8 * took
