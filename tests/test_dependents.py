from __future__ import annotations

import json
from typing import Any

import pytest

from slimmer.dependents import Dependents
from slimmer.image import Config

from handmade import Spec, file, flattened, symlink


def reason(entries: list[Spec], directory: str = "d/x", within: str | None = None, **execution: Any) -> str | None:
    """Give who leads to a directory."""
    raw = json.dumps({"config": execution, "rootfs": {"diff_ids": []}}).encode()
    return Dependents(flattened([file("d/x/file"), *entries]), Config(raw), but_for=("OWN",)).of(directory, within)


@pytest.mark.parametrize(
    ("entries", "execution", "expected"),
    [
        pytest.param([symlink("l", "d/x/file")], {}, "/l is a symlink into it", id="symlink"),
        pytest.param([symlink("l", "d/x/gone")], {}, "/l is a symlink into it", id="dangling symlink"),
        pytest.param([symlink("e", "d"), symlink("a/l", "../e/x")], {}, "/a/l is a symlink into it", id="through another"),
        pytest.param([file("s/x.pth", b"/d/x")], {}, "/s/x.pth names a path in it", id="pth"),
        pytest.param([file("s/x.egg-link", b"/d/x\n.")], {}, "/s/x.egg-link names a path in it", id="egg-link"),
        pytest.param([file("x.dist-info/direct_url.json", b'{"url": "file:///d/x", "dir_info": {"editable":true}}')], {}, "/x.dist-info/direct_url.json names a path in it", id="editable"),
        pytest.param([file("b/t", b"#!/d/x/python\n", mode=0o755)], {}, "/b/t is run by an interpreter in it", id="shebang"),
        pytest.param([file("b/t", b"#!/bin/sh\n'''exec' /d/x/python \"$0\"\n", mode=0o755)], {}, "/b/t is run by an interpreter in it", id="a shebang that is too long"),
        pytest.param([], {"Volumes": {"/d/x": {}}}, "the image's Volumes leads into it", id="volume"),
        pytest.param([symlink("e", "d")], {"Env": ["X=/e/x/file"]}, "the image's Env X leads into it", id="variable through a symlink"),
    ],
)  # fmt: skip
def test_finds_who_leads_there(entries: list[Spec], execution: dict[str, Any], expected: str) -> None:
    """Everything that leads to the directory, or to anything in it, is named."""
    assert reason(entries, **execution) == expected


@pytest.mark.parametrize(
    ("entries", "execution"),
    [
        pytest.param([symlink("d/x/l", "file")], {}, id="a symlink in it"),
        pytest.param([file("d/x/site/x.pth", b"/d/x")], {}, id="a pth in it"),
        pytest.param(
            [file("d/xy/file"), symlink("l", "d/xy/file"), file("s/x.pth", b"/d/xy\n/d/x.old\n")],
            {},
            id="a longer name",
        ),
        pytest.param([file("b/t", b"#!/bin/sh\n/d/x/tool\n", mode=0o755)], {}, id="the text of a script"),
        pytest.param([file("b/t", b"#!/d/x/python\n")], {}, id="a text that nobody runs"),
        pytest.param([], {"Env": ["OWN=/d/x", "PATH=/d:/d/xy"]}, id="the variable that says where it is"),
    ],
)
def test_what_leads_elsewhere_is_not_named(entries: list[Spec], execution: dict[str, Any]) -> None:
    """Neither what lies inside nor what only looks alike."""
    assert reason(entries, **execution) is None


def test_what_lies_within_may_be_more() -> None:
    """A symlink beside the directory does not count where all of what they lie in is meant."""
    assert reason([symlink("d/l", "x")]) == "/d/l is a symlink into it"
    assert reason([symlink("d/l", "x")], within="d") is None
