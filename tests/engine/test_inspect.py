"""`slimmer inspect` against the real engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import slimmer as package

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine


def test_it_says_where_the_bytes_are(docker: Docker, slimmer: Slimmer, tmp_path: Path, numpy: str) -> None:
    """Numpy is the largest distribution; text, JSON and page agree; the engine keeps nothing of it."""
    page, facts = tmp_path / "i.html", tmp_path / "i.json"
    before = docker.leftovers()
    done = slimmer("inspect", numpy, "-q", "--report", page, "--report", facts)
    as_json = json.loads(slimmer("inspect", numpy, "-q", "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert as_json == json.loads(facts.read_text("utf-8"))
    assert as_json["schema"] == "slimmer-inspection/1"
    assert as_json["distributions"][0]["name"].startswith("numpy ")
    assert as_json["distributions"][0]["name"] in done.stdout
    assert as_json["packages"] == []  # this image has no database of dpkg's; the key is there all the same
    assert as_json["source"]["size"] == docker.inspect(numpy)["Size"]
    dry = package.run(numpy, dry_run=True, only=["strip"])
    assert next(rule["saves"] for rule in as_json["rules"] if rule["name"] == "strip") == dry.saved
    assert as_json["largest_files"][0]["size"] >= as_json["largest_files"][1]["size"]
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert docker.leftovers() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["slimmer-test/no-such:1"], 4, "no-such"),
        (["app", "--report", "x.md"], 2, ".html or .json"),
        (["app", "--report", "/no/such/x.html"], 2, "no directory"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    docker: Docker, slimmer: Slimmer, arguments: list[str], code: int, words: str
) -> None:
    """With the exit code of its kind."""
    done = slimmer("inspect", "-q", *arguments)

    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
