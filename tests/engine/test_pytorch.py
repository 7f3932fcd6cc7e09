"""The main job on a real PyTorch image."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from built import built
from watched import sum_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [pytest.mark.engine, pytest.mark.pytorch]

MULTIPLY = "import torch; torch.manual_seed(7); print((torch.randn(64, 64) @ torch.randn(64, 64)).sum().item())"


@pytest.fixture(scope="module")
def slimmed(pytorch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Slim the PyTorch fixture once and give the report."""
    path: Path = tmp_path_factory.mktemp("report") / "r.json"
    done = subprocess.run(
        ["slimmer", "run", pytorch, "--tag", "slimmer-test/pytorch:slim", "--report", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield json.loads(path.read_text())
    subprocess.run(["docker", "rmi", "slimmer-test/pytorch:slim"], capture_output=True, check=True)


def test_torch_computes_the_same_numbers(slimmed: dict[str, Any]) -> None:
    """The check compares what both images computed, down to the digest of every result."""
    (check,) = [check for check in slimmed["checks"] if check["name"] == "torch_matmul"]

    assert check["status"] == "passed"
    assert check["original"] == check["slimmed"]
    assert slimmed["verified"] is True
    cases = json.loads(check["slimmed"])["cases"]
    assert len(cases) >= 17
    assert all("sha256" in result for result in cases.values()), cases
    assert {"matmul float32 512x512x512", "matmul bfloat16 512x512x512", "linalg.solve", "numpy bridge"} <= set(cases)


def test_strip_and_the_cache_save_what_they_should(slimmed: dict[str, list[dict[str, int]]]) -> None:
    """torch's symbols are most of it; the uv cache frees what only it holds, not what site-packages links to."""
    saved = {str(rule["name"]): rule["saved"] for rule in slimmed["rules"]}

    assert saved["strip"] > 90_000_000
    assert 1_000_000 < saved["uv_cache"] < 50_000_000
    assert not [kept for kept in slimmed["kept"] if "proof failed" in str(kept["reason"])]


def test_the_service_starts_and_becomes_healthy(slimmed: dict[str, object], docker: Docker) -> None:
    """Entrypoint, command, user, environment and health check work as they did, without being asked for."""
    container = docker("run", "-d", "slimmer-test/pytorch:slim").strip()
    try:
        for _ in range(120):
            health = docker("inspect", "-f", "{{.State.Health.Status}}", container).strip()
            if health == "healthy":
                break
            time.sleep(1)
        assert health == "healthy", docker("logs", container)
        assert docker("exec", container, "id", "-un").strip() == "app"
        assert docker("exec", container, "printenv", "GREETING").strip() == 'two words, a "quote" and a $dollar'
    finally:
        docker("rm", "-fv", container)


def test_outside_of_slimmer_the_product_is_the_same(slimmed: dict[str, object], docker: Docker, pytorch: str) -> None:
    """The engine's own client, running each image, sees the same number."""
    numbers = {
        docker("run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-c", MULTIPLY).strip()
        for image in (pytorch, "slimmer-test/pytorch:slim")
    }

    assert len(numbers) == 1


PACKAGES = "usr/local/lib/python3.11/dist-packages"
BACKEND = b"""
import ctypes, os
def load():
    ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libwatched.so"))
"""


@pytest.mark.skipif(not os.environ.get("SLIMMER_LONG"), reason="it takes three minutes: SLIMMER_LONG=1 runs it")
def test_a_library_that_must_not_change_is_put_back_alone(
    docker: Docker, slimmer: Slimmer, pytorch: str, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """One that torch loads whenever it is imported, and that checks its own file: found without another whole image."""
    library = compiled("watched", "-g3").read_bytes()
    files = {
        f"{PACKAGES}/guard/__init__.py": BACKEND,
        f"{PACKAGES}/guard/libwatched.so": library,
        f"{PACKAGES}/guard/libwatched.so.sum": sum_of(library),
        f"{PACKAGES}/guard-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: guard\nVersion: 1\n",
        f"{PACKAGES}/guard-1.dist-info/entry_points.txt": b"[torch.backends]\nguard = guard:load\n",
    }
    name = built(docker, "slimmer-test/guarded:1", pytorch, files, tmp_path / "context")
    docker.will_make(f"{name}-slim")
    before = docker.leftovers()

    done = slimmer("run", name, "--only", "strip", "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert [restored["path"] for restored in report["restored"]] == [f"/{PACKAGES}/guard/libwatched.so"]
    assert {check["status"] for check in report["checks"]} <= {"passed", "skipped"}
    assert len(report["changes"]) > 20
    assert done.stderr.count("slimmer: trying with ") == 1
    assert done.stderr.count("slimmer: stripping done") == 2
    assert docker.leftovers() == before


def test_the_checks_of_a_service_were_made(slimmed: dict[str, Any]) -> None:
    """Nothing that the image has is left out: it starts and becomes healthy, its libraries load, its modules come."""
    checks = {check["name"]: check for check in slimmed["checks"]}

    assert {name for name, check in checks.items() if check["status"] == "skipped"} == {"absent", "triton_kernel"}
    assert checks["starts"]["slimmed"] == "stays up, healthy"
    assert "cuda None" in checks["runtime"]["reason"]
    assert "torch" in checks["runtime"]["reason"]
