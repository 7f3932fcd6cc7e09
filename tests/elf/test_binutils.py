from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.elf.binutils import Strip, StripError, find_strip
from slimmer.elf.object import parse
from slimmer.errors import DestinationError, ElfError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]
    Fake = Callable[[str], Strip]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory in which strip's own are made, which is empty before and, by this fixture, must be after."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Give a function that makes a strip program of a shell script, which gets `-o out in.a` as its arguments."""

    def make(script: str) -> Strip:
        program = tmp_path / "strip"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Strip(str(program), "a fake")

    return make


def read(content: Content) -> bytes:
    """Give all bytes of a content."""
    return content.read_at(0, content.size)


def test_the_strip_in_path_is_found_with_its_version() -> None:
    """What will run is known by its path and its own word for its version."""
    strip = find_strip()

    assert strip is not None
    assert Path(strip.path).name == "strip"
    assert "strip" in strip.version


@pytest.mark.parametrize("script", [None, "exit 1", "exit 0"], ids=["none", "one that fails", "one that says nothing"])
def test_without_a_strip_there_is_none(
    script: str | None, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a strip program, or with one that does not answer, has none, which is no error."""
    if script is not None:
        fake(script)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_strip() is None


def test_a_library_is_stripped_and_nothing_is_left(compiled: Compile, opened: Open, scratch: Path) -> None:
    """The result can be read when the strip call and its directory are gone, and the original is untouched."""
    library = compiled("answer", "-g")
    before = library.read_bytes()
    strip = find_strip()
    assert strip is not None

    first = strip.run(opened(library), ["--strip-unneeded"], 60)
    second = strip.run(opened(library), ["--strip-debug"], 60)

    assert list(scratch.iterdir()) == []
    assert library.read_bytes() == before
    assert parse(first).section_named(".symtab") is None
    assert parse(second).section_named(".symtab") is not None
    assert parse(second).section_named(".debug_info") is None


def test_strip_sees_neutral_names_and_a_neutral_environment(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of the image reaches the command line, no language and no default target of ours reaches the program."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GNUTARGET", "srec")
    strip = fake('{ echo "$@"; echo "$LC_ALL ${GNUTARGET-none}"; cat; ulimit -c; cat "$5"; } > "$4"')

    said = read(strip.run(Content.of(b"!<arch>\n"), ["-x", "-D"], 60)).decode()

    assert said == "-x -D -o out in.a\nC none\n0\n!<arch>\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("cat in.a > out; exit 3", "failed with exit status 3", id="exit status"),
        pytest.param("cat in.a > out; echo careful >&2", "complained: careful", id="stderr"),
        pytest.param("cat in.a > out; echo careful", "complained: careful", id="stdout"),
        pytest.param("echo 'strip: in.a: bad' >&2; exit 1", "status 1: strip: in.a: bad", id="exit status and stderr"),
        pytest.param("true", "gave no result", id="no output"),
        pytest.param("> out", "gave no result", id="empty output"),
        pytest.param("ln -s /etc/passwd out", "gave no result", id="a link for an output"),
        pytest.param("mkdir out", "gave no result", id="a directory for an output"),
        pytest.param("kill -SEGV $$", "killed by signal 11", id="crash"),
        pytest.param("head -c 9999999 /dev/zero > out", "File size limit|signal 25|File too large", id="a huge output"),
    ],
)
def test_anything_but_silent_success_is_an_error(script: str, words: str, fake: Fake, scratch: Path) -> None:
    """strip's exit status alone was seen to lie: whatever is odd is a reason to keep the file."""
    with pytest.raises(StripError, match=words) as caught:
        fake(script).run(Content.of(b"!<arch>\n"), [], 60)

    assert isinstance(caught.value, ElfError)
    assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_a_strip_that_takes_too_long_is_stopped(fake: Fake, scratch: Path, tmp_path: Path) -> None:
    """The program and what it started are killed when the time is up."""
    started = time.monotonic()

    with pytest.raises(StripError, match=r"stopped after 0\.3 seconds"):
        fake(f"(sleep 2; touch {tmp_path / 'survived'}) & wait").run(Content.of(b"!<arch>\n"), [], 0.3)

    assert time.monotonic() - started < 1.8
    time.sleep(2)
    assert not (tmp_path / "survived").exists()
    assert list(scratch.iterdir()) == []


def test_a_strip_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    """A program that vanished is a reason to keep files, not the end of the run."""
    with pytest.raises(StripError, match=r"status 127: .*not found"):
        Strip(str(tmp_path / "nothing"), "").run(Content.of(b"x"), [], 60)


class _FullDisk:
    """A blob at whose place the disk is full."""

    def read_at(self, offset: int, length: int) -> bytes:  # noqa: ARG002 - the same everywhere
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("script", "content"),
    [
        pytest.param("true", Content([Piece(_FullDisk(), 0, 9)]), id="for its copy"),
        pytest.param("echo 'out: No space left on device' >&2; exit 1", Content.of(b"!<arch>\n"), id="for its result"),
    ],
)
def test_a_full_disk_ends_the_run_with_advice(fake: Fake, scratch: Path, script: str, content: Content) -> None:
    """A file that is kept because a disk was full would make another image; the error names the directory and TMPDIR."""
    with pytest.raises(DestinationError, match=f"no space is left in {scratch} .*TMPDIR"):
        fake(script).run(content, [], 60)

    assert list(scratch.iterdir()) == []


def test_many_results_take_one_descriptor(fake: Fake) -> None:
    """An image has more archives than a process may have open files."""
    strip = fake('cat in.a > "$2"')
    before = len(list(Path("/proc/self/fd").iterdir()))

    results = [strip.run(Content.of(f"!<arch>\n{number}".encode()), [], 60) for number in range(20)]

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    assert [read(each) for each in results] == [f"!<arch>\n{number}".encode() for number in range(20)]


def test_a_small_archive_is_worked_on_in_memory(opened: Open, fake: Fake, tmp_path: Path, scratch: Path) -> None:
    """Where memory has no room after all, the directory for temporary files has; a large one never goes there."""
    memory = Path("/dev/shm")  # noqa: S108 - where memory is a directory: shm_overview(7)
    library = tmp_path / "in"
    library.write_bytes(b"!<arch>\n")
    note = tmp_path / "places"

    def places(script: str) -> list[Path]:
        note.unlink(missing_ok=True)
        fake(f"pwd >> {note}; {script}").run(opened(library), (), 10)
        return [Path(line).parent for line in note.read_text("utf-8").splitlines()]

    assert places("echo > out") == [memory]
    full = f"echo > out; case $PWD in {scratch}/*) ;; *) echo No space left on device >&2; exit 1;; esac"
    assert places(full) == [memory, scratch]
    with library.open("ab") as file:
        file.truncate(17 << 20)
    assert places("echo > out") == [scratch]
    assert list(memory.glob(f".slimmer-{os.getpid()}-*")) == []
