"""What slimming breaks is put back, alone, and the image is verified with it; what is not slimming's fault stays a failure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer.checks.command import CommandSpec
from slimmer.progress import Silence
from slimmer.slim import CheckFailedError, Options, slim
from slimmer.trial import Wanted

from built import built
from watched import sum_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/healing:1"
ALONE = ("--only", "strip", "--exclude", "/usr/lib/python3/*")
"""numpy's own libraries are left alone, so that a search is short."""


def test_a_library_that_checks_its_own_digest_is_put_back_alone(
    docker: Docker, numpy: str, slimmer: Slimmer, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """The library that does not load names itself; the result is verified, and only that file is as it was."""
    watched, plain = (compiled(name, "-g3").read_bytes() for name in ("watched", "answer"))
    files = {
        "usr/lib/x/libwatched.so": watched,
        "usr/lib/x/libwatched.so.sum": sum_of(watched),
        "usr/lib/x/liba.so": plain,
    }
    built(docker, NAME, numpy, files, tmp_path / "context")
    docker.will_make(f"{NAME}-slim")
    before = docker.leftovers()

    done = slimmer("run", NAME, *ALONE, "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert [restored["path"] for restored in report["restored"]] == ["/usr/lib/x/libwatched.so"]
    assert "check loads failed without it" in report["restored"][0]["reason"]
    assert [change["path"] for change in report["changes"]] == ["/usr/lib/x/liba.so"]
    assert report["estimate"]["size"] == docker.inspect(f"{NAME}-slim")["Size"]
    assert {check["name"]: check["status"] for check in report["checks"]}["loads"] == "passed"
    sizes = docker.exported(f"{NAME}-slim")
    assert sizes["usr/lib/x/libwatched.so"].size == len(watched)
    assert sizes["usr/lib/x/liba.so"].size < len(plain)
    assert docker.leftovers() == before


QUIET = b"""
import hashlib, sys
wanted = open('/app/sums').read().split()
found = [hashlib.sha256(open(f'/usr/lib/x/lib{name}.so', 'rb').read()).hexdigest() for name in '35']
sys.exit(found != wanted)
"""


def test_culprits_that_nothing_names_are_searched_for(
    docker: Docker, numpy: str, slimmer: Slimmer, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """A command that ends otherwise without a word has all changes searched: two of six files are put back."""
    plain = compiled("answer", "-g3").read_bytes()
    files = {f"usr/lib/x/lib{name}.so": plain for name in "123456"}
    sums = " ".join([hashlib.sha256(plain).hexdigest()] * 2).encode()
    built(
        docker, NAME, numpy, {**files, "app/check.py": QUIET, "app/sums": sums}, tmp_path / "context",
        'CMD ["python3", "/app/check.py"]',
    )  # fmt: skip
    docker.will_make(f"{NAME}-slim")
    before = docker.leftovers()

    done = slimmer("run", NAME, *ALONE, "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert [restored["path"] for restored in report["restored"]] == ["/usr/lib/x/lib3.so", "/usr/lib/x/lib5.so"]
    assert len(report["changes"]) == 4
    assert docker.leftovers() == before


def test_what_no_change_explains_stays_a_failure(
    docker: Docker, numpy: str, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """A command whose output is another every time fails; nothing is put back, nothing is tagged, nothing is left."""
    built(docker, NAME, numpy, {"usr/lib/x/liba.so": compiled("answer", "-g3").read_bytes()}, tmp_path / "context")
    clock = CommandSpec(
        "clock", ("python3", "-c", "import time; print(time.time_ns())"), in_shell=False, compare="output"
    )
    before = docker.leftovers()

    with pytest.raises(CheckFailedError, match="check command: clock failed: its output is another") as caught:
        slim(Options(NAME, only=("strip",), exclude=("/usr/lib/python3/*",), wanted=Wanted((clock,))), Silence())

    assert caught.value.exit_code == 3
    assert caught.value.report.restored == ()
    assert not docker.has(f"{NAME}-slim")
    assert docker.leftovers() == before


def test_a_trial_that_failed_is_kept_when_asked_for(
    docker: Docker, numpy: str, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """The error says what the image is called; it stays after the next run has cleaned up."""
    built(docker, NAME, numpy, {"usr/lib/x/liba.so": compiled("answer", "-g3").read_bytes()}, tmp_path / "context")
    fails = CommandSpec("fails", ("python3", "-c", "raise SystemExit(5)"), in_shell=False, status=0)
    alone = Options(NAME, only=("strip",), exclude=("/usr/lib/python3/*",))
    options = replace(alone, wanted=Wanted((fails,)), keep_trial=True)

    with pytest.raises(
        CheckFailedError, match="so it is in the original; nothing was tagged; the image is kept as"
    ) as caught:
        slim(options, Silence())

    kept = str(caught.value).split()[-1]
    docker.will_make(kept)
    slim(replace(alone, tag="slimmer-test/healing:after"), Silence())
    docker.will_make("slimmer-test/healing:after")
    assert docker.inspect(kept)["Config"]["Labels"]["slimmer.rules"] == "strip"
