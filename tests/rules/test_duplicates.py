from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.inode import Kind
from slimmer.rules.duplicates import rule

from handmade import Spec, data_of, file, flattened, hard_link
from planning import plan_for

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.plan import Plan

DATA = b"words " * 1000
ELF = b"\x7fELF" + bytes(5000)


def linked(plan: Plan) -> list[list[str]]:
    """Give the names of each file that has several."""
    return [
        names
        for path, inode in plan.result.files()
        if inode.kind is Kind.FILE and len(names := plan.result.names(path)) > 1
    ]


def test_equal_files_become_one() -> None:
    """All names lead to one file, the bytes are saved once a copy, and what a name shows is the same."""
    entries = [
        file("opt/a/model", DATA), file("opt/b/model", DATA), file("usr/share/model", DATA), hard_link("usr/share/model2", "usr/share/model"),
        file("app/.venv/lib/python3/site-packages/pkg/model", DATA), file("opt/other", DATA[:-1] + b"x"),
    ]  # fmt: skip

    plan = plan_for(rule, flattened(entries))

    assert linked(plan) == [
        [
            "app/.venv/lib/python3/site-packages/pkg/model",
            "opt/a/model",
            "opt/b/model",
            "usr/share/model",
            "usr/share/model2",
        ]
    ]
    assert [(change.action, change.saved) for change in plan.changes] == [("link", len(DATA))] * 3
    assert data_of(plan.result, "opt/b/model") == DATA


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(file("opt/b", DATA, mode=0o600), id="mode"),
        pytest.param(file("opt/b", DATA, owner=(1000, 0)), id="owner"),
        pytest.param(file("opt/b", DATA, owner=(0, 1000)), id="group"),
        pytest.param(file("opt/b", DATA, pax={"SCHILY.xattr.user.note": "x"}), id="xattr"),
        pytest.param(file("opt/b", DATA[:-1] + b"\n"), id="bytes"),
        pytest.param(file("etc/b", DATA), id="configuration"),
        pytest.param(file("usr/local/etc/b", DATA), id="configuration of /usr/local"),
        pytest.param(file("opt/app/var/b", DATA), id="data of /opt"),
        pytest.param(file("var/lib/b", DATA), id="state"),
        pytest.param(file("home/app/b", DATA), id="a home"),
        pytest.param(file("root/b", DATA), id="root's home"),
        pytest.param(file("srv/b", DATA), id="what is served"),
        pytest.param(file("opt/b.sqlite3", DATA), id="a database"),
        pytest.param(file("opt/b.toml", DATA), id="a configuration by its name"),
        pytest.param(file("opt/work/b", DATA), id="in the working directory"),
        pytest.param(file("opt/volume/b", DATA), id="in a volume"),
    ],
)
def test_leaves_alone_what_differs_or_may_be_written(second: Spec) -> None:
    """Whatever a program could tell apart by, or may write in place, stays a file of its own."""
    config: dict[str, Any] = {"WorkingDir": "/opt/work", "Volumes": {"/opt/volume": {}}}

    plan = plan_for(rule, flattened([file("opt/a", DATA), second]), **config)

    assert (plan.changes, plan.kept) == ((), ())


@pytest.mark.parametrize(
    ("data", "more"),
    [
        pytest.param(b"small" * 10, {}, id="small"),
        pytest.param(DATA, {"mode": 0o4755}, id="setuid"),
        pytest.param(DATA, {"mode": 0o2755}, id="setgid"),
        pytest.param(DATA, {"mode": 0o664}, id="its group may write"),
        pytest.param(DATA, {"mode": 0o666}, id="everybody may write"),
        pytest.param(DATA, {"pax": {"SCHILY.xattr.security.capability": "x"}}, id="capabilities"),
    ],
)
def test_leaves_alone_files_with_rights(data: bytes, more: dict[str, Any]) -> None:
    """Small files, and those that run with others' rights or may be written by others, are not looked at."""
    plan = plan_for(rule, flattened([file("opt/a", data, **more), file("opt/b", data, **more)]))

    assert (plan.changes, plan.kept) == ((), ())


def test_only_files_of_one_size_are_read() -> None:
    """A file that nothing has the size of is not hashed: its bytes are not there."""
    plan = plan_for(rule, flattened([file("opt/a", DATA), file("opt/b", DATA + b"x")]))

    assert plan.changes == ()


def test_python_sources_keep_their_second() -> None:
    """A .pyc knows its source by the second; parts of a second do not matter, and other files' times neither."""
    later = {"mtime": 1_600_000_001}
    same = {"pax": {"mtime": "1600000000.5"}}
    entries = [
        file("opt/a.py", DATA), file("opt/b.py", DATA, **same), file("opt/c.py", DATA, **later), file("opt/d.py", DATA, **later),
        file("opt/e.txt", DATA[1:]), file("opt/f.txt", DATA[1:], **later),
    ]  # fmt: skip

    plan = plan_for(rule, flattened(entries))

    assert linked(plan) == [["opt/a.py", "opt/b.py"], ["opt/c.py", "opt/d.py"], ["opt/e.txt", "opt/f.txt"]]
    assert {kept.path for kept in plan.kept} == {"opt/c.py"}


def test_libraries_of_one_process_stay_two() -> None:
    """The loader would take them for one; between environments no process has both."""
    entries = [
        file("v1/lib/python3/site-packages/a.libs/libgomp.so.1", ELF), file("v1/lib/python3/site-packages/b.libs/libgomp.so.1", ELF),
        file("v2/lib/python3/site-packages/a.libs/libgomp.so.1", ELF), file("usr/lib/libgomp.so.1", ELF),
    ]  # fmt: skip

    plan = plan_for(rule, flattened(entries))

    assert linked(plan) == [
        ["v1/lib/python3/site-packages/a.libs/libgomp.so.1", "v2/lib/python3/site-packages/a.libs/libgomp.so.1"]
    ]
    assert {kept.reason for kept in plan.kept} == {
        "the loader would take two libraries with variables of their own for one"
    }


def test_an_excluded_file_is_linked_to_nothing() -> None:
    """--exclude leaves a file alone: neither its names change nor does it get others'."""
    plan = plan_for(
        rule, flattened([file("opt/a", DATA), file("opt/b", DATA), file("opt/c", DATA)]), exclude=("/opt/a",)
    )

    assert linked(plan) == [["opt/b", "opt/c"]]


def test_programs_may_be_one(tmp_path: Path) -> None:
    """A process runs one program; under a library's name it is taken for a library."""
    program = tmp_path / "program"
    source = tmp_path / "program.c"
    source.write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", program, source], check=True)
    data = program.read_bytes()

    plan = plan_for(
        rule,
        flattened(
            [
                file(path, data, mode=0o755)
                for path in ("usr/bin/git", "usr/lib/git-core/git", "usr/lib/x.so.1", "usr/lib/y.so.1")
            ]
        ),
    )

    assert linked(plan) == [["usr/bin/git", "usr/lib/git-core/git"]]
