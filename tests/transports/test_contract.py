"""One contract for every place: the same image in gives the same image out, whatever it lies in and goes to."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from functools import partial
from typing import TYPE_CHECKING

import pytest

from forwarder import forwarded
from handmade import directory, file, hard_link, make_tar
from image_files import PACKED, as_engines_since_25_save, docker_archive, named, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

LAYERS = [
    make_tar(
        directory("usr"), file("usr/a", b"1" * 5000), hard_link("usr/link", "usr/a"), file("gone", b"x" * 9000),
        file("usr/times", b"t", pax={"mtime": "1600000000.123456789", "SCHILY.xattr.user.note": "kept"}),
    ),
    make_tar(file(".wh.gone"), file("usr/b", b"2" * 7000)),
]  # fmt: skip


def archive(data: bytes, path: Path) -> str:
    """Write an archive and give what it is called."""
    (path / "image.tar").write_bytes(data)
    return f"docker-archive:{path / 'image.tar'}"


def oci_archive(data: bytes, path: Path) -> str:
    """Write an archive of a layout and give what it is called."""
    (path / "layout.tar").write_bytes(data)
    return f"oci-archive:{path / 'layout.tar'}"


def layout(packing: str, tag: str, path: Path) -> str:
    """Write a layout into a directory and give what it is called."""
    return f"oci:{named(LAYERS, packing).in_directory(path / 'layout')}{tag}"


SOURCES: dict[str, Callable[[Path], str]] = {
    "oci-archive": partial(oci_archive, named(LAYERS).as_archive()),
    "oci-archive packed as a whole": partial(oci_archive, PACKED["+gzip"](named(LAYERS, "+zstd").as_archive())),
}
for suffix, pack in PACKED.items():
    kind = suffix.lstrip("+") or "plain"
    SOURCES |= {
        f"docker-archive {kind}": partial(archive, pack(docker_archive(LAYERS, "app:1"))),
        f"docker-archive of engines since 25 with {kind} layers": partial(
            archive, as_engines_since_25_save(LAYERS, suffix)
        ),
        f"oci {kind}": partial(layout, suffix, ""),
        f"oci {kind} by its tag": partial(layout, suffix, ":1"),
    }


@pytest.fixture(scope="module")
def expected() -> list[str]:
    """Collect what each source gave, for the others to be compared with."""
    return []


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_image(kind: str, slimmer: Slimmer, tmp_path: Path, expected: list[str]) -> None:
    """Image ID, and so configuration and layer, to the byte; no engine is asked."""
    source = SOURCES[kind](tmp_path)
    target = tmp_path / "result.tar"

    done = slimmer(
        "run", "-q", "--no-verify", source, "-o", f"docker-archive:{target}", env={"DOCKER_HOST": "unix:///none"}
    )

    assert done.returncode == 0, done.stderr
    image_id = done.stdout.split()[0]
    expected.append(image_id)
    assert image_id == expected[0]
    with tarfile.open(target) as tar:
        (described,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        raw = tar.extractfile(described["Config"]).read()  # type: ignore[union-attr]
        assert sha256(raw) == image_id
        layer = tar.extractfile(described["Layers"][0]).read()  # type: ignore[union-attr]
        assert json.loads(raw)["rootfs"]["diff_ids"] == [sha256(layer)]
        assert described["RepoTags"] == ["app:1-slim"]
    assert b'"x.unknown": {\n  "b": 1.5,\n  "a": null\n }' in raw
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {"result.tar", source.partition(":")[2].removesuffix(":1").rpartition("/")[2]}
    )


@pytest.mark.parametrize("packing", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_every_oci_sink_holds_the_same_image(kind: str, packing: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """Every blob has the digest and the size that it is listed with, the layer unpacks to its diff_id."""
    source = archive(docker_archive(LAYERS, "app:1"), tmp_path)
    target = tmp_path / "out"
    plain = slimmer("run", "-q", "--no-verify", source, "-o", f"docker-archive:{tmp_path / 'plain.tar'}")

    done = slimmer("run", "-q", "--no-verify", source, "-o", f"{kind}:{target}", "--compression", packing)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == plain.stdout.split()[0]
    root = target
    if kind == "oci-archive":
        root = tmp_path / "unpacked"
        with tarfile.open(target) as tar:
            tar.extractall(root, filter="data")
    for blob in (root / "blobs/sha256").iterdir():
        assert sha256(blob.read_bytes()) == f"sha256:{blob.name}"
    (descriptor,) = json.loads((root / "index.json").read_bytes())["manifests"]
    assert descriptor["platform"] == {"os": "linux", "architecture": "amd64"}
    assert descriptor["annotations"] == {
        "org.opencontainers.image.ref.name": "1-slim",
        "io.containerd.image.name": "docker.io/library/app:1-slim",
    }
    manifest = json.loads((root / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())
    (layer,) = manifest["layers"]
    suffix = "" if packing == "none" else f"+{packing}"
    assert layer["mediaType"] == f"application/vnd.oci.image.layer.v1.tar{suffix}"
    data = (root / "blobs" / layer["digest"].replace(":", "/")).read_bytes()
    assert len(data) == layer["size"]
    unpack = {"gzip": ["gzip", "-dc"], "zstd": ["zstd", "-dcq"], "none": ["cat"]}[packing]
    unpacked = subprocess.run(unpack, input=data, capture_output=True, check=True).stdout
    config = json.loads((root / "blobs" / manifest["config"]["digest"].replace(":", "/")).read_bytes())
    assert config["rootfs"]["diff_ids"] == [sha256(unpacked)]


def test_an_image_is_added_to_a_layout(slimmer: Slimmer, tmp_path: Path) -> None:
    """Images of other tags stay, one of the same tag is replaced, the source's own is never."""
    layout = named(LAYERS).in_directory(tmp_path / "layout")

    first = slimmer("run", "-q", "--no-verify", f"oci:{layout}:1", "-o", f"oci:{layout}")
    again = slimmer("run", "-q", "--no-verify", f"oci:{layout}:1", "-o", f"oci:{layout}:1-slim")
    own = slimmer("run", "-q", "--no-verify", f"oci:{layout}:1", "-o", f"oci:{layout}:1")

    assert first.stdout.split()[1] == f"oci:{layout}:1-slim"
    assert again.stdout == first.stdout
    assert own.returncode == 2
    assert "never overwrites" in own.stderr
    tags = [
        one["annotations"]["org.opencontainers.image.ref.name"]
        for one in json.loads((layout / "index.json").read_bytes())["manifests"]
    ]
    assert tags == ["1", "1-slim"]


@pytest.mark.parametrize("target", ["docker-archive:{0}/out.tar", "oci:{0}/out", "oci-archive:{0}/out.tar"])
def test_a_file_that_was_not_wanted_was_not_written(target: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """The summary and the error say what did not happen: no name was to be given."""
    source = archive(docker_archive(LAYERS, "app:1"), tmp_path)

    done = slimmer("run", source, "--no-verify", "-o", target.format(tmp_path), "--max-size", "1B")

    assert done.returncode == 6
    assert "-> (nothing was written)" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("nothing was written")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.engine
@pytest.mark.parametrize("target", ["docker-archive:{0}/out.tar", "oci:{0}/out", "oci-archive:{0}/out.tar"])
def test_what_lies_in_no_engine_is_verified_in_one(
    target: str, docker: Docker, slimmer: Slimmer, tmp_path: Path
) -> None:
    """Original and result are put there for the checks, and are gone afterwards."""
    source = archive(docker_archive(LAYERS, "app:1"), tmp_path)
    before = docker.leftovers(), set(docker("images", "-q").split())  # of one date, they come in any order

    done = slimmer("run", source, "-o", target.format(tmp_path), "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check["status"] for check in json.loads((tmp_path / "r.json").read_bytes())["checks"]}
    assert checks["config"] == "passed"
    assert (docker.leftovers(), set(docker("images", "-q").split())) == before


@pytest.mark.engine
def test_an_engine_gives_the_same_image_from_far_and_near(
    docker: Docker, slimmer: Slimmer, tmp_path: Path, expected: list[str]
) -> None:
    """Read in place, sent by the engine, and from an archive: one image ID."""
    docker.will_make("app:1")
    docker("load", stdin=docker_archive(LAYERS, "app:1"))
    source_id = docker.inspect("app:1")["Id"]
    archived = slimmer(
        "run", "-q", "--no-verify", archive(docker_archive(LAYERS, "app:1"), tmp_path), "-o", f"oci:{tmp_path}/a"
    )

    near = slimmer("run", "-v", "--no-verify", "app:1", "-o", f"oci:{tmp_path}/near")
    with forwarded() as remote:
        far = slimmer("run", "-v", "--no-verify", "app:1", "-o", f"oci:{tmp_path}/far", env={"DOCKER_HOST": remote})

    assert near.returncode == far.returncode == 0, far.stderr
    assert "reading through the engine, because" not in near.stderr
    assert f"reading through the engine, because the engine at {remote} need not be on this machine" in far.stderr
    assert near.stdout.split()[0] == far.stdout.split()[0] == archived.stdout.split()[0]
    assert set(expected) <= {near.stdout.split()[0]}
    assert docker.inspect("app:1")["Id"] == source_id


@pytest.mark.engine
@pytest.mark.parametrize("packing", ["", "+gzip"], ids=["plain", "gzip"])
def test_every_engine_gives_and_takes_the_same_image(
    packing: str, engine: Docker, slimmer: Slimmer, tmp_path: Path, expected: list[str]
) -> None:
    """Whatever an engine makes of an image that it was given, slimmer makes the same of it; so for what it is given."""
    engine.will_make("app:1")
    engine.will_make("app:1-slim")
    engine("load", stdin=as_engines_since_25_save(LAYERS, packing) if packing else docker_archive(LAYERS, "app:1"))
    away = slimmer(
        "run", "-q", "--no-verify", archive(docker_archive(LAYERS, "app:1"), tmp_path), "-o", f"oci:{tmp_path}/a"
    )
    expected.append(away.stdout.split()[0])

    out = slimmer("run", "-q", "--no-verify", "app:1", "-o", f"docker-archive:{tmp_path}/out.tar", env=engine.env)
    into = slimmer("run", "-q", f"docker-archive:{tmp_path}/image.tar", env=engine.env)

    assert out.returncode == 0, out.stderr
    assert into.returncode == 0, into.stderr
    assert out.stdout.split()[0] == expected[0]
    assert sha256(engine.raw_config("app:1-slim")) == expected[0]
    name = into.stdout.split()[1]
    with tarfile.open(fileobj=io.BytesIO(engine.bytes_of("save", name))) as tar:
        (described,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        head = tar.extractfile(described["Layers"][0]).read(2)  # type: ignore[union-attr]
    keeps_blobs = "io.containerd.snapshotter.v1" in engine("info", "--format", "{{.DriverStatus}}")
    assert (head == b"\x1f\x8b") == keeps_blobs  # packed as that store keeps what is pulled


@pytest.mark.engine
def test_an_archive_becomes_an_image_of_the_engine(docker: Docker, slimmer: Slimmer, tmp_path: Path) -> None:
    """The engine takes the name that the archive gives it, with -slim; the ID is the configuration's digest."""
    docker.will_make("slimmer-test/archived:1-slim")
    source = archive(docker_archive(LAYERS, "slimmer-test/archived:1"), tmp_path)

    done = slimmer("run", "-q", source)

    assert done.returncode == 0, done.stderr
    inspected = docker.inspect("slimmer-test/archived:1-slim")
    assert done.stdout == f"{inspected['Id']} slimmer-test/archived:1-slim\n"
    assert not docker.has("slimmer-test/archived:1")
