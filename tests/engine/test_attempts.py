"""The search for what to put back, on every kind of engine: small layers over the trial, and nothing of them left."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handmade import directory, file, hard_link, make_tar
from victims import started

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/attempts:1"
FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
KEPT = "/var/tmp/kept"  # noqa: S108 - the image's


@pytest.fixture
def layers(compiled: Callable[..., Path], tmp_path: Path) -> Callable[[int], list[bytes]]:
    """Give a function that makes layers whose program, so many seconds after it began, wants two changes undone."""
    library = compiled("answer", "-g3").read_bytes()

    def make(seconds: int) -> list[bytes]:
        subprocess.run(
            ["gcc", "-static", f"-DSIZE={len(library)}", f"-DSECONDS={seconds}", "-o", tmp_path / "particular",
             FIXTURES / "elf" / "particular.c"],
            check=True, capture_output=True,
        )  # fmt: skip
        return [
            make_tar(
                directory("app"), file("app/particular", (tmp_path / "particular").read_bytes(), mode=0o755),
                directory("usr"), directory("usr/lib"), *(file(f"usr/lib/lib{name}.so", library) for name in range(8)),
                file("filler", b"x" * 9_000_000),
            ),
            make_tar(
                directory("usr"), directory("usr/lib"), file("usr/lib/lib5.so", library, mode=0o640, owner=(7, 8)),
                {**hard_link("usr/lib/alias.so", "usr/lib/lib5.so"), "mode": 0o640, "owner": (7, 8)},
                directory("var"), directory("var/tmp", mode=0o1777), file("var/tmp/other", b"x"),
                directory("var/tmp/kept", mode=0o710, owner=(7, 8)), file("var/tmp/kept/inner", b"y", mode=0o604),
            ),
        ]  # fmt: skip

    return make


def test_two_changes_that_nothing_names_are_found(
    engine: Docker, slimmer: Slimmer, layers: Callable[[int], list[bytes]], tmp_path: Path
) -> None:
    """A file with its other name and owner, and a directory that was removed; no attempt sends the whole image."""
    engine.image(NAME, layers(0), {"Entrypoint": ["/app/particular"]})
    engine.will_make(f"{NAME}-slim")
    before = engine.leftovers()

    done = slimmer("run", NAME, "--report", tmp_path / "r.json", env=engine.env)

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert [each["path"] for each in report["restored"]] == ["/usr/lib/alias.so", KEPT]
    assert len([each for each in report["changes"] if each["rule"] == "strip"]) == 7
    assert {check["name"]: check["status"] for check in report["checks"]}["starts"] == "passed"
    assert set(engine.leftovers()) <= set(before)
    lines = done.stderr.splitlines()
    sizes = [lines[number + 1] for number, line in enumerate(lines) if line.startswith("slimmer: trying with ")]
    assert len(sizes) >= 4
    assert all(size.endswith(" kB") for size in sizes), sizes


def test_interrupted_in_a_search_nothing_is_left(
    docker: Docker, layers: Callable[[int], list[bytes]], tmp_path: Path
) -> None:
    """While an attempt is written, while it is checked, and when others lie below it."""
    docker.image(NAME, layers(2), {"Entrypoint": ["/app/particular"]})
    before = docker.leftovers()

    for count, delay in ((1, 0.0), (1, 1.5), (2, 1.0)):
        running = started("run", NAME, temporary=tmp_path)
        attempt = f"put back: attempt {count} of "
        assert running.reaches(attempt), running.said
        running.wait(attempt, delay)
        running.process.send_signal(signal.SIGTERM if count == 2 else signal.SIGINT)

        assert running.ended(60) == 130, running.said
        assert running.out == ""
        assert running.said.splitlines()[-1] == "slimmer: interrupted; nothing was tagged and nothing is left behind"
        assert not docker.has(f"{NAME}-slim")
        assert docker.leftovers() == before, running.said
