"""The search for what to put back, with images that are only sets of changes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer.blobs import ZEROS
from slimmer.checks import FAILED, PASSED, Examined, Verdict
from slimmer.content import Content
from slimmer.errors import DestinationError
from slimmer.healing import failures, healed
from slimmer.inode import Inode, Kind
from slimmer.pieces import Piece
from slimmer.plan import Change, Plan
from slimmer.rootfs import Rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATHS = [f"usr/lib/lib{number}.so" for number in range(16)]
SOURCE = Rootfs.of({
    path: Inode(Kind.FILE, 0o644, content=Content([Piece(ZEROS, 0, 10 ** (20 - number))]))
    for number, path in enumerate(PATHS)
})  # fmt: skip
"""Each is ten times as large as the next."""


@dataclass(frozen=True, eq=False)
class Made:
    """An image: what is put back in it, and the plan of the rest."""

    restored: frozenset[str]
    plan: Plan


@dataclass
class Sets:
    """Images that fail a check unless all CULPRITS are put back in them."""

    culprits: frozenset[str]
    says: str = ""
    in_original: bool = True
    blames_no_change: bool = False
    seconds: float = 0.0
    """How long an attempt takes."""
    refuses: bool = False
    """Whether the engine takes no attempt."""
    made: int = 0
    tried: list[frozenset[str]] = field(default_factory=list)
    """What was put back in each attempt."""
    now: float = 0.0
    alive: list[Made] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def make(self, restored: Mapping[str, str]) -> Made:
        """Make an image."""
        self.made += 1
        changes = tuple(Change(path, "strip", "replace", 2, 1, 1, "") for path in PATHS if path not in restored)
        made = Made(frozenset(restored), Plan(SOURCE, SOURCE, (), changes, ()))
        self.alive.append(made)
        return made

    def examine(self, made: Made) -> tuple[Examined, ...]:
        """Make one check that fails and one that does not."""
        fails = not self.culprits <= made.restored
        said = Verdict(FAILED, reason=self.says, blames_no_change=self.blames_no_change)
        return Examined("loads", said if fails else Verdict(PASSED), 0.0), Examined("config", Verdict(PASSED), 0.0)

    @contextmanager
    def attempts(self, made: Made) -> Iterator[On]:
        """Give attempts on an image that is there all the while."""
        assert made in self.alive
        yield On(self, made)
        assert made in self.alive

    def drop(self, made: Made) -> None:
        """Forget an image."""
        self.alive.remove(made)

    def tell(self, sentence: str) -> None:
        """Hear what is done."""
        self.said.append(sentence)


@dataclass
class On:
    """Attempts on an image."""

    lab: Sets
    made: Made

    def passes(self, paths: frozenset[str], check: str) -> bool:
        """Try with more put back."""
        assert check == "loads"
        if self.lab.refuses:
            raise DestinationError("the engine cannot load the result: no room")
        self.lab.tried.append(paths)
        self.lab.now += self.lab.seconds
        return self.lab.culprits <= self.made.restored | paths

    def passes_in_original(self, check: str) -> bool:
        """Compare the original with itself."""
        assert check == "loads"
        return self.lab.in_original


@given(st.sets(st.sampled_from(PATHS), max_size=3))
def test_exactly_the_culprits_are_put_back(culprits: set[str]) -> None:
    """Whichever they are, nothing else is; and only the image that is verified stays."""
    lab = Sets(frozenset(culprits))

    outcome = healed(lab, lab.make({}))

    assert outcome.restored.keys() == culprits
    assert failures(outcome.examined) == []
    assert len(outcome.examined) == 2
    assert lab.alive == [outcome.made]


def test_a_culprit_that_is_named_takes_one_attempt() -> None:
    """What a check says names a file; that is tried first, and the second image that is made has it."""
    lab = Sets(frozenset({PATHS[7]}), says="lib7.so: ELF load command not page-aligned")

    outcome = healed(lab, lab.make({}))

    assert outcome.restored == {PATHS[7]: "check loads failed without it: lib7.so: ELF load command not page-aligned"}
    assert (lab.made, len(lab.tried)) == (2, 1)


def test_whole_images_are_made_for_the_result_only() -> None:
    """However long the search is, one image is made to begin with and one that is verified."""
    lab = Sets(frozenset({PATHS[3], PATHS[12]}))

    healed(lab, lab.make({}))

    assert lab.made == 2
    assert 4 <= len(lab.tried) <= 16


def test_what_is_large_is_put_back_last() -> None:
    """An attempt sends what it puts back; a cache that is linked to all that is installed may be the whole image."""
    lab = Sets(frozenset({PATHS[9], PATHS[1]}))

    outcome = healed(lab, lab.make({}))

    assert outcome.restored.keys() == {PATHS[9], PATHS[1]}
    assert not any(PATHS[0] in paths for paths in lab.tried)


@pytest.mark.parametrize("why", ["in_original", "blames_no_change"])
def test_what_no_change_explains_is_left_as_it_is(why: str) -> None:
    """A check that fails where the original is compared with itself, or that is about no change: nothing is tried."""
    lab = Sets(frozenset({PATHS[0]}), in_original=why != "in_original", blames_no_change=why == "blames_no_change")

    outcome = healed(lab, lab.make({}))

    assert outcome.restored == {}
    assert len(failures(outcome.examined)) == 1
    assert (lab.made, lab.tried) == (1, [])
    assert lab.alive == [outcome.made]


def test_a_search_ends_when_there_were_too_many_attempts() -> None:
    """With every other change to blame, what is known to help is put back, though less would do."""
    culprits = frozenset(PATHS[::2])
    lab = Sets(culprits)

    outcome = healed(lab, lab.make({}))

    assert culprits <= outcome.restored.keys()
    assert failures(outcome.examined) == []
    assert len(lab.tried) == 24
    assert lab.made == 2


def test_an_engine_that_takes_no_attempt_hides_no_failure() -> None:
    """The person reads why nothing was looked for, and the check's failure is the outcome."""
    lab = Sets(frozenset({PATHS[6]}), refuses=True)

    outcome = healed(lab, lab.make({}))

    assert outcome.restored == {}
    assert len(failures(outcome.examined)) == 1
    assert lab.said[-1] == "what made it fail is not looked for: the engine cannot load the result: no room"
    assert lab.alive == [outcome.made]


def test_a_search_ends_after_ten_minutes() -> None:
    """No attempt begins later, and the person reads how far it is; what is known to help by then is put back."""
    lab = Sets(frozenset({PATHS[6]}), seconds=250.0)

    outcome = healed(lab, lab.make({}), lambda: lab.now)

    assert len(lab.tried) == 3
    assert PATHS[6] in outcome.restored
    assert failures(outcome.examined) == []
    tries = [sentence for sentence in lab.said if sentence.startswith("trying")]
    assert tries[2].endswith("attempt 3 of at most 24, 500 s of at most 600 s are over")
