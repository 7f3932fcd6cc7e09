"""`slimmer run` against the real engine, on images small enough to try every corner."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from handmade import Spec, directory, file, hard_link, make_tar, symlink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n"
CONFIG: Spec = {
    "Env": ["PATH=/bin", 'QUOTED=two words, "quotes" and $dollar', "EMPTY=", "NEWLINE=a\nb", "UNICODE=größer", "BARE"],
    "Entrypoint": ["/bin/app"],
    "Cmd": ["--serve", "a b"],
    "User": "nobody:nogroup",
    "WorkingDir": "/srv/no such dir",
    "Labels": {"note": 'a <b> & "c"'},
    "Shell": ["/bin/sh", "-eu", "-c"],
    "StopSignal": "SIGINT",
    "StopTimeout": 7,
    "OnBuild": ["RUN true"],
    "Volumes": {"/data": {}},
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "/bin/app", "--health"], "Interval": 5000000000, "StartInterval": 1000000000},
    "UnknownKey": {"z": 1, "a": [1.5, None]},
}


@pytest.fixture
def layers(compiled: Callable[..., Path]) -> list[bytes]:
    """Give three layers with a library to strip, a cache that holds what is installed, and every kind of change between layers."""
    library = compiled("answer", "-g3", "-Wl,--build-id=0x0123456789abcdef").read_bytes()
    return [
        make_tar(
            directory("."), directory("bin"), file("bin/app", b"#!/bin/sh\n", mode=0o4755), symlink("lib", "usr/lib"),
            directory("c"), file("c/orig", b"old"), hard_link("v", "c/orig"),
            directory("etc"), file("etc/hosts", b"127.0.0.1 image\n"), directory("gone"), file("gone/a", b"x"), file("becomes", b"file"),
            directory("root"), directory("root/.cache"), directory("root/.cache/uv"), file("root/.cache/uv/CACHEDIR.TAG", TAG),
            directory("root/.cache/uv/archive-v0"), file("root/.cache/uv/archive-v0/data", b"installed" * 1000),
            directory("usr"), directory("usr/lib"), file("usr/lib/answer.so", library), hard_link("usr/lib/answer.so.1", "usr/lib/answer.so"),
            hard_link("usr/lib/data", "root/.cache/uv/archive-v0/data"), directory("opaque"), file("opaque/old"),
            {"path": "usr/lib/null", "type": tarfile.CHRTYPE, "device": (1, 3)},
            file("usr/lib/capable", b"c", pax={"SCHILY.xattr.user.note": "kept", "mtime": "1600000000.123456789"}),
        ),
        make_tar(
            directory("c"), file("c/orig", b"new"), file(".wh.gone"), directory("becomes"), file("becomes/inner", b"1"),
            directory("opaque"), file("opaque/.wh..wh..opq"), file("opaque/new"),
        ),
        make_tar(directory("c"), file("c/.wh.orig"), directory("gone", mode=0o700, owner=(1000, 1000))),
    ]  # fmt: skip


def described(inspected: Spec) -> Spec:
    """Give what an engine says of an image that must not change."""
    shown: Spec = {key: inspected.get(key) for key in ("Os", "Architecture", "Author", "Created", "Config")}
    shown["Config"] = dict(inspected["Config"])
    labels = inspected["Config"].get("Labels") or {}
    shown["Config"]["Labels"] = {key: value for key, value in labels.items() if not key.startswith("slimmer.")}
    return shown


def facts(members: dict[str, tarfile.TarInfo]) -> dict[str, tuple[Any, ...]]:
    """Give what a container sees of each file, hard links resolved to what they are links to."""
    return {
        path: (
            "file" if member.isreg() or member.islnk() else member.type,
            member.mode, member.uid, member.gid, member.linkname if member.issym() else "",
            (members[member.linkname] if member.islnk() else member).size, member.devmajor, member.devminor,
        )
        for path, member in members.items()
    }  # fmt: skip


def test_the_image_comes_back_smaller_and_otherwise_the_same(
    docker: Docker, slimmer: Slimmer, layers: list[bytes], tmp_path: Path
) -> None:
    """The whole promise on one image: files, configuration, size to the byte, labels, the source untouched, nothing left."""
    before = docker.leftovers()
    source_id = docker.image("slimmer-test/small:1", layers, CONFIG, author="somebody", customtop={"kept": True})
    docker.will_make("slimmer-test/small:1-slim")
    source = docker.inspect("slimmer-test/small:1")
    estimate = slimmer("run", "--dry-run", "slimmer-test/small:1", "--report", tmp_path / "dry.json")
    assert estimate.returncode == 0, estimate.stderr
    assert estimate.stdout == ""
    assert not docker.has("slimmer-test/small:1-slim")

    done = slimmer("run", "slimmer-test/small:1", "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    slim = docker.inspect("slimmer-test/small:1-slim")
    assert done.stdout == f"{slim['Id']} slimmer-test/small:1-slim\n"
    assert docker.inspect("slimmer-test/small:1") == source
    assert docker.leftovers() == before
    assert described(slim) == described(source)
    report, dry = (json.loads((tmp_path / name).read_text()) for name in ("r.json", "dry.json"))
    assert slim["Size"] == report["estimate"]["size"] == report["result"]["size"] == dry["estimate"]["size"]
    assert report["estimate"] == dry["estimate"]
    assert dry["result"] is None
    assert slim["RootFS"]["Layers"] == [report["result"]["diff_id"]]
    assert len(source["RootFS"]["Layers"]) == 3
    assert slim["Config"]["Labels"]["slimmer.source"] == source_id
    assert slim["Config"]["Labels"]["slimmer.rules"] == "apt_cache,conda_pkgs,pip_cache,strip,tmp_files,uv_cache"
    assert {check["name"]: check["status"] for check in report["checks"]} == {
        "absent": "skipped", "config": "passed", "files": "passed", "imports": "skipped", "loads": "skipped",
        "numpy_linalg": "skipped", "runtime": "skipped", "starts": "skipped", "torch_matmul": "skipped",
        "triton_kernel": "skipped",
    }  # fmt: skip
    assert report["verified"] is False  # no program of the image was there to run
    assert report["linkage"]["objects"] == 1
    assert report["saved"] == sum(rule["saved"] for rule in report["rules"]) > 0
    assert report["saved"] == report["source"]["flattened_size"] - report["result"]["size"]

    was, now = facts(docker.exported("slimmer-test/small:1")), facts(docker.exported("slimmer-test/small:1-slim"))
    assert {path for path in was if path not in now} == {
        "root/.cache/uv", "root/.cache/uv/CACHEDIR.TAG", "root/.cache/uv/archive-v0", "root/.cache/uv/archive-v0/data",
    }  # fmt: skip
    differing = {path for path in now if was.get(path) != now[path]}
    assert differing == {"usr/lib/answer.so", "usr/lib/answer.so.1"}
    assert now["usr/lib/answer.so"][5] < was["usr/lib/answer.so"][5]
    assert now["usr/lib/data"][5] == 9000
    assert now["v"][5] == 3


def saved_layer(docker: Docker, name: str) -> dict[str, tarfile.TarInfo]:
    """Give what the one layer of an image holds, as `docker save` has it."""
    raw = subprocess.run(["docker", "save", name], capture_output=True, check=True).stdout

    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = archive.extractfile(manifest[0]["Layers"][0])
        assert layer is not None
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as tar:
            return {member.name: member for member in tar}


def test_what_an_export_would_lose_is_in_the_layer(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Nanoseconds, user xattrs and /etc/hosts are in the result's layer, as they were in the source's."""
    docker.image("slimmer-test/exact:1", layers)
    docker.will_make("slimmer-test/exact:1-slim")

    done = slimmer("run", "slimmer-test/exact:1", "--no-verify")

    assert done.returncode == 0, done.stderr
    assert "NOT VERIFIED" in done.stderr
    members = saved_layer(docker, "slimmer-test/exact:1-slim")
    assert members["usr/lib/capable"].pax_headers["mtime"] == "1600000000.123456789"
    assert members["usr/lib/capable"].pax_headers["SCHILY.xattr.user.note"] == "kept"
    assert members["etc/hosts"].size == len(b"127.0.0.1 image\n")


def test_a_slimmed_image_slims_to_the_same_layer(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """A second time there is nothing to remove, the run says so, and the layer is the same."""
    docker.image("slimmer-test/again:1", layers)
    docker.will_make("slimmer-test/again:1-slim")
    docker.will_make("slimmer-test/again:1-slim-slim")
    assert slimmer("run", "slimmer-test/again:1").returncode == 0

    done = slimmer("run", "slimmer-test/again:1-slim")

    assert done.returncode == 0, done.stderr
    assert "nothing in this image can go" in done.stderr
    once, twice = (docker.inspect(f"slimmer-test/again:1{suffix}") for suffix in ("-slim", "-slim-slim"))
    assert once["RootFS"] == twice["RootFS"]
    assert twice["Config"]["Labels"]["slimmer.source"] == once["Id"]


def test_an_image_by_id_needs_a_name(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """An ID can be slimmed, to a name that is given."""
    image_id = docker.image("slimmer-test/id:1", layers)
    docker.will_make("slimmer-test/id:slim")

    refused = slimmer("run", image_id)
    done = slimmer("run", image_id, "--tag", "slimmer-test/id:slim")

    assert refused.returncode == 2
    assert "--tag" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert docker.has("slimmer-test/id:slim")


def test_a_name_is_never_taken_in_silence(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """The source keeps its names, and the default name is not taken from an image that slimmer did not make."""
    docker.image("slimmer-test/python:3", layers)
    somebodys = docker.image("slimmer-test/python:3-slim", [make_tar(file("other", b"1"))])

    own = slimmer("run", "slimmer-test/python:3", "--tag", "slimmer-test/python:3")
    default = slimmer("run", "slimmer-test/python:3")

    assert own.returncode == 2
    assert default.returncode == 5
    assert "was not made by slimmer" in default.stderr
    assert docker.inspect("slimmer-test/python:3-slim")["Id"] == somebodys
    asked_for = slimmer("run", "slimmer-test/python:3", "--tag", "slimmer-test/python:3-slim")
    assert asked_for.returncode == 0, asked_for.stderr
    assert docker.inspect("slimmer-test/python:3-slim")["Id"] != somebodys
    docker("rmi", somebodys)


def test_progress_in_a_log_is_plain_lines(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Where stderr is no terminal there are no bars, only sentences."""
    docker.image("slimmer-test/lines:1", layers)

    done = slimmer("run", "--dry-run", "slimmer-test/lines:1")

    lines = done.stderr.splitlines()
    assert lines[0].startswith("slimmer: flattening ")
    assert lines[1].startswith("slimmer: flattening done: 3 layers in ")
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "slimmer:" not in slimmer("run", "--dry-run", "slimmer-test/lines:1", "--progress", "none").stderr


def test_verbose_lists_every_change(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """--verbose names each file, before the summary."""
    docker.image("slimmer-test/verbose:1", layers)

    done = slimmer("run", "--dry-run", "--verbose", "slimmer-test/verbose:1")

    assert "/usr/lib/answer.so\n" in done.stderr
    assert "/root/.cache/uv\n" in done.stderr


@pytest.mark.parametrize(("option", "rule"), [(("--only", "strip"), "strip"), (("--skip", "strip"), "uv_cache")])
def test_rules_can_be_chosen(option: tuple[str, str], rule: str, docker: Docker, slimmer: Slimmer, layers: list[bytes], tmp_path: Path) -> None:  # fmt: skip
    """Only the chosen rule changes anything."""
    docker.image("slimmer-test/chosen:1", layers)

    done = slimmer("run", "--dry-run", *option, "slimmer-test/chosen:1", "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    assert {change["rule"] for change in json.loads((tmp_path / "r.json").read_text())["changes"]} == {rule}


def test_the_source_keeps_its_name_however_it_is_spelled(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """`docker.io/library/app:1` is `app:1` to an engine; neither is taken from the source."""
    docker.image("slimmer-test-alias:1", layers)

    done = slimmer("run", "slimmer-test-alias:1", "--tag", "docker.io/library/slimmer-test-alias:1")

    assert done.returncode == 2, done.stderr
    assert "a name of the source image" in done.stderr


def test_an_image_built_on_a_slimmed_one_is_not_slimmers(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Labels are inherited; the name of an image that somebody built on a slimmed one is not taken."""
    docker.image("slimmer-test/root:1", layers)
    docker.will_make("slimmer-test/root:1-slim")
    assert slimmer("run", "slimmer-test/root:1").returncode == 0
    docker.will_make("slimmer-test/child:1-slim")
    subprocess.run(
        ["docker", "build", "-q", "-t", "slimmer-test/child:1-slim", "-"], input=b"FROM slimmer-test/root:1-slim\nENV A=b\n",
        check=True, capture_output=True, env={"DOCKER_BUILDKIT": "0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    docker.image("slimmer-test/child:1", layers)

    done = slimmer("run", "slimmer-test/child:1")

    assert done.returncode == 5, done.stderr
    assert "was not made by slimmer" in done.stderr


def test_capabilities_of_hard_linked_files_are_on_the_engines_disk(docker: Docker, slimmer: Slimmer) -> None:
    """What setcap gave a program is there under each of its names after the engine has unpacked the result."""
    capability = bytes.fromhex("0100000200200000000000000000000000000000").decode("utf-8", "surrogateescape")
    says = {"mode": 0o755, "pax": {"SCHILY.xattr.security.capability": capability}}
    docker.image(
        "slimmer-test/capable:1",
        [make_tar(file("bin/ping", b"\x7f", **says), {**hard_link("bin/ping6", "bin/ping"), **says})],
    )
    docker.will_make("slimmer-test/capable:1-slim")

    assert slimmer("run", "slimmer-test/capable:1", "--quiet").returncode == 0

    upper = docker("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "slimmer-test/capable:1-slim").strip()
    for name in ("ping", "ping6"):
        assert (
            os.getxattr(f"{upper}/bin/{name}", "security.capability").hex()
            == "0100000200200000000000000000000000000000"
        )


def test_debug_files_are_saved_where_gdb_looks(
    docker: Docker, slimmer: Slimmer, layers: list[bytes], tmp_path: Path
) -> None:
    """--debug-dir has what was stripped by build-id; a dry run writes none, and a directory that takes none is exit 5."""
    docker.image("slimmer-test/debug:1", layers)
    docker.will_make("slimmer-test/debug:1-slim")
    (tmp_path / "file").write_text("")

    dry = slimmer("run", "--dry-run", "slimmer-test/debug:1", "--debug-dir", tmp_path / "dry")
    done = slimmer("run", "slimmer-test/debug:1", "--debug-dir", tmp_path / "debug")
    refused = slimmer(
        "run", "slimmer-test/debug:1", "--debug-dir", tmp_path / "file" / "debug", "--tag", "slimmer-test/debug:other"
    )

    assert (dry.returncode, done.returncode, refused.returncode) == (0, 0, 5), refused.stderr
    assert not (tmp_path / "dry").exists()
    found = tmp_path / "debug" / ".build-id" / "01" / "23456789abcdef.debug"
    names = subprocess.run(["nm", found], capture_output=True, text=True, check=True).stdout
    assert "hidden_product" in names
    assert not docker.has("slimmer-test/debug:other")
