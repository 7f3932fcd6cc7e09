from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from slimmer.rules.uv_cache import rule

import planning
from handmade import Spec, data_of, file, flattened, hard_link, symlink

if TYPE_CHECKING:
    from slimmer.plan import Plan
    from slimmer.rootfs import Rootfs

SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag\n"
CACHE = [
    file("root/.cache/uv/.gitignore", b"*"),
    file("root/.cache/uv/.lock"),
    file("root/.cache/uv/CACHEDIR.TAG", SIGNATURE),
    file("root/.cache/uv/archive-v0/xyz/pkg/data.py", b"installed"),
    file("root/.cache/uv/archive-v0/xyz/only_here.txt", b"0123456789"),
    file("root/.cache/uv/simple-v28/index.rkyv", b"index"),
]
INSTALLED = hard_link("usr/lib/python3/dist-packages/pkg/data.py", "root/.cache/uv/archive-v0/xyz/pkg/data.py")


def plan_for(rootfs: Rootfs, exclude: tuple[str, ...] = (), **config: Any) -> Plan:
    """Give what the rule alone makes of a root."""
    return planning.plan_for(rule, rootfs, exclude, **config)


def test_removes_the_cache_and_keeps_what_is_installed() -> None:
    """The cache holds the data and the installed file is the link: it stays, with its content, as a file of its own."""
    plan = plan_for(flattened([*CACHE, INSTALLED]))

    assert data_of(plan.result, "usr/lib/python3/dist-packages/pkg/data.py") == b"installed"
    assert not [path for path, _ in plan.result.entries() if path.startswith("root/.cache/uv")]
    (change,) = plan.changes
    freed = len(b"*" + SIGNATURE + b"0123456789" + b"index")
    assert (change.path, change.before, change.files) == ("root/.cache/uv", freed, 6)
    assert plan.source.size() - plan.result.size() == freed


def test_a_stranger_in_the_cache_stays() -> None:
    """What uv did not make is not uv's to lose; the rest goes."""
    plan = plan_for(flattened([*CACHE, file("root/.cache/uv/notes.txt", b"mine")]))

    assert [path for path, _ in plan.result.entries() if path.startswith("root/.cache/uv/")] == [
        "root/.cache/uv/notes.txt"
    ]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([file("c/CACHEDIR.TAG", SIGNATURE), file("c/v/cache.db")], id="another tool's tag (pytest, mypy, cargo)"),
        pytest.param([file("c/CACHEDIR.TAG", b"something"), file("c/archive-v0/x")], id="a tag that is none"),
        pytest.param([file("c/archive-v0/x")], id="no tag"),
        pytest.param([file("root/.local/share/uv/python/bin/python3"), file("root/.local/share/uv/tools/x")], id="uv's own interpreters"),
        pytest.param(
            [file("root/.local/share/uv/CACHEDIR.TAG", SIGNATURE), file("root/.local/share/uv/python-v0/x")],
            id="tagged data beside them",
        ),
    ],
)  # fmt: skip
def test_leaves_alone_what_is_no_uv_cache(entries: list[Spec]) -> None:
    """The tag's signature and a bucket are asked for, and uv's data directory is never a cache."""
    plan = plan_for(flattened(entries))

    assert plan.changes == ()
    assert plan.kept == ()


@pytest.mark.parametrize(
    ("entries", "config", "words"),
    [
        pytest.param([symlink("venv/pkg", "/root/.cache/uv/archive-v0/xyz/pkg")], {}, "/venv/pkg is a symlink into it", id="symlink"),
        pytest.param([symlink("root/pkg", ".cache/uv/archive-v0/xyz")], {}, "/root/pkg is a symlink", id="relative symlink"),
        pytest.param(
            [symlink("cache", "root/.cache"), symlink("venv/pkg", "../cache/uv/archive-v0")], {}, "symlink", id="through another link"
        ),
        pytest.param([file("site-packages/x.pth", b"/root/.cache/uv/archive-v0/xyz\n")], {}, "/site-packages/x.pth", id="pth"),
        pytest.param([file("venv/pyvenv.cfg", b"home = /root/.cache/uv/environments-v2/a/bin\n")], {}, "pyvenv.cfg", id="venv"),
        pytest.param(
            [file("bin/tool", b"#!/root/.cache/uv/environments-v2/a/bin/python\n", mode=0o755)], {}, "/bin/tool is run by", id="shebang"
        ),
        pytest.param(
            [file("x-1.dist-info/direct_url.json", b'{"dir_info": {"editable": true}, "url": "file:///root/.cache/uv/git-v0/x"}')], {},
            "/x-1.dist-info/direct_url.json names", id="editable installation",
        ),
        pytest.param([], {"Entrypoint": ["/root/.cache/uv/archive-v0/xyz/bin/python", "-u"]}, "Entrypoint leads into it", id="entry point"),
        pytest.param([], {"Env": ["PATH=/bin:/root/.cache/uv/archive-v0/xyz/bin"]}, "Env PATH leads into it", id="PATH"),
        pytest.param([], {"WorkingDir": "/root/.cache/uv/archive-v0"}, "WorkingDir leads into it", id="working directory"),
        pytest.param([file("root/.cache/uv/environments-v2/app/bin/python")], {}, "environments-v2 holds", id="environments"),
        pytest.param(
            [file("app/start.sh", b"#!/bin/sh\nexec uv run --offline x\n", mode=0o755)], {"WorkingDir": "/app", "Cmd": ["./start.sh"]},
            "/app/start.sh", id="relative script",
        ),
        pytest.param(
            [file("usr/bin/serve", b"#!/usr/bin/env -S uv run --script\n", mode=0o755)], {"Env": ["PATH=/usr/bin"], "Cmd": ["serve"]},
            "/usr/bin/serve", id="script in PATH",
        ),
        pytest.param(
            [file("bin/tool", b"#!/bin/sh\n''exec' '/root/.cache/uv/archive-v0/xyz/bin/python' \"$0\"\n", mode=0o755)], {},
            "/bin/tool is run by", id="interpreter on the second line",
        ),
        pytest.param([], {"Cmd": ["uv", "run", "app.py"]}, "the image's Cmd runs through uv", id="uv run"),
        pytest.param([], {"Entrypoint": ["/bin/sh", "-c", "exec uvx ruff"]}, "Entrypoint runs through uv", id="uvx"),
        pytest.param([], {"Healthcheck": {"Test": ["CMD-SHELL", "uv --quiet tool run x"]}}, "Healthcheck", id="health check"),
        pytest.param(
            [file("start.sh", b"#!/bin/sh\nexec uv run serve\n", mode=0o755)], {"Entrypoint": ["/start.sh"]}, "/start.sh", id="script"
        ),
    ],
)  # fmt: skip
def test_keeps_a_cache_that_something_needs(entries: list[Spec], config: dict[str, Any], words: str) -> None:
    """Whatever leads into the cache keeps all of it, and the report says what that was."""
    plan = plan_for(flattened([*CACHE, *entries]), **config)

    assert plan.changes == ()
    (kept,) = plan.kept
    assert kept.path == "root/.cache/uv"
    assert words in kept.reason


def test_a_command_with_uv_in_its_name_is_no_uv() -> None:
    """uvicorn and /opt/uv/run.py run through no uv."""
    plan = plan_for(flattened(CACHE), Cmd=["uvicorn", "app:app"], Entrypoint=["python", "/opt/uv-run/run.py"])

    assert len(plan.changes) == 1


def test_exclude_spares_a_part() -> None:
    """--exclude keeps the file and the directories that lead to it; the rest goes, and the report names what was spared."""
    plan = plan_for(flattened(CACHE), exclude=("*/only_here.txt",))

    left = [path for path, _ in plan.result.entries() if path.startswith("root/.cache/uv/")]
    assert left[-1] == "root/.cache/uv/archive-v0/xyz/only_here.txt"
    assert data_of(plan.result, left[-1]) == b"0123456789"
    assert "root/.cache/uv/simple-v28/index.rkyv" not in plan.result
    assert [kept.path for kept in plan.kept] == ["root/.cache/uv/archive-v0/xyz/only_here.txt"]


def test_a_link_from_an_earlier_layer_keeps_its_content() -> None:
    """The cache file was replaced in a later layer; the link of the first layer keeps what it was made to."""
    rootfs = flattened([*CACHE, INSTALLED], [file("root/.cache/uv/archive-v0/xyz/pkg/data.py", b"newer")])

    plan = plan_for(rootfs)

    assert data_of(plan.result, "usr/lib/python3/dist-packages/pkg/data.py") == b"installed"


@pytest.mark.parametrize(
    ("cache", "entries", "config"),
    [
        pytest.param("opt/c", [], {"Env": ["UV_CACHE_DIR=/opt/c"]}, id="UV_CACHE_DIR"),
        pytest.param("xdg/uv", [], {"Env": ["XDG_CACHE_HOME=/xdg"]}, id="XDG_CACHE_HOME"),
        pytest.param("root/.cache/uv", [], {}, id="home of root"),
        pytest.param(".cache/uv", [], {}, id="a user without a home"),
        pytest.param("srv/app/.cache/uv", [file("etc/passwd", b"broken\napp:x:1:1::/srv/app:/bin/sh\n")], {}, id="home in passwd"),
        pytest.param("big/c", [file("etc/uv/uv.toml", b'cache-dir = "/big/c"\n')], {}, id="uv.toml of the system"),
        pytest.param("big/c", [file("root/.config/uv/uv.toml", b'cache-dir = "/big/c"\n')], {}, id="uv.toml of a person"),
        pytest.param("app/c", [file("app/uv.toml", b'cache-dir = "./c"\n')], {"WorkingDir": "/app"}, id="uv.toml of the project"),
        pytest.param(
            "app/c", [file("app/pyproject.toml", b'[tool.uv]\ncache-dir = "c"\n')], {"WorkingDir": "/app"}, id="pyproject.toml"
        ),
    ],
)  # fmt: skip
def test_a_bucket_is_enough_where_uv_would_look(cache: str, entries: list[Spec], config: dict[str, Any]) -> None:
    """A cache without its tag goes where uv is told to keep it; another directory there stays."""
    tagless = [file(f"{cache}/archive-v0/xyz/data", b"0123456789"), file(f"{cache}/mine/data", b"x")]

    plan = plan_for(flattened([*tagless, *entries]), **config)

    assert [(change.path, change.saved) for change in plan.changes] == [(f"{cache}/archive-v0", 10)]


@pytest.mark.parametrize(
    ("path", "config"),
    [
        pytest.param("opt/c/data", {"Env": ["UV_CACHE_DIR=/opt/c"]}, id="no bucket"),
        pytest.param("opt/c/archive-v0/data", {"Env": ["UV_CACHE_DIR=relative"]}, id="a relative path"),
        pytest.param("archive-v0/data", {"Env": ["UV_CACHE_DIR=/"]}, id="the root"),
        pytest.param("opt/py/python-v0/data", {"Env": ["UV_CACHE_DIR=/opt/py", "UV_PYTHON_INSTALL_DIR=/opt/py"]}, id="its interpreters"),
        pytest.param("opt/t/python-v0/data", {"Env": ["UV_CACHE_DIR=/opt/t", "UV_TOOL_DIR=/opt"]}, id="its tools"),
    ],
)  # fmt: skip
def test_a_named_place_is_not_enough(path: str, config: dict[str, Any]) -> None:
    """Where uv is told to look only buckets go, and never what it calls data."""
    plan = plan_for(flattened([file(path, b"x")]), **config)

    assert plan.changes == ()
    assert plan.kept == ()


def test_an_installation_from_a_built_wheel_does_not_need_it() -> None:
    """direct_url.json notes where a wheel came from; only an editable installation is run from there."""
    url = b'{"url": "file:///root/.cache/uv/sdists-v9/x.whl", "archive_info": {}}'

    assert len(plan_for(flattened([*CACHE, file("site-packages/x-1.dist-info/direct_url.json", url)])).changes) == 1


def test_only_what_nobody_else_has_counts() -> None:
    """Two wheels of 1 MB each that are installed by hard links, three times, free nothing; the paths add up to 8 MB."""
    wheels = [file(f"root/.cache/uv/archive-v0/w{number}/big.so", b"%d" % number * 1_000_000) for number in range(2)]
    links = [
        hard_link(f"v{venv}/big{number}.so", f"root/.cache/uv/archive-v0/w{number}/big.so")
        for venv in range(3)
        for number in range(2)
    ]

    plan = plan_for(flattened([*CACHE, *wheels, *links]))

    paths = sum(
        inode.size for path, inode in plan.source.entries() if path.startswith("root/.cache/uv") or path[0] == "v"
    )
    own = len(b"*" + SIGNATURE + b"0123456789" + b"index" + b"installed")
    assert paths == 8_000_000 + own
    assert [change.saved for change in plan.changes] == [own] == [plan.source.size() - plan.result.size()]
    assert plan.result.size() == 2_000_000
