"""Runs that are struck down at moments chosen by lot, what each left, and what was left after the next one looked."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder import forwarded
from own_engine import own_engine
from victims import NAME, PROGRESS, SLIM, Running, started, victim

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from docker_cli import Docker
    from handmade import Spec

TOLD = [*PROGRESS, "linking", "packing", "debug", "saving"]
"""Every stage that a run may tell of; each has a line for its beginning and one for its end."""


INTERRUPTED = 130
REFUSED = {4, 5}
"""Exit statuses of a source that cannot be read and of a result that cannot be written."""

_LAST_WORDS = "slimmer: interrupted; nothing was tagged and nothing is left behind"


@dataclass(frozen=True)
class Way:
    """A way to slim the victim: its arguments, and whether the engine is reached as a remote one is."""

    name: str
    arguments: tuple[str, ...] = ()
    is_remote: bool = False


@dataclass(frozen=True)
class Moment:
    """When a run is struck: so many seconds after it says `after`, or after its beginning where that is None."""

    way: Way
    after: str | None
    seconds: float

    def __str__(self) -> str:
        return f"{self.way.name}, {self.seconds:.3f} s after {self.after or 'the start'}"


@dataclass
class Struck:
    """What became of a run that something happened to."""

    way: Way
    status: int
    said: str
    out: str
    stage: str
    """The last stage that it had told of."""
    is_tagged: bool
    """Whether the result had got its name by then: all checks had passed."""
    left: list[str] = field(default_factory=list)
    """What was there afterwards that had not been there before."""
    wrong: list[str] = field(default_factory=list)
    """What no run may do, however it ends."""
    was_in_time: bool = True
    """Whether it was still running when its moment came."""

    def amiss_when_interrupted(self) -> list[str]:
        """Give what no run may say that is interrupted: it did not end well, or it did and all is there."""
        if self.status == 0:
            return [] if self.is_tagged else ["it exits with 0 and there is no result"]
        if self.status == -signal.SIGINT and self.stage == "starting" and not self.said:
            return []  # before Python had heard of signals: a shell calls this 130, too
        amiss = [f"it exits with {self.status}"] if self.status != INTERRUPTED else []
        last = self.said.splitlines()[-1:]
        amiss += [] if last == [_LAST_WORDS] else [f"its last words are {last}"]
        amiss += ["it has a traceback"] if "Traceback" in self.said else []
        return amiss + (["there is a result"] if self.is_tagged or self.out else [])

    def amiss_when_refused(self) -> list[str]:
        """Give what no run may say to which the engine or a disk failed: it got over it, or it says so and ends."""
        if self.status == 0:
            return [] if self.is_tagged else ["it exits with 0 and there is no result"]
        amiss = [f"it exits with {self.status}"] if self.status not in REFUSED else []
        amiss += ["there is a result"] if self.is_tagged or self.out else []
        last = self.said.splitlines()[-1:]
        is_a_sentence = last and last[0].startswith("slimmer: ") and "Traceback" not in self.said
        return amiss + ([] if is_a_sentence else [f"its last words are {last}"])


class Arena:
    """An engine with the victim in it, and an older result, whose name a run moves when all is proved."""

    def __init__(self, engine: Docker, remote: str, place: Path, milliseconds: int, megabytes: int) -> None:
        self.engine = engine
        self.hosts = {True: remote, False: engine.env["DOCKER_HOST"]}
        self.temporary, self.output = place / "tmp", place / "out"
        for directory in (self.temporary, self.output):
            directory.mkdir(exist_ok=True)
        self.ways = [
            Way("in place"),
            Way("remote", is_remote=True),
            Way("archive", ("--output", f"docker-archive:{self.output}/result.tar")),
            Way("layout", ("--output", f"oci:{self.output}/layout:slim", "--compression", "none")),
            Way("debug files", ("--debug-dir", f"{self.output}/debug", "--strip-with", "binutils")),
        ]
        victim(engine, place, milliseconds=milliseconds, megabytes=megabytes)
        self.old = self._kept(Way("old", ("--no-verify", "--tag", SLIM, "--skip", "strip")))
        self._proved: set[str] = set()
        engine("tag", self.old, SLIM)
        self.source = self.described()
        self.before = engine.leftovers()
        self.names = self._names()
        self._spans: dict[Way, list[tuple[str | None, float, float]]] = {}
        self._whole = ""

    def _kept(self, way: Way) -> str:
        """Make a whole run and give the ID that its name leads to, under a name of its own so that it stays."""
        self._whole_run(way)
        return self._kept_as_it_is()

    def _kept_as_it_is(self) -> str:
        image = str(self.engine.inspect(SLIM)["Id"])
        self.engine("tag", image, f"slimmer-test/kept:{image[-12:]}")
        return image

    def _whole_run(self, way: Way) -> Running:
        running = self.start(way)
        assert running.ended() == 0, running.said
        return running

    def start(self, way: Way, host: str | None = None, temporary: Path | None = None) -> Running:
        """Start a run; HOST is another way to the engine, TEMPORARY another place for temporary files."""
        arguments = ("run", NAME, "--progress", "plain", *way.arguments)
        return started(*arguments, temporary=temporary or self.temporary, host=host or self.hosts[way.is_remote])

    def spans(self, way: Way) -> list[tuple[str | None, float, float]]:
        """Give the parts of a whole run: the line that each begins with, when that came, and how long the part took."""
        if way not in self._spans:
            running = self._whole_run(way)
            self._proved |= {self._kept_as_it_is()} - {self.old}  # what goes to a file moves no name
            self._whole = self._archive() or self._whole
            marks = [(None, 0.0), *((part, at) for at, line in running.lines if (part := _part(line)))]
            stops = [*(at for _, at in marks[1:]), running.took]
            self._spans[way] = [(part, at, stop - at) for (part, at), stop in zip(marks, stops, strict=True)]
            self.reset()
        return self._spans[way]

    def moment(self, lot: random.Random, way: Way) -> Moment:
        """Give a moment: every other one anywhere in the time of a run, the others anywhere in a part of it."""
        spans = self.spans(way)
        if lot.random() < 0.5:
            at = lot.uniform(0, sum(length for *_, length in spans))
            line, start, _ = [span for span in spans if span[1] <= at][-1]
            return Moment(way, line, at - start)
        line, _, length = lot.choice(spans)
        return Moment(way, line, lot.uniform(0, length))

    def strike(self, moment: Moment, number: signal.Signals) -> Struck:
        """Start a run, send it a signal at a moment, and look at what it left and what it did."""
        running = self.start(moment.way)
        running.wait(moment.after, moment.seconds)
        stage = running.stage
        was_in_time = running.process.poll() is None
        running.process.send_signal(number)
        struck = self.look(running, moment.way)
        struck.stage, struck.was_in_time = stage, was_in_time
        return struck

    def look(self, running: Running, way: Way) -> Struck:
        """Wait for the end of a run and look at what it left and what it did."""
        status = running.ended()
        struck = Struck(way, status, running.said, running.out, running.stage, self._is_done(way))
        struck.wrong = self._wrong(struck)
        struck.left = self.left()
        self.reset()
        return struck

    def left(self) -> list[str]:
        """Give what is in the engine and on disk that no run may leave."""
        in_engine = sorted(set(self.engine.leftovers()) - set(self.before))
        layout = self.output / "layout"
        files = [path for path in self.output.rglob("*") if path.name.startswith(".slimmer-")]
        if not (layout / "index.json").exists():
            files += [path for path in (layout / "blobs").glob("*/*") if path not in files]
        return [*in_engine, *(f"file {path}" for path in sorted([*self.temporary.iterdir(), *files]))]

    def clean(self) -> str:
        """Run `slimmer clean` and give what it says."""
        running = started("clean", self.output, temporary=self.temporary, host=self.hosts[False])
        assert running.ended() == 0, running.said
        return running.said

    def run_again(self, way: Way) -> str:
        """Run what was struck once more, to its end, and give what it says."""
        running = self._whole_run(way)
        self.reset()
        return running.said

    def reset(self) -> None:
        """Give the result's name back to the older one and remove what a run wrote."""
        self.engine("tag", self.old, SLIM)
        (self.output / "result.tar").unlink(missing_ok=True)
        shutil.rmtree(self.output / "layout", ignore_errors=True)

    def _is_done(self, way: Way) -> bool:
        if way.name == "archive":
            return (self.output / "result.tar").exists()
        if way.name == "layout":
            return (self.output / "layout" / "index.json").exists()
        return str(self.engine.inspect(SLIM)["Id"]) in self._proved

    def _wrong(self, struck: Struck) -> list[str]:
        wrong = []
        if self.described() != self.source:
            wrong.append("the source is not what it was")
        if (slim := str(self.engine.inspect(SLIM)["Id"])) not in {self.old, *self._proved}:
            wrong.append(f"{SLIM} is {slim}")
        if (names := self._names()) != self.names:
            wrong.append(f"there are the names {names}")
        if struck.is_tagged and "verifying done" not in struck.said:
            wrong.append("it is tagged and was not verified")
        if struck.way.name == "archive" and struck.is_tagged and self._archive() != self._whole:
            wrong.append("the archive is not the one that a whole run writes")
        if struck.way.name == "layout" and struck.is_tagged:
            wrong += _missing_blobs(self.output / "layout")
        return wrong

    def _archive(self) -> str:
        path = self.output / "result.tar"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""

    def described(self) -> Spec:
        """Give what the engine says of the source, but for when a test gave it its name the last time."""
        return {key: value for key, value in self.engine.inspect(NAME).items() if key != "Metadata"}

    def _names(self) -> list[str]:
        listed = self.engine("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        return sorted(name for name in listed if not name.startswith(("slimmer-trial:", "slimmer-test/kept:")))


def _part(line: str) -> str | None:
    """Give what a line begins with that begins a part of a run, without figures; None for other lines."""
    match = re.match(rf"slimmer: ({'|'.join(TOLD)})( done)?\b", line)
    return match[0] if match is not None else None


def _missing_blobs(layout: Path) -> list[str]:
    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    index: Spec = json.loads((layout / "index.json").read_text())
    manifest: Spec = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    wanted = [manifest["config"], *manifest["layers"]]
    return [f"{one['digest']} is missing" for one in wanted if blob(one["digest"]).stat().st_size != one["size"]]


@contextmanager
def arena(engine: Docker, place: Path, milliseconds: int = 200, megabytes: int = 80) -> Iterator[Arena]:
    """Give an engine with nothing else to do than to have runs struck; see `victim` for the figures."""
    with forwarded(engine.env["DOCKER_HOST"].removeprefix("unix://")) as remote:
        yield Arena(engine, remote, place, milliseconds, megabytes)


@contextmanager
def own_arena(milliseconds: int = 200, megabytes: int = 80) -> Iterator[Arena]:
    """Give an arena in an engine and a directory of its own, both gone at the end; see `victim` for the figures."""
    with (
        tempfile.TemporaryDirectory(prefix="hard") as place,
        own_engine(Path(place)) as engine,
        arena(engine, Path(place), milliseconds, megabytes) as field,
    ):
        yield field
