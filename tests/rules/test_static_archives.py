from __future__ import annotations

from typing import Any

import pytest

from slimmer.elf.archives.ar import MAGIC
from slimmer.rules.static_archives import rule

from handmade import Spec, data_of, file, flattened, hard_link, symlink
from planning import gone, plan_for

SITE = "venv/lib/python3/site-packages"
ARCHIVE = MAGIC + bytes(500)
ARCHIVES = [file("usr/local/lib/libx.a", ARCHIVE), file("opt/python/lib/config-3.11/libpython3.11.a", ARCHIVE)]


def test_removes_archives_where_nothing_links() -> None:
    """Every archive goes, and links to them of their kind; a text of that name is none."""
    more = [
        symlink("usr/local/lib/liby.a", "libx.a"),
        file("usr/local/lib/notes.a", b"a list of things"),
        file("usr/bin/ldd", b"#!/bin/sh\n", mode=0o755),
    ]

    plan = plan_for(rule, flattened([*ARCHIVES, *more]))

    assert gone(plan) == ["opt/python/lib/config-3.11/libpython3.11.a", "usr/local/lib/libx.a", "usr/local/lib/liby.a"]
    assert sum(change.saved for change in plan.changes) == 2 * len(ARCHIVE) + len("libx.a")


def test_its_row_goes_out_of_record() -> None:
    """Where pip installed an archive its RECORD does not name it any more; every other row stays."""
    record = f"{SITE}/pkg-1.dist-info/RECORD"
    before = b"pkg/__init__.py,,\r\npkg/lib/libx.a,sha256=AAAA,508\r\npkg-1.dist-info/RECORD,,\r\n"

    plan = plan_for(
        rule,
        flattened([file(f"{SITE}/pkg/lib/libx.a", ARCHIVE), file(f"{SITE}/pkg/__init__.py"), file(record, before)]),
    )

    assert gone(plan) == [f"{SITE}/pkg/lib/libx.a"]
    assert data_of(plan.result, record) == b"pkg/__init__.py,,\r\npkg-1.dist-info/RECORD,,\r\n"
    assert [change.files for change in plan.changes] == [1, 0]


@pytest.mark.parametrize(
    "program",
    [
        "usr/bin/gcc", "usr/bin/x86_64-linux-gnu-gcc-12", "usr/bin/ld", "usr/bin/ld.bfd", "usr/bin/clang-14", "usr/local/go/bin/go",
        "opt/conda/bin/x86_64-conda-linux-gnu-ld", f"{SITE}/ziglang/zig", "root/.cargo/bin/rustc", "usr/local/cuda/bin/nvcc", "usr/bin/g++",
    ],
)  # fmt: skip
def test_keeps_archives_that_a_program_can_link(program: str) -> None:
    """Any compiler or linker keeps them all, whatever brought it."""
    plan = plan_for(rule, flattened([*ARCHIVES, file(program, b"\x7fELF", mode=0o755)]))

    assert plan.changes == ()
    assert {kept.reason for kept in plan.kept} == {f"/{program} can link it"}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(symlink("usr/lib/ccache/gcc", "../../bin/ccache"), id="a link to nothing"),
        pytest.param(file("usr/share/bash-completion/completions/gcc", b"x"), id="no program"),
        pytest.param(file("usr/bin/ldconfig", b"\x7fELF", mode=0o755), id="another program"),
    ],
)
def test_what_only_has_the_name_links_nothing(entry: Spec) -> None:
    """A program is a file that may be executed, under its whole name."""
    assert len(gone(plan_for(rule, flattened([*ARCHIVES, entry])))) == 2


@pytest.mark.parametrize(
    ("path", "more", "reason"),
    [
        pytest.param("usr/lib/libx.a", [file("var/lib/dpkg/info/x-dev.list", b"/usr/lib/libx.a\n")], "belongs to Debian package x-dev; build_tools takes packages", id="Debian's"),
        pytest.param("opt/conda/lib/libx.a", [file("opt/conda/conda-meta/history")], "belongs to a conda environment, whose records slimmer does not rewrite", id="conda's"),
        pytest.param(f"{SITE}/nvidia/cuda_runtime/lib/libcudadevrt.a", [], "numba and CuPy link it at run time", id="CUDA's device runtime"),
        pytest.param("srv/x.a", [symlink("srv/data", "x.a")], "/srv/data is a symlink to it", id="link of another name"),
    ],
)  # fmt: skip
def test_keeps_what_somebody_else_reads(path: str, more: list[Spec], reason: str) -> None:
    """What a database or a program beside linkers needs stays, with the reason."""
    plan = plan_for(rule, flattened([file(path, ARCHIVE), *more]))

    assert plan.changes == ()
    assert [(kept.path, kept.reason) for kept in plan.kept] == [(path, reason)]


def test_a_second_name_keeps_the_bytes() -> None:
    """An archive with another name frees nothing until that goes too."""
    entries: list[Any] = [file("a/libx.a", ARCHIVE), hard_link("a/libx.bin", "a/libx.a")]

    plan = plan_for(rule, flattened(entries))

    assert gone(plan) == ["a/libx.a"]
    assert [change.saved for change in plan.changes] == [0]
