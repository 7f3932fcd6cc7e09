from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.blobs import Bytes
from slimmer.content import Content
from slimmer.elf.binutils import Strip, find_strip
from slimmer.elf.work.library import Kind, Outcome, Task, slim
from slimmer.elf.work.workshop import Workshop
from slimmer.errors import DestinationError, SlimmerError
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Compile = Callable[..., Path]
    Open = Callable[[Path], Content]
    Noted = Callable[[str], Strip]

SOURCES = Path(__file__).parent.parent.parent / "fixtures/elf"
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the directory where strip works, in either process; nothing is left in it at the end of a test."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})  # a second process runs on one processor, too
    yield directory
    assert list(directory.iterdir()) == []


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Give a static archive with debug information."""
    member = tmp_path / "answer.o"
    subprocess.run(["gcc", "-g3", "-O0", "-c", "-o", member, SOURCES / "archive_far.c"], check=True)
    subprocess.run(["ar", "qcs", tmp_path / "libfar.a", member], check=True)
    return tmp_path / "libfar.a"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Give the file in which a strip of `noted` notes for which process it works."""
    return tmp_path / "journal"


@pytest.fixture
def noted(tmp_path: Path, journal: Path) -> Noted:
    """Give a function that makes a strip program which notes the process it works for, and goes on as the script says."""

    def make(script: str) -> Strip:
        program = tmp_path / "strip"
        program.write_text(f"#!/bin/sh\necho $PPID > {journal}.new\nmv {journal}.new {journal}\n{script}\n")
        program.chmod(0o755)
        return Strip(str(program), "a strip that takes notes")

    return make


def real() -> str:
    """Give a script that does what the machine's strip does."""
    return f'exec {shutil.which("strip")} "$@"'


def waited_for(is_so: Callable[[], object]) -> None:
    """Wait until something is so; fail when it never is."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Say whether there is such a process, and it is more than a name."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False


def bytes_of(outcome: Outcome | None) -> bytes:
    """Give the new bytes of a library."""
    assert outcome is not None
    assert outcome.content is not None, outcome.words
    return outcome.content.read_at(0, outcome.content.size)


def everything(opened: Open, compiled: Compile, archive: Path, strip: Strip | None) -> list[Task]:
    """Give tasks of every kind with every kind of outcome."""
    library, plain = opened(compiled("answer", "-g")), opened(compiled("answer", "-s", name="libplain.so"))
    damaged = Content([*library.slice(0, 4096).pieces])
    return [
        Task(library, Kind.SHARED_OBJECT, "amd64", None, None),
        Task(library, Kind.SHARED_OBJECT, "amd64", strip, None),
        Task(library, Kind.SHARED_OBJECT, "amd64", None, "somebody objects"),
        Task(plain, Kind.SHARED_OBJECT, "amd64", None, "nobody is asked"),
        Task(damaged, Kind.SHARED_OBJECT, "amd64", None, None),
        Task(opened(archive), Kind.ARCHIVE, "amd64", strip, None),
        Task(opened(archive), Kind.ARCHIVE, "amd64", None, None),
        Task(Content([]), Kind.ARCHIVE, "amd64", strip, None),
    ]


def test_both_processes_give_the_same(opened: Open, compiled: Compile, archive: Path) -> None:
    """Whoever does a task: the same words, the same bytes."""
    tasks = everything(opened, compiled, archive, find_strip())
    here = [slim(task) for task in tasks]

    done: list[Task] = []
    with Workshop.opened() as workshop:
        workshop.begin(tasks)
        time.sleep(2)  # it starts in a fraction of that; whatever it has not done yet is done here
        there = workshop.outcomes(tasks, done.append)

    assert sorted(map(tasks.index, done)) == list(range(len(tasks)))
    for mine, its in zip(here, there, strict=True):
        assert (mine is None) == (its is None)
        assert mine is None or its is None or mine.words == its.words
        if mine is not None and mine.content is not None:
            assert bytes_of(mine) == bytes_of(its)
    # What strip wrote there can be read for as long as it is wanted.
    assert bytes_of(there[5]).startswith(b"!<arch>\n")


def test_what_is_begun_is_done_beside(opened: Open, archive: Path, noted: Noted, journal: Path) -> None:
    """A task that was begun early is done by another process than this one, once, and known afterwards."""
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted(real()), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        waited_for(journal.exists)
        worker = int(journal.read_text("utf-8"))
        (outcome,) = workshop.outcomes([task], lambda _: None)
        journal.unlink()

    assert worker != os.getpid()
    assert not is_running(worker)
    assert bytes_of(outcome) == bytes_of(workshop.outcomes([task], lambda _: None)[0])
    assert not journal.exists()


def test_a_file_of_a_layer_is_read_there_by_its_path(archive: Path, noted: Noted, journal: Path) -> None:
    """What the engine keeps is opened by the other process anew, with all that is checked of it."""
    directory = DiffDirectory(archive.parent, "sha256:1", OpenFiles(4), OpenFiles(4))
    size = archive.stat().st_size
    shelves = [directory.shelved(name) for name in (b"libfar.a", b"gone.a")]
    contents = [Content([Piece(shelf.blob(name, size), 0, size)]) for shelf, name in shelves]
    tasks = [Task(content, Kind.ARCHIVE, "amd64", noted(real()), None) for content in contents]
    with Workshop.opened() as workshop:
        workshop.begin(tasks[:1])
        waited_for(journal.exists)
        (outcome,) = workshop.outcomes(tasks[:1], lambda _: None)
        assert outcome is not None
        assert outcome.content is not None
        with pytest.raises(SlimmerError, match=r"'gone.a' of layer sha256:1 cannot be read"):
            workshop.outcomes(tasks, lambda _: None)


def test_what_only_this_process_can_read_is_done_here(archive: Path, noted: Noted, journal: Path) -> None:
    """A content without a place that another process could open stops nothing."""

    class Here(Bytes):
        def __reduce__(self) -> str:
            raise TypeError("only here")

    data = archive.read_bytes()
    task = Task(Content([Piece(Here(data), 0, len(data))]), Kind.ARCHIVE, "amd64", noted(real()), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        time.sleep(1.5)
        assert not journal.exists()
        (outcome,) = workshop.outcomes([task], lambda _: None)

    assert int(journal.read_text("utf-8")) == os.getpid()
    assert len(bytes_of(outcome)) < len(data)


def test_without_a_second_processor_there_is_no_second_process(
    opened: Open, archive: Path, noted: Noted, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is done here, when it is asked for."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted(real()), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        workshop.outcomes([task], lambda _: None)

    assert int(journal.read_text("utf-8")) == os.getpid()


def test_a_python_that_cannot_start_another_does_all_itself(
    opened: Open, compiled: Compile, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a second process ends before it has begun, nothing is lost."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    tasks = everything(opened, compiled, archive, find_strip())
    with Workshop.opened() as workshop:
        workshop.begin(tasks)
        outcomes = workshop.outcomes(tasks, lambda _: None)

    assert [outcome is None for outcome in outcomes] == [slim(task) is None for task in tasks]


def test_a_killed_process_is_an_error(opened: Open, archive: Path, noted: Noted, journal: Path) -> None:
    """The kernel ends a process for want of memory: no library is kept for a reason like that, the run ends."""
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted("sleep 5"), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        waited_for(journal.exists)
        os.kill(int(journal.read_text("utf-8")), signal.SIGKILL)
        with pytest.raises(SlimmerError, match="was ended by something else"):
            workshop.outcomes([task], lambda _: None)
    for left in Path(os.environ["TMPDIR"]).iterdir():
        shutil.rmtree(left)  # as the next run does: nobody else can


def test_no_room_for_strip_ends_the_run(opened: Open, archive: Path, noted: Noted, journal: Path) -> None:
    """What strip says of a full disk there is raised here."""
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted("echo No space left on device >&2; exit 1"), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        waited_for(journal.exists)
        with pytest.raises(DestinationError, match="no space is left"):
            workshop.outcomes([task], lambda _: None)


def test_an_interrupt_takes_the_second_process_with_it(
    opened: Open, archive: Path, noted: Noted, journal: Path
) -> None:
    """Neither it nor strip goes on, and what strip worked in is gone."""
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted("sleep 60"), None)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Workshop.opened() as workshop:
        workshop.begin([task])
        waited_for(journal.exists)
        raise KeyboardInterrupt

    assert not is_running(int(journal.read_text("utf-8")))
    assert time.monotonic() - start < PATIENCE


def test_a_task_that_was_given_up_is_done_when_it_is_asked_for(
    opened: Open, archive: Path, noted: Noted, journal: Path
) -> None:
    """What the second process was at when the workshop closed is not waited for in vain."""
    task = Task(opened(archive), Kind.ARCHIVE, "amd64", noted(f"test -e {journal}.quick || sleep 60\n{real()}"), None)
    with Workshop.opened() as workshop:
        workshop.begin([task])
        waited_for(journal.exists)
    Path(f"{journal}.quick").touch()

    assert len(bytes_of(workshop.outcomes([task], lambda _: None)[0])) < archive.stat().st_size
    assert int(journal.read_text("utf-8")) == os.getpid()


def test_who_outlives_its_parent_ends_by_itself(archive: Path, noted: Noted, journal: Path) -> None:
    """After kill -9 of slimmer the second process ends, and strip with it, and nothing of them stays."""
    program = noted("sleep 60").path
    code = f"""
import os, time
from pathlib import Path
os.sched_getaffinity = lambda _: {{0, 1}}
from slimmer.blobs import File
from slimmer.content import Content
from slimmer.pieces import Piece
from slimmer.elf.binutils import Strip
from slimmer.elf.work.library import Kind, Task
from slimmer.elf.work.workshop import Workshop
path = Path({str(archive)!r})
content = Content([Piece(File(path.open("rb")), 0, path.stat().st_size)])
with Workshop.opened() as workshop:
    workshop.begin([Task(content, Kind.ARCHIVE, "amd64", Strip({program!r}, "a strip"), None)])
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        waited_for(journal.exists)
        worker = int(journal.read_text("utf-8"))
        process.kill()

    assert worker != process.pid
    waited_for(lambda: not is_running(worker))
