"""`--max-size`, `--min-saving` and `--compressed` against the real engine, and the same from Python."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

import slimmer as package

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n"
NAME = "slimmer-test/gated:1"
SIZE = 100_000 + 50_000 + len(TAG)


@pytest.fixture
def image(docker: Docker) -> str:
    """Give an image of 150 kB, of which the uv cache is a third."""
    docker.will_make("slimmer-test/gated:1-slim")
    cache = "root/.cache/uv"
    docker.image(NAME, [make_tar(
        file("data", bytes(range(250)) * 400), directory("root"), directory("root/.cache"),
        directory(cache),
        file(f"{cache}/CACHEDIR.TAG", TAG), directory(f"{cache}/archive-v0"), file(f"{cache}/archive-v0/wheel", b"w" * 50_000),
    )])  # fmt: skip
    return NAME


def read(path: Path) -> dict[str, Any]:
    """Give a report."""
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("mode", [(), ("--dry-run",)], ids=["run", "dry-run"])
@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        (("--max-size", "99.999kB"), "100,000 bytes"),
        (("--min-saving", "33.4%"), f"{50_000 + len(TAG):,} bytes are saved"),
    ],
)
def test_a_shut_gate_is_exit_6_and_tags_nothing(
    docker: Docker, slimmer: Slimmer, tmp_path: Path, image: str, gate: tuple[str, ...], sentence: str,
    mode: tuple[str, ...],
) -> None:  # fmt: skip
    """The report is written all the same, nothing is loaded, tagged or left, and the last line says both numbers."""
    path = tmp_path / "r.json"
    before = docker.leftovers()

    done = slimmer("run", image, *mode, *gate, "--report", path)

    assert done.returncode == 6, done.stderr
    assert done.stdout == ""
    assert sentence in done.stderr.splitlines()[-1]
    (said,) = read(path)["gates"]
    assert (said["name"], said["passed"]) == (gate[0].removeprefix("--"), False)
    assert read(path)["result"] is None
    assert read(path)["estimate"]["size"] == 100_000
    assert not docker.has("slimmer-test/gated:1-slim")
    assert docker.leftovers() == before


def test_an_open_gate_lets_the_result_through(docker: Docker, slimmer: Slimmer, tmp_path: Path, image: str) -> None:
    """A result of the limit itself, and a saving of exactly what was asked for, pass."""
    path = tmp_path / "r.json"

    done = slimmer("run", image, "--max-size", "100kB", "--min-saving", f"{50_000 + len(TAG)}", "--report", path)

    assert done.returncode == 0, done.stderr
    assert [gate["passed"] for gate in read(path)["gates"]] == [True, True]
    assert docker.inspect("slimmer-test/gated:1-slim")["Size"] == 100_000
    assert "--max-size 100kB  passed" in done.stderr


def test_a_gate_may_stand_in_the_file_or_the_environment(
    docker: Docker, slimmer: Slimmer, tmp_path: Path, image: str
) -> None:
    """The file's is shut, the environment's opens it, the command line's shuts it again."""
    (tmp_path / "slimmer.toml").write_text('dry_run = true\nmax_size = "1kB"\n')

    assert slimmer("run", image, cwd=tmp_path).returncode == 6
    opened = slimmer("run", image, cwd=tmp_path, env={"SLIMMER_MAX_SIZE": "1MB"})
    assert opened.returncode == 0, opened.stderr
    assert slimmer("run", image, "--max-size", "2kB", cwd=tmp_path, env={"SLIMMER_MAX_SIZE": "1MB"}).returncode == 6
    assert not docker.has("slimmer-test/gated:1-slim")


@pytest.mark.parametrize("gate", [("--max-size", "6,2GB"), ("--min-saving", "lots")])
def test_a_limit_that_is_none_is_found_before_any_work(slimmer: Slimmer, gate: tuple[str, ...]) -> None:
    """The command line is wrong: exit 2, before the engine is asked for an image that is not there."""
    done = slimmer("run", "slimmer-test/no-such:1", *gate)

    assert done.returncode == 2
    assert gate[0] in done.stderr


def test_the_compressed_size_is_that_of_the_blob(slimmer: Slimmer, tmp_path: Path, image: str) -> None:
    """What a dry run measures, and a run with an engine as its target, is what an OCI layout then holds."""
    for name, options in {
        "dry": ("--dry-run", "--compressed"), "engine": ("--compressed",), "plain": (),
        "none": ("--dry-run", "--compressed", "--compression", "none"), "oci": ("-o", f"oci:{tmp_path}/layout:1"),
    }.items():  # fmt: skip
        done = slimmer("run", image, *options, "--report", tmp_path / f"{name}.json")
        assert done.returncode == 0, done.stderr

    blobs = list((tmp_path / "layout" / "blobs" / "sha256").iterdir())
    (layer,) = [blob for blob in blobs if blob.read_bytes()[:2] == b"\x1f\x8b"]
    assert len(zlib.decompress(layer.read_bytes(), 31)) == read(tmp_path / "dry.json")["estimate"]["layer_size"]
    assert read(tmp_path / "oci.json")["result"]["compressed_size"] == layer.stat().st_size
    assert read(tmp_path / "engine.json")["result"]["compressed_size"] == layer.stat().st_size
    assert read(tmp_path / "dry.json")["estimate"]["compressed_size"] == layer.stat().st_size
    assert read(tmp_path / "plain.json")["result"]["compressed_size"] is None
    assert read(tmp_path / "none.json")["estimate"]["compressed_size"] is None


def test_python_has_the_same_words(docker: Docker, tmp_path: Path, image: str) -> None:
    """`slimmer.run` gives the report, its error has the exit code and the report, and nothing is printed."""
    dry = package.run(image, dry_run=True)

    assert dry.saved == 50_000 + len(TAG)
    assert dry.result is None
    with pytest.raises(package.GateFailedError) as shut:
        package.run(image, max_size=99_999)
    assert shut.value.exit_code == 6
    assert shut.value.report.estimate.size == 100_000
    assert not docker.has("slimmer-test/gated:1-slim")

    done = package.run(image, only=["uv_cache"])
    package.write_report(done, tmp_path / "r.json")
    assert done.result is not None
    assert docker.inspect(done.result.reference)["Id"] == done.result.id == read(tmp_path / "r.json")["result"]["id"]
