"""What slimmer promises of every kind of engine: Docker with a graph driver, Docker with containerd's images, Podman."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from slimmer.containers import Containers
from slimmer.engine import Engine
from slimmer.runs import Run

from docker_cli import Docker
from handmade import Spec, directory, file, make_tar, symlink

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/engines:1"
SLIM = "slimmer-test/engines:1-slim"
CONFIG: Spec = {
    "Env": ["PATH=/usr/bin", "MARKUP=a <b> & c", "UNICODE=größer"],
    "Cmd": ["/usr/bin/app"],
    "Healthcheck": {"Test": ["CMD", "/bin/app", "--health"], "StartInterval": 1000000000},
    "OnBuild": ["RUN true"],
    "Volumes": {"/data": {}},
    "UnknownKey": {"z": 1, "a": [1.5, None]},
}


@pytest.fixture
def layers(compiled: Callable[..., Path]) -> list[bytes]:
    """Give two layers with a library to strip and a file that the second deletes."""
    library = compiled("answer", "-g3", "-Wl,--build-id=0x0123456789abcdef").read_bytes()
    return [
        make_tar(directory("usr"), directory("usr/lib"), file("usr/lib/answer.so", library), file("gone", b"x" * 9000)),
        make_tar(file(".wh.gone"), symlink("lib", "usr/lib")),
    ]


@pytest.fixture
def connected(engine: Docker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Give slimmer's own hold of the engine."""
    for name, value in engine.env.items():
        monkeypatch.setenv(name, value)
    with Engine.connect() as opened:
        yield opened


def test_numpy_computes_the_same_in_containers(
    engine: Docker, docker: Docker, numpy: str, slimmer: Slimmer, tmp_path: Path
) -> None:
    """Libraries are stripped, both images run their probe in containers, the result is tagged, nothing is left."""
    engine.borrow(numpy, docker)
    before = engine.leftovers()
    engine.will_make("slimmer-test/numpy:slim")

    done = slimmer("run", numpy, "--tag", "slimmer-test/numpy:slim", "--report", tmp_path / "r.json", env=engine.env)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{engine.inspect('slimmer-test/numpy:slim')['Id']} slimmer-test/numpy:slim\n"
    assert set(engine.leftovers()) <= set(before)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["verified"] is True
    (check,) = [check for check in report["checks"] if check["name"] == "numpy_linalg"]
    assert check["status"] == "passed", check
    assert json.loads(check["original"])["cases"]
    (strip,) = [rule for rule in report["rules"] if rule["name"] == "strip"]
    assert strip["files"] >= 10


def test_the_configuration_survives_to_the_byte(engine: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Every key is there, those that the engine does not know too; only history, rootfs and slimmer's labels are new."""
    before = engine.leftovers()
    engine.image(NAME, layers, CONFIG, author="somebody", customtop={"kept": True})
    raw = engine.raw_config(NAME)
    engine.will_make(SLIM)

    done = slimmer("run", NAME, env=engine.env)

    assert done.returncode == 0, done.stderr
    was, now = json.loads(raw), json.loads(engine.raw_config(SLIM))
    labels = now["config"].pop("Labels")
    assert labels["slimmer.source"] == "sha256:" + hashlib.sha256(raw).hexdigest()  # whatever the engine's ID is
    assert now["rootfs"]["diff_ids"] == engine.inspect(SLIM)["RootFS"]["Layers"]
    assert len(now["rootfs"]["diff_ids"]) == 1
    for config in (was, now):
        del config["rootfs"], config["history"]
    assert list(now) == list(was)
    assert now == was
    assert engine.raw_config(NAME) == raw
    assert set(engine.leftovers()) <= set(before)


def test_every_engine_gets_the_same_layer(
    docker: Docker, host: Callable[[str], str | None], slimmer: Slimmer, layers: list[bytes]
) -> None:
    """How an engine stores and sends an image changes nothing of what slimmer makes of it."""
    made: dict[str, list[str]] = {}
    for kind in ("graphdriver", "containerd", "podman"):
        engine = Docker(host(kind))
        engine.image(NAME, layers, CONFIG)
        engine.will_make(SLIM)
        try:
            done = slimmer("run", NAME, "--no-verify", env=engine.env)
            assert done.returncode == 0, done.stderr
            made[kind] = engine.inspect(SLIM)["RootFS"]["Layers"]
        finally:
            engine.clean()

    assert made["containerd"] == made["podman"] == made["graphdriver"]


SEEN = """
import json, os, resource, socket
def tried(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return os.strerror(error.errno)
    return "written"
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({
    "interfaces": [name for _, name in socket.if_nameindex()], "root": tried("/x"), "tmp": tried("/tmp/x"),
    "capabilities": int(status["CapBnd"], 16), "privileges": status["NoNewPrivs"], "first": os.getpid() == 1,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "user": os.getuid(), "directory": os.getcwd(),
}))
"""


def test_a_container_is_shut_in(engine: Docker, connected: Engine, docker: Docker, numpy: str) -> None:
    """A program of the image gets no network, no capability but one, no place to write but /tmp, and an init above it."""
    image = str(engine.inspect(engine.borrow(numpy, docker))["Id"])
    before = engine.leftovers()

    done = Containers(connected, Run.this()).run(image, ["python3", "-c", SEEN], 60)

    assert done.status == 0, done.stderr
    assert json.loads(done.stdout) == {
        "interfaces": ["lo"], "root": "Read-only file system", "tmp": "written", "capabilities": 2, "privileges": "1",
        "first": False, "files": [4096, 4096], "user": 0, "directory": "/",
    }  # fmt: skip
    assert set(engine.leftovers()) <= set(before)


@pytest.mark.parametrize(
    ("script", "status", "stdout", "stderr"),
    [
        ("import sys; print('out'); sys.exit('err')", 1, "out\n", "err\n"),
        ("import os; os.kill(os.getpid(), 9)", 137, "", ""),
        ("import time; time.sleep(60)", None, "", ""),
    ],
    ids=["ends", "is killed", "runs on"],
)
def test_how_a_container_ended_is_told(
    engine: Docker,
    connected: Engine,
    docker: Docker,
    numpy: str,
    script: str,
    status: int | None,
    stdout: str,
    stderr: str,
) -> None:
    """Status and both streams are the program's own; one that runs past its time has no status and is gone."""
    image = str(engine.inspect(engine.borrow(numpy, docker))["Id"])

    done = Containers(connected, Run.this()).run(image, ["python3", "-c", script], 3)

    assert (done.status, done.stdout, done.stderr) == (status, stdout, stderr)
    assert not engine("ps", "-aq", "--filter", "name=slimmer-test-ended")
