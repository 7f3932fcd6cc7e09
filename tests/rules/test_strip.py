from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from slimmer.elf.work.workshop import Workshop
from slimmer.image import Config
from slimmer.plan import Plan, Scene
from slimmer.propose import foresee, propose
from slimmer.rootfs import Rootfs
from slimmer.rules.strip import rule

from handmade import Spec, file, flattened, hard_link, symlink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def plan_for(*entries: Spec, exclude: tuple[str, ...] = (), architecture: str = "amd64") -> Plan:
    """Give what the rule alone makes of a root."""
    raw = json.dumps({"architecture": architecture, "rootfs": {"diff_ids": []}}).encode()
    plan, _ = propose(Scene(flattened(list(entries)), Config(raw)), [rule], exclude)
    return plan


@pytest.fixture
def library(compiled: Callable[..., Path]) -> bytes:
    """Give a library with much to remove."""
    return compiled("answer", "-g3").read_bytes()


@pytest.mark.parametrize(
    "name", ["libx.so", "libx.so.1.2.3", "x.cpython-311-x86_64-linux-gnu.so", "@x.so", "-x.so", "a\nb.so"]
)
def test_strips_shared_objects_by_any_name(name: str, library: bytes) -> None:
    """Names that would be options or files of arguments to a strip program are only names."""
    plan = plan_for(file(f"usr/lib/{name}", library, mode=0o4755))

    (change,) = plan.changes
    assert change.saved == plan.source.size() - plan.result.size() > 4096
    inode = plan.result.get(f"usr/lib/{name}")
    assert inode is not None
    assert inode.mode == 0o4755


def test_hard_links_are_stripped_once_and_stay_links(library: bytes) -> None:
    """Two names of one library are one change, and one inode afterwards."""
    plan = plan_for(file("a.so", library), hard_link("b.so", "a.so"), symlink("c.so", "a.so"))

    assert [change.path for change in plan.changes] == ["a.so"]
    assert plan.result.get("a.so") is plan.result.get("b.so")


def test_every_name_of_a_library_counts(library: bytes) -> None:
    """A library may be known by a second name only: there it is found, watched and excluded."""
    names = [file("a/blob", library), hard_link("z/libsoft.so", "a/blob")]

    assert [change.path for change in plan_for(*names).changes] == ["a/blob"]
    assert "libsoft.chk" in plan_for(*names, file("z/libsoft.chk")).kept[0].reason
    assert plan_for(*names, exclude=("/z",)).kept[0].reason == "excluded by --exclude /z"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        pytest.param([file("libsoft.chk")], "libsoft.chk", id="NSS"),
        pytest.param([file(".libsoft.so.hmac")], ".libsoft.so.hmac", id="libgcrypt"),
        pytest.param([file("fipscheck/libsoft.so.hmac")], "fipscheck/libsoft.so.hmac", id="fipscheck"),
        pytest.param([file("libsoft.so.asc")], "libsoft.so.asc", id="signature"),
    ],
)
def test_keeps_what_is_watched(entries: list[Spec], reason: str, library: bytes) -> None:
    """A library whose own bytes somebody checks is left as it is."""
    plan = plan_for(file("lib/libsoft.so", library), *({**entry, "path": f"lib/{entry['path']}"} for entry in entries))

    assert plan.changes == ()
    (kept,) = plan.kept
    assert reason in kept.reason


@pytest.mark.parametrize(
    ("path", "pax", "words"),
    [
        ("usr/lib/ossl-modules/fips.so", {}, "FIPS"),
        ("lib/x.so", {"SCHILY.xattr.security.ima": "\x03"}, "security.ima"),
        ("usr/lib/debug/usr/lib/x.so", {}, "debug information"),
        ("lib/x86_64-linux-gnu/libc.so.6", {}, "C library"),
        ("lib/ld-linux-x86-64.so.2", {}, "C library"),
        ("lib/libpthread-2.31.so", {}, "C library"),
    ],
)
def test_keeps_by_place_and_signature(path: str, pax: dict[str, str], words: str, library: bytes) -> None:
    """Some libraries are left alone for where they lie or what the kernel knows of them."""
    plan = plan_for(file(path, library, pax=pax))

    assert plan.changes == ()
    (kept,) = plan.kept
    assert words in kept.reason


def test_keeps_a_library_with_an_archive_behind_it(library: bytes) -> None:
    """Strip programs drop what is appended, exit status 0."""
    plan = plan_for(file("x.so", library + b"PK\3\4" * 100))

    (kept,) = plan.kept
    assert "appended" in kept.reason


def test_keeps_a_damaged_object_with_its_reason(library: bytes) -> None:
    """A library that is cut short is kept, and the run goes on."""
    plan = plan_for(file("x.so", library[:-100]), file("y.so", library))

    assert [change.path for change in plan.changes] == ["y.so"]
    (kept,) = plan.kept
    assert "not a well-formed ELF object" in kept.reason


def test_leaves_alone_what_is_no_shared_object(library: bytes) -> None:
    """Linker scripts, other names, directories and stripped libraries are not even candidates."""
    plan = plan_for(
        file("usr/lib/libx.so", b"/* GNU ld script */ INPUT(libx.so.1)"),
        file("usr/bin/program", library),
        file("x.so/inside", library),
        file("x.so.gz.d/y", library),
        file("empty.so"),
    )

    assert plan.changes == ()
    assert plan.kept == ()


@pytest.mark.parametrize(
    ("machine", "words"), [(247, "eBPF"), (224, "another machine (e_machine 224)"), (183, "another machine")]
)
def test_keeps_objects_for_other_machines(machine: int, words: str, library: bytes) -> None:
    """A GPU's or an arm program in an amd64 image is data; i386 libraries are not foreign there."""
    foreign = library[:18] + machine.to_bytes(2, "little") + library[20:]

    assert words in plan_for(file("x.so", foreign)).kept[0].reason
    assert plan_for(file("x.so", foreign), architecture="").kept == () or machine == 247


def test_keeps_an_object_without_section_headers(library: bytes) -> None:
    """A packed library (sstrip, UPX) does not say what could go."""
    bare = library[:40] + bytes(8) + library[48:58] + bytes(6) + library[64:]

    (kept,) = plan_for(file("x.so", bare)).kept
    assert "no section headers" in kept.reason


def test_exclude_keeps_a_directory(library: bytes) -> None:
    """--exclude names a directory and means all that is in it."""
    plan = plan_for(file("opt/vendor/x.so", library), file("usr/x.so", library), exclude=("/opt/vendor",))

    assert [change.path for change in plan.changes] == ["usr/x.so"]
    assert [kept.reason for kept in plan.kept] == ["excluded by --exclude /opt/vendor"]


def test_keeps_executables(library: bytes) -> None:
    """A core dump, a relocatable object or an executable is no shared object, whatever its name."""
    for kind, words in ((1, "relocatable"), (2, "executable"), (4, "core dump")):
        plan = plan_for(file("x.so", library[:16] + bytes([kind, 0]) + library[18:]))

        assert plan.changes == ()
        assert words in plan.kept[0].reason


def test_what_is_foreseen_is_not_done_again(
    compiled: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a layer's files a library is stripped while the image is read; when the rule is asked it is done."""
    member = compiled("answer", "-g3", "-c", name="answer.o")
    subprocess.run(["ar", "qcs", tmp_path / "libanswer.a", member], check=True)
    journal, program = tmp_path / "journal", tmp_path / "bin/strip"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || echo $PPID >> {journal}\nexec {shutil.which("strip")} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    root = flattened([file("usr/lib/libanswer.a", (tmp_path / "libanswer.a").read_bytes()), file("usr/lib/note", b"1")])
    config = Config(json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": []}}).encode())

    with Workshop.opened() as workshop:
        files = [(path, inode.content) for path, inode in root.files() if inode.content is not None]
        foresee([rule], files, Scene(Rootfs.of({}), config, workshop=workshop))
        end = time.monotonic() + 20
        while not journal.exists() and time.monotonic() < end:
            time.sleep(0.02)
        plan, _ = propose(Scene(root, config, workshop=workshop), [rule], ())

    assert [change.path for change in plan.changes] == ["usr/lib/libanswer.a"]
    (worker,) = journal.read_text("utf-8").split()
    assert int(worker) != os.getpid()
