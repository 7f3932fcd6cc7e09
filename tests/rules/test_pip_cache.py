from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from slimmer.rules.pip_cache import rule

from handmade import Spec, directory, file, flattened, symlink
from planning import gone, plan_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache(at: str) -> Iterator[Spec]:
    """Give a cache as pip 23 and later leave it, with a file that pip did not make."""
    yield directory(at, mode=0o700)
    yield file(f"{at}/http-v2/4/a/0/f/b/4a0fb", b"reply")
    yield file(f"{at}/http-v2/4/a/0/f/b/4a0fb.body", b"wheel")
    yield file(f"{at}/wheels/1f/2e/3d/1f2e3d/pkg-1-py3-none-any.whl", b"built")
    yield file(f"{at}/selfcheck/8d2a", b"{}")
    yield file(f"{at}/notes.txt", b"mine")


@pytest.mark.parametrize(
    ("at", "entries", "config"),
    [
        pytest.param("root/.cache/pip", [], {}, id="root"),
        pytest.param("home/app/.cache/pip", [file("etc/passwd", b"app:x:1000:1000::/home/app:/bin/sh\n")], {}, id="passwd"),
        pytest.param("srv/.cache/pip", [], {"Env": ["HOME=/srv"]}, id="HOME"),
        pytest.param(".cache/pip", [], {}, id="no home"),
        pytest.param("xdg/pip", [], {"Env": ["XDG_CACHE_HOME=/xdg"]}, id="XDG_CACHE_HOME"),
        pytest.param("pc", [], {"Env": ["PIP_CACHE_DIR=/pc"]}, id="PIP_CACHE_DIR"),
        pytest.param("pc", [file("etc/pip.conf", b"[global]\ncache-dir = /pc\n")], {}, id="pip.conf of the system"),
        pytest.param("pc", [file("root/.config/pip/pip.conf", b"[global]\ncache-dir = /pc\n")], {}, id="pip.conf of a person"),
    ],
)  # fmt: skip
def test_removes_what_pip_keeps(at: str, entries: list[Spec], config: dict[str, Any]) -> None:
    """Downloads, built wheels and the self check go; the directory and what is not pip's stay."""
    plan = plan_for(rule, flattened([*cache(at), *entries]), **config)

    assert [change.path for change in plan.changes] == [f"{at}/{name}" for name in ("http-v2", "selfcheck", "wheels")]
    assert sum(change.saved for change in plan.changes) == len(b"replywheelbuilt{}")
    assert f"{at}/notes.txt" in plan.result


@pytest.mark.parametrize(
    ("entries", "config"),
    [
        pytest.param([file("srv/.cache/pip/http/0/1/x")], {}, id="nobody's home"),
        pytest.param([file("root/.cache/pip/wheels/torch-2.9-cp311.whl")], {}, id="wheels that somebody put there"),
        pytest.param(
            [file("app/wheels/mine.whl"), file("app/http/server.py")],
            {"Env": ["PIP_CACHE_DIR=/app"]},
            id="an application",
        ),
        pytest.param([directory("root/.cache/pip/http")], {}, id="nothing in it"),
        pytest.param([file("root/.cache/pypoetry/virtualenvs/x/bin/python")], {}, id="poetry"),
        pytest.param([file("root/.cache/huggingface/hub/model")], {}, id="data"),
        pytest.param([file("etc/pip.conf", b"\xff[broken")], {}, id="a configuration that pip cannot read"),
    ],
)
def test_leaves_alone_what_is_not_pips(entries: list[Spec], config: dict[str, Any]) -> None:
    """A directory is pip's when pip is told to use it and what it holds is filed by digest."""
    plan = plan_for(rule, flattened(entries), **config)

    assert plan.changes == ()
    assert plan.kept == ()


def test_keeps_wheels_that_something_needs() -> None:
    """A wheel that a symlink leads to is kept, with all of its kind; the rest goes."""
    link = symlink("opt/pkg.whl", "/root/.cache/pip/wheels/1f/2e/3d/1f2e3d/pkg-1-py3-none-any.whl")

    plan = plan_for(rule, flattened([*cache("root/.cache/pip"), link]))

    assert [(kept.path, kept.reason) for kept in plan.kept] == [
        ("root/.cache/pip/wheels", "/opt/pkg.whl is a symlink into it")
    ]
    assert "root/.cache/pip/http-v2" in gone(plan)
