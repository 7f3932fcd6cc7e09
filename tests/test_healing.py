"""The search for what to put back, with images that are only sets of changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from slimmer.checks import FAILED, PASSED, Examined, Verdict
from slimmer.healing import failures, healed
from slimmer.plan import Change, Plan
from slimmer.rootfs import Rootfs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PATHS = [f"usr/lib/lib{number}.so" for number in range(16)]


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
    made: int = 0
    alive: list[Made] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def make(self, restored: Mapping[str, str]) -> Made:
        """Make an image."""
        self.made += 1
        changes = tuple(Change(path, "strip", "replace", 2, 1, 1, "") for path in PATHS if path not in restored)
        made = Made(frozenset(restored), Plan(Rootfs({}), Rootfs({}), (), changes, ()))
        self.alive.append(made)
        return made

    def examine(self, made: Made, only: Collection[str] | None = None) -> tuple[Examined, ...]:
        """Make one check that fails and one that does not."""
        fails = not self.culprits <= made.restored
        found = Examined("loads", Verdict(FAILED if fails else PASSED, reason=self.says if fails else ""), 0.0)
        other = Examined("config", Verdict(PASSED), 0.0)
        return tuple(one for one in (found, other) if only is None or one.name in only)

    def drop(self, made: Made) -> None:
        """Forget an image."""
        self.alive.remove(made)

    def tell(self, sentence: str) -> None:
        """Hear what is done."""
        self.said.append(sentence)


@given(st.sets(st.sampled_from(PATHS), max_size=3))
def test_exactly_the_culprits_are_put_back(culprits: set[str]) -> None:
    """Whichever they are, nothing else is; and only the image that is verified stays."""
    lab = Sets(frozenset(culprits))

    outcome = healed(lab, lab.make({}))

    assert outcome.restored.keys() == culprits
    assert failures(outcome.examined) == []
    assert len(outcome.examined) == 2
    assert lab.alive == [outcome.made]


def test_a_culprit_that_is_named_takes_two_images() -> None:
    """What a check says names a file; that is tried first, and verified."""
    lab = Sets(frozenset({PATHS[7]}), says="lib7.so: ELF load command not page-aligned")

    outcome = healed(lab, lab.make({}))

    assert outcome.restored == {PATHS[7]: "check loads failed without it: lib7.so: ELF load command not page-aligned"}
    assert lab.made == 3


def test_what_no_change_explains_is_left_as_it_is() -> None:
    """All changes are put back once; as that does not help, nothing is."""
    lab = Sets(frozenset({"somewhere/else"}))

    outcome = healed(lab, lab.make({}))

    assert outcome.restored == {}
    assert len(failures(outcome.examined)) == 1
    assert lab.made == 2
    assert lab.alive == [outcome.made]


def test_a_search_ends_when_there_were_too_many_tries() -> None:
    """With every other change to blame, what is known to help is put back, though less would do."""
    culprits = frozenset(PATHS[::2])
    lab = Sets(culprits)

    outcome = healed(lab, lab.make({}))

    assert culprits <= outcome.restored.keys()
    assert failures(outcome.examined) == []
    assert lab.made <= 26
