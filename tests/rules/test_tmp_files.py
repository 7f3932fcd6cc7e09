from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.rules.tmp_files import rule

from handmade import Spec, directory, file, flattened, symlink
from planning import gone, plan_for

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = [directory("tmp", mode=0o1777), directory("var/tmp", mode=0o1777)]


def test_removes_what_is_in_them_and_keeps_the_directories() -> None:
    """Files, links and directories with all that is in them go; /tmp and /var/tmp stay with their sticky mode."""
    entries = [
        *DIRECTORIES,
        file("tmp/a/b", b"12345"),
        symlink("tmp/l", "a"),
        file("var/tmp/c", b"67"),
        file("app/tmp/d", b"x"),
    ]

    plan = plan_for(rule, flattened(entries))

    assert gone(plan) == ["tmp/a", "tmp/a/b", "tmp/l", "var/tmp/c"]
    assert [plan.result.get(path).mode for path in ("tmp", "var/tmp")] == [0o1777, 0o1777]  # type: ignore[union-attr]
    assert sum(change.saved for change in plan.changes) == len(b"12345" + b"a" + b"67")


def test_var_tmp_may_be_a_link() -> None:
    """Both may be one directory."""
    plan = plan_for(rule, flattened([directory("tmp", mode=0o1777), symlink("var/tmp", "../tmp"), file("tmp/a", b"1")]))

    assert gone(plan) == ["tmp/a"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="nothing"),
        pytest.param(
            [directory("tmp/.X11-unix", mode=0o1777), directory("tmp/.ICE-unix")], id="where X servers keep sockets"
        ),
        pytest.param([{"path": "tmp/null", "type": tarfile.CHRTYPE, "device": (1, 3)}], id="a device"),
        pytest.param([{"path": "tmp/pipe", "type": tarfile.FIFOTYPE}], id="a fifo"),
    ],
)
def test_leaves_alone_what_is_no_file(entries: list[Spec]) -> None:
    """Empty directories are silent, and so is what only running programs use."""
    plan = plan_for(rule, flattened([*DIRECTORIES, *entries]))

    assert (plan.changes, plan.kept) == ((), ())


@pytest.mark.parametrize(
    ("entries", "config", "reason"),
    [
        pytest.param([], {"Env": ["MODEL=/tmp/needed"]}, "the image's Env MODEL leads into it", id="Env"),
        pytest.param([], {"Env": ["CONFIG=a:/tmp/needed/file"]}, "the image's Env CONFIG leads into it", id="in a list"),
        pytest.param([], {"WorkingDir": "/tmp/needed"}, "the image's WorkingDir leads into it", id="WorkingDir"),
        pytest.param([], {"Cmd": ["sh", "-c", "cat '/tmp/needed/file'"]}, "the image's Cmd leads into it", id="Cmd"),
        pytest.param([], {"Entrypoint": ["app", "--model=/tmp/needed"]}, "the image's Entrypoint leads into it", id="option"),
        pytest.param([], {"Healthcheck": {"Test": ["CMD", "/tmp/needed/file"]}}, "the image's Healthcheck leads into it", id="health check"),
        pytest.param([], {"Volumes": {"/tmp/needed": {}}}, "the image's Volumes leads into it", id="volume"),
        pytest.param([symlink("opt/model", "/tmp/needed/file")], {}, "/opt/model is a symlink into it", id="symlink"),
        pytest.param([file("s/x.pth", b"/tmp/needed\n")], {}, "/s/x.pth names a path in it", id="pth"),
        pytest.param([file("v/pyvenv.cfg", b"home = /tmp/needed/bin\n")], {}, "/v/pyvenv.cfg names a path in it", id="pyvenv.cfg"),
        pytest.param([file("bin/x", b"#!/tmp/needed/python\n", mode=0o755)], {}, "/bin/x is run by an interpreter in it", id="shebang"),
        pytest.param([file("bin/x", b"#!/bin/sh\ncat /tmp/needed/file\n", mode=0o755)], {}, "/bin/x names it", id="script"),
        pytest.param([file("etc/app.conf", b"model=/tmp/needed;\n")], {}, "/etc/app.conf names it", id="configuration"),
        pytest.param([file("app/run.py", b"open('/tmp/needed/file')")], {"WorkingDir": "/app", "Cmd": ["python", "run.py"]}, "/app/run.py names it", id="what Cmd runs"),
        pytest.param([file("var/lib/dpkg/info/odd.list", b"/tmp\n/tmp/needed\n/tmp/needed/file\n")], {}, "belongs to Debian package odd", id="package"),
    ],
)  # fmt: skip
def test_keeps_what_something_needs(entries: list[Spec], config: dict[str, Any], reason: str) -> None:
    """What the image names or leads to stays, with who does; what only has a longer name goes."""
    plan = plan_for(
        rule,
        flattened([*DIRECTORIES, file("tmp/needed/file", b"1"), file("tmp/needed2/file", b"2"), *entries]),
        **config,
    )

    assert [(kept.path, kept.reason) for kept in plan.kept] == [("tmp/needed", reason)]
    assert gone(plan) == ["tmp/needed2", "tmp/needed2/file"]


def test_a_library_that_is_linked_to_stays(compiled: Any, tmp_path: Path) -> None:
    """What the loader finds there by a runpath is kept by the proof of linkage."""
    library = compiled("answer").read_bytes()
    user = compiled("needs_answer", libraries=(f"-L{tmp_path}", "-lanswer", "-Wl,-rpath,/tmp")).read_bytes()

    plan = plan_for(
        rule,
        flattened([*DIRECTORIES, file("tmp/libanswer.so", library), file("tmp/x", b"1"), file("app/user.so", user)]),
    )

    assert gone(plan) == ["tmp/x"]
    assert plan.kept[0].reason.startswith("linkage: /app/user.so needs libanswer.so")
