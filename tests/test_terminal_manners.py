"""Completion, colour, and what a CI job's log gets."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.cli import colour

if TYPE_CHECKING:
    from collections.abc import Callable

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("words", "expected"),
    [("slimmer in", ["inspect"]), ("slimmer run --max", ["--max-size"]), ("slimmer run app --skip stri", ["strip"]),
     ("slimmer completion f", ["fish"])],
)  # fmt: skip
def test_bash_completes_commands_options_and_rules(
    slimmer: Slimmer, tmp_path: Path, words: str, expected: list[str]
) -> None:
    """The script, in a real bash; a broken slimmer.toml is not told while somebody types."""
    (tmp_path / "slimmer.toml").write_text("banana = 1\n")
    script = slimmer("completion", "bash").stdout
    position = len(words.split()) - 1
    ask = f'COMP_WORDS=({words}); COMP_CWORD={position}; _slimmer_completion slimmer; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert done.stdout.split() == expected
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(slimmer: Slimmer, shell: str) -> None:
    """It names slimmer; another shell is refused with the names of these."""
    done = slimmer("completion", shell)

    assert done.returncode == 0
    assert "_SLIMMER_COMPLETE" in done.stdout
    refused = slimmer("completion", "tcsh")
    assert refused.returncode == 2
    assert shell in refused.stderr


@pytest.mark.parametrize(
    ("env", "has_colour"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "0"}, False), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
     ({"NO_COLOR": ""}, False)],
)  # fmt: skip
def test_colour_is_for_who_wants_it(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], has_colour: bool) -> None:  # noqa: FBT001
    """A file gets none unless it is forced; NO_COLOR, where it says something, is the last word."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert colour.wanted() is has_colour


def test_only_outcomes_are_coloured() -> None:
    """A path with the word failed in it stays as it is; without colour the text is the same."""
    summary = (
        "  remove  1 B  /failed  /passed \n  checks  config  passed  0.0 s  same\n          torch   failed  1 s  why failed \n"
        "  gates   --max-size 1kB  failed  9 B the result\n"
    )
    text = colour.painted(summary)

    assert text.count("\x1b[32m") == 1
    assert text.count("\x1b[31m") == 2
    assert "/failed  /passed \n" in text
    assert "why failed \n" in text


@pytest.mark.parametrize(("ci", "has_bars"), [("", True), ("true", False), ("1", False), ("false", True)])
def test_a_ci_job_gets_lines_also_on_a_terminal(ci: str, has_bars: bool) -> None:  # noqa: FBT001
    """With CI set no bar is drawn, though the job may have a terminal."""
    code = (
        "from slimmer.terminal import listener\n"
        "with listener('auto').stage('reading', 10) as stage: stage.advance(10)\n"
    )  # fmt: skip
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", code], stderr=slave, check=True, env={**os.environ, "CI": ci})
    os.close(slave)
    text = os.read(master, 65536).decode()
    os.close(master)

    assert ("%|" in text) is has_bars
    assert ("slimmer: reading done" in text) is not has_bars
