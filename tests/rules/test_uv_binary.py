from __future__ import annotations

from typing import Any

import pytest

from slimmer.rules.uv_binary import rule

from handmade import Spec, file, flattened, symlink
from planning import gone, plan_for

UV = b"\x7fELF and much of it, UV_CACHE_DIR among others" + bytes(5000)
UVX = b"\x7fELF and little of it"
STANDALONE = [file("usr/local/bin/uv", UV, mode=0o755), file("usr/local/bin/uvx", UVX, mode=0o755)]
SITE = "usr/lib/python3/site-packages"
INSTALLED = [
    file("usr/bin/uv", UV, mode=0o755), file("usr/bin/uvx", UVX, mode=0o755), file(f"{SITE}/uv/__init__.py", b"x"),
    file(f"{SITE}/uv/__pycache__/__init__.pyc", b"y"), file(f"{SITE}/uv-0.9.dist-info/METADATA", b"Name: uv\n"),
    file(f"{SITE}/uv-0.9.dist-info/RECORD", b"../../../bin/uv,,\n../../../bin/uvx,,\nuv/__init__.py,,\nuv-0.9.dist-info/METADATA,,\nuv-0.9.dist-info/RECORD,,\n"),
    file(f"{SITE}/uvicorn/__init__.py", b"z"), file(f"{SITE}/uvicorn-1.dist-info/RECORD", b"uvicorn/__init__.py,,\n"),
]  # fmt: skip


@pytest.mark.parametrize("directory", ["usr/local/bin", "usr/bin", "root/.local/bin", "root/.cargo/bin", "opt/uv"])
def test_removes_a_standalone_uv(directory: str) -> None:
    """uv, uvx and links of these names go wherever uv's installers put them, or PATH leads."""
    entries = [{**entry, "path": entry["path"].replace("usr/local/bin", directory)} for entry in STANDALONE]
    link = symlink("usr/local/sbin/uv", f"/{directory}/uv")

    plan = plan_for(
        rule, flattened([*entries, link]), Env=["PATH=/usr/local/sbin:/usr/bin:/opt/uv"], Cmd=["uvicorn", "app:app"]
    )

    assert sorted(gone(plan)) == sorted([f"{directory}/uv", f"{directory}/uvx", "usr/local/sbin/uv"])
    assert sum(change.saved for change in plan.changes) == len(UV) + len(UVX) + len(f"/{directory}/uv")


def test_removes_the_whole_distribution_that_pip_installed() -> None:
    """As `pip uninstall uv` would: nothing of it is left that says it is installed, and uvicorn is another."""
    plan = plan_for(rule, flattened(INSTALLED))

    assert [path for path, inode in plan.result.entries() if inode.content] == [
        f"{SITE}/uvicorn/__init__.py",
        f"{SITE}/uvicorn-1.dist-info/RECORD",
    ]
    assert plan.kept == ()


@pytest.mark.parametrize(
    ("entries", "config", "reason"),
    [
        pytest.param([], {"Cmd": ["uv", "run", "app.py"]}, "the image's Cmd runs it", id="Cmd"),
        pytest.param([], {"Entrypoint": ["sh", "-c", "cd /app && exec uvx ruff"]}, "the image's Entrypoint runs it", id="uvx"),
        pytest.param([], {"Healthcheck": {"Test": ["CMD-SHELL", "/usr/local/bin/uv --version"]}}, "the image's Healthcheck runs it", id="by its path"),
        pytest.param([file("start.sh", b"#!/bin/sh\nexec uv sync\n", mode=0o755)], {"Cmd": ["/start.sh"]}, "the image's Cmd runs /start.sh, which runs it", id="script"),
        pytest.param([file("bin/x", b"#!/usr/bin/env -S uv run --script\n", mode=0o755)], {}, "/bin/x is run by it", id="shebang"),
        pytest.param([symlink("usr/bin/pip", "/usr/local/bin/uv")], {}, "/usr/bin/pip is a symlink to it", id="link of another name"),
        pytest.param([file("var/lib/dpkg/info/uv.list", b"/usr/local/bin/uv\n/usr/local/bin/uvx\n")], {}, "belongs to Debian package uv; take it out with apt-get", id="Debian's"),
        pytest.param([file("usr/local/conda-meta/uv-0.9.json", b"{}")], {}, "belongs to conda's package uv; take it out with conda", id="conda's"),
        pytest.param([file("lib/apk/db/installed", b"P:uv\nF:usr/local/bin\nR:uv\n")], {}, "owned by apk package uv, whose database records its hash", id="Alpine's"),
    ],
)  # fmt: skip
def test_keeps_a_uv_that_something_runs(entries: list[Spec], config: dict[str, Any], reason: str) -> None:
    """What runs it, or has it in a database that slimmer does not write, keeps it."""
    plan = plan_for(rule, flattened([*STANDALONE, *entries]), **config)

    assert "usr/local/bin/uv" in plan.result
    assert ("usr/local/bin/uv", reason) in [(kept.path, kept.reason) for kept in plan.kept]


@pytest.mark.parametrize(
    ("more", "config", "reason"),
    [
        pytest.param([file(f"{SITE}/hatch-1.dist-info/METADATA", b"Name: hatch\nRequires-Dist: uv>=0.5\n")], {}, "hatch-1 requires it", id="required"),
        pytest.param([], {"Cmd": ["uv", "run"]}, "the image's Cmd runs it", id="run"),
    ],
)  # fmt: skip
def test_keeps_a_distribution_that_something_needs(more: list[Spec], config: dict[str, Any], reason: str) -> None:
    """Another distribution's requirement keeps it whole; an extra's does not."""
    plan = plan_for(rule, flattened([*INSTALLED, *more]), **config)

    assert plan.changes == ()
    assert [kept.reason for kept in plan.kept] == [reason]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([file("usr/bin/uv", b"#!/bin/sh\n", mode=0o755)], id="a script"),
        pytest.param([file("usr/bin/uv", b"\x7fELF of something else", mode=0o755)], id="another program"),
        pytest.param([file("app/uv", UV)], id="where no installer puts it"),
        pytest.param(
            [file("root/.cache/uv/archive-v0/x/uv-0.9.dist-info/RECORD", b"uv/__init__.py,,\n")], id="in the cache"
        ),
    ],
)
def test_leaves_alone_what_is_not_uv(entries: list[Spec]) -> None:
    """Only an ELF object that knows uv's variables, where uv is installed, is uv."""
    plan = plan_for(rule, flattened(entries))

    assert (plan.changes, plan.kept) == ((), ())
