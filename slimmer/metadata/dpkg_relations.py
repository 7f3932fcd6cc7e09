"""Relations between Debian packages, as dpkg reads them: Depends, Provides, versions (deb-version(7), Debian Policy 7).

A relation is a list of clauses, each of which is satisfied by any one of its alternatives: `a (>= 2) | b, c:any`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ALTERNATIVE = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9+.-]*)(?::([A-Za-z0-9-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?\s*"
)
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">>": operator.gt,
    "<": operator.le, ">": operator.ge,  # obsolete, and not what they look like
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alternative:
    """One alternative of a clause: a name, an architecture and a comparison with a version, where they are given."""

    name: str
    architecture: str = ""
    comparison: str = ""
    version: str = ""

    def accepts(self, version: str | None) -> bool:
        """Say whether a package of this version will do; None is the version of a name provided without one."""
        if not self.comparison:
            return True
        return version is not None and _COMPARISONS[self.comparison](compare(version, self.version), 0)


Clause = tuple[Alternative, ...]


def clauses(text: str) -> tuple[Clause, ...]:
    """Give the clauses of a relation field. What is no alternative as dpkg writes it is left out."""
    found = (tuple(_alternatives(clause)) for clause in text.split(","))
    return tuple(clause for clause in found if clause)


def _alternatives(clause: str) -> list[Alternative]:
    matches = (_ALTERNATIVE.fullmatch(part) for part in clause.split("|"))
    return [Alternative(*(group or "" for group in match.groups())) for match in matches if match is not None]


def compare(first: str, second: str) -> int:
    """Give whether the first version is older (-1), the same (0) or newer (1): epoch, upstream version, revision."""
    for mine, its in zip(_parts(first), _parts(second), strict=True):
        # Where one has no more, it is as if it went on without text and with the number 0.
        for pair, other in zip_longest(_pairs(mine), _pairs(its), fillvalue=((0,), 0)):
            if pair != other:
                return 1 if pair > other else -1
    return 0


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return epoch, upstream, revision


def _pairs(part: str) -> list[tuple[tuple[int, ...], int]]:
    """Give text and numbers in turn; the end of a text sorts before everything but a tilde, letters before the rest."""
    found = re.findall(r"([^0-9]*)([0-9]*)", part)
    return [((*(_order(char) for char in text), 0), int(number or "0")) for text, number in found]


def _order(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256
