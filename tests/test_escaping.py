"""What an image says reaches a terminal, a CI job's log or a report as text, and what it keeps to itself reaches none."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.checks import FAILED, Pair, Subject, Verdict
from slimmer.checks.apart import _decoded as decoded_apart
from slimmer.checks.config import check as config_check
from slimmer.checks.probe import _decoded, _is_close
from slimmer.errors import CheckError
from slimmer.headroom import Room
from slimmer.image import Config
from slimmer.report import printable, printable_lines
from slimmer.reports import discover
from slimmer.summary import render, wrapped
from slimmer.terminal import Bars, Lines

from handmade import file, flattened, make_tar
from image_files import docker_archive
from judged_images import CONTROLS
from reported import reported

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

OWNED = "\x1b]0;owned\x07\x9b2J\u202e"


@pytest.mark.parametrize("kind", [Lines, Bars])
def test_notes_are_escaped(kind: Callable[..., Lines | Bars]) -> None:
    """A check's reason has what a program of the image wrote."""
    stream = io.StringIO()

    kind(stream, verbose=True).note(f"check failed: {OWNED}")
    kind(stream, verbose=True).detail(OWNED)

    assert CONTROLS.search(stream.getvalue().replace("\r", "")) is None
    assert "\\x1b]0;owned\\x07" in stream.getvalue()


@pytest.mark.parametrize("verbose", [[], ["--verbose"]])
def test_errors_are_escaped_and_cut(slimmer: Slimmer, tmp_path: Path, verbose: list[str]) -> None:
    """A member of an archive may be named as it likes, and as long; so with --verbose's traceback."""
    manifest = json.dumps([{"Config": OWNED + "x" * 9000, "RepoTags": None, "Layers": []}]).encode()
    (tmp_path / "image.tar").write_bytes(make_tar(file("manifest.json", manifest)))

    done = slimmer("run", "--dry-run", f"docker-archive:{tmp_path}/image.tar", *verbose)

    assert done.returncode == 4
    assert CONTROLS.search(done.stderr) is None
    assert "has no \\x1b]0;owned\\x07\\x9b2J\\u202exxx" in done.stderr
    assert len(done.stderr.splitlines()[-1]) < 2100


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a ##[set-output name=x]y", "a #\\#[set-output name=x]y"), ("##vso[task.x]", "#\\#vso[task.x]"), ("## title", "## title"),
     ("a\nb", "a\\nb"), ("é\u200b\ud800", "é\\u200b\\ud800")],
)  # fmt: skip
def test_a_log_obeys_nothing(text: str, shown: str) -> None:
    """GitHub's and Azure's runners take such words for commands, wherever they stand."""
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_line_never_begins_as_a_command() -> None:
    """`::error::` at the beginning of a line, behind spaces too, is one to GitHub's runner."""
    lines = list(wrapped("  checks  ", "x" * 75 + " ::stop-commands::y ::z std::string"))

    assert lines[1].strip().startswith("\\::stop-commands::y \\::z std::string")


def test_every_form_escapes_what_checks_and_rules_say() -> None:
    """JSON keeps line ends of what a check saw, and nothing else that is not printable."""
    checked = reported()
    for form in discover().values():
        text = form.render(checked)
        text.encode()
        assert CONTROLS.search(text) is None or form.suffix == ".html"
    said = json.loads(discover()[".json"].render(checked))["checks"][1]
    assert said["original"].startswith("1.5\n</script>")
    assert "\\x1b[2J\\u202e" in said["original"]
    assert CONTROLS.search(render(checked, every_change=True)) is None
    assert printable_lines("a\r\n\x1b") == "a\\r\n\\x1b"


SECRETS = ("hunter2", "s3cr3t-label", "t0p-s3cr3t", "n0-p4th")


def test_no_secret_of_an_image_reaches_a_report_or_a_log(slimmer: Slimmer, tmp_path: Path) -> None:
    """Values of ENV, labels and history, what files hold, what commands are given: no form has them, nor the log."""
    config = {
        "Env": ["PASSWORD=hunter2", "UV_CACHE_DIR=/root/.cache/uv"], "Labels": {"key": "s3cr3t-label"},
        "Cmd": ["uv", "run", "--token", "n0-p4th"],
    }  # fmt: skip
    layer = make_tar(
        file("etc/key.pem", b"t0p-s3cr3t"), file("root/.cache/uv/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55"),
        file("root/.cache/uv/wheels-v1/x", b"t0p-s3cr3t" * 999), file("tmp/x", b"t0p-s3cr3t"), file("usr/bin/run", b"#!/tmp/x t0p-s3cr3t\n", mode=0o755),
    )  # fmt: skip
    (tmp_path / "image.tar").write_bytes(
        docker_archive([layer], "app:1", config=config, history=[{"created_by": "ARG hunter2"}])
    )
    forms = [tmp_path / f"r{suffix}" for suffix in discover()]

    done = slimmer(
        "run", "--no-verify", "-v", f"docker-archive:{tmp_path}/image.tar", "-o", f"docker-archive:{tmp_path}/out.tar",
        *(word for form in forms for word in ("--report", form)),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "runs through uv" in done.stderr
    for text in (done.stdout, done.stderr, *(form.read_text("utf-8") for form in forms)):
        assert not [secret for secret in SECRETS if secret in text]


def test_a_configuration_that_differs_is_told_by_names() -> None:
    """Which variable or label is another, and no value of it."""
    inspected: list[dict[str, Any]] = [
        {"Config": {"Env": [f"PASSWORD={value}", "PATH=/bin"], "Labels": {"key": value}, "User": value}}
        for value in ("hunter2", "other")
    ]
    raw = json.dumps({"rootfs": {"diff_ids": []}}).encode()
    rootfs = flattened([file("a")])
    subjects = [Subject("sha256:1", rootfs, Config(raw), one) for one in inspected]

    verdict = config_check.examine(Pair(subjects[0], subjects[1], None, None, None))  # type: ignore[arg-type] # it asks nobody

    assert verdict == Verdict(
        FAILED,
        "9 keys",
        "9 keys",
        "differs in Config.Env (PASSWORD), Config.Labels (key), Config.User",
        blames_no_change=True,
    )


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[]", "7", '{"about": {}}', '{"about": [], "cases": {}}', '{"about": {}, "cases": {"a": 1}}', "[" * 99_999,
     '{"about": {}, "cases": {"a": {"sums": "x"}}}', '{"about": {}, "cases": {"a": {"error": 5}}}', "9" * 5000],
)  # fmt: skip
def test_an_answer_that_no_probe_gives_is_none(line: str) -> None:
    """What calls itself python in an image may print the probe's mark and anything behind it."""
    assert _decoded(line) is None
    assert isinstance(decoded_apart(line), dict)


def test_results_that_cannot_be_compared_are_not_close() -> None:
    """Lists of different lengths, and numbers that are no floats."""
    assert _is_close({"sums": [1.0]}, {"sums": [1.00001]})
    assert not _is_close({"sums": [1.0]}, {"sums": [1.0, 2.0]})
    assert not _is_close({"sums": [10**400]}, {"sums": [1.0]})


def test_a_program_that_fills_the_disk_is_stopped(tmp_path: Path) -> None:
    """With what is free, and who wrote; a disk that was full before is not laid to its charge."""
    room = Room(tmp_path, least=1 << 60, unnoticed=8 << 20)
    room.require("the container x")
    (tmp_path / "large").write_bytes(b"x" * (16 << 20))

    with pytest.raises(CheckError, match=f"the container x wrote until [0-9,]+ bytes were free in {tmp_path}"):
        room.require("the container x")
    Room(tmp_path, least=1 << 60, unnoticed=8 << 20).require("the container x")
    Room(None).require("the container x")
