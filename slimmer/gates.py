"""What a result must come to before anything is written: `--max-size` and `--min-saving`. Knows numbers only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from slimmer.errors import UsageError

_UNITS = {"b": 1}
_UNITS |= {f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)}
_UNITS |= {f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) *([a-z]*|%)", re.IGNORECASE | re.ASCII)
_FORMS = "a number of bytes, or one with a unit: 750MB, 6.2GB (decimal, as engines print them), 6GiB (binary)"


@dataclass(frozen=True, slots=True)
class Passage:
    """What a gate said: its option, the limit as the person wrote it, both numbers in bytes, and whether it let pass.

    For `max-size` `actual` is the size of the result, for `min-saving` what is saved of the source's size.
    """

    name: str
    wish: str
    limit: int
    actual: int
    passed: bool

    @property
    def sentence(self) -> str:
        """Why it did not let pass."""
        if self.name == "max-size":
            return f"the result has {self.actual:,} bytes, and --max-size {self.wish} allows {self.limit:,}"
        return f"{self.actual:,} bytes are saved, and --min-saving {self.wish} asks for {self.limit:,}"


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits of a run, as a person writes them; None where there is none. Sizes are bytes of content.

    Raises UsageError for what is no amount.
    """

    max_size: str | None = None
    min_saving: str | None = None

    def __post_init__(self) -> None:
        if self.max_size is not None:
            size(self.max_size, "--max-size")
        if self.min_saving is not None:
            share_or_size(self.min_saving, "--min-saving")

    def passages(self, before: int, after: int) -> tuple[Passage, ...]:
        """Give what each gate says of a source of BEFORE bytes, as its engine counts them, that becomes AFTER bytes."""
        found = []
        if self.max_size is not None:
            limit = size(self.max_size, "--max-size")
            found.append(Passage("max-size", self.max_size, limit, after, after <= limit))
        if self.min_saving is not None:
            wish = share_or_size(self.min_saving, "--min-saving")
            limit = -int(-wish * before // 1) if isinstance(wish, Fraction) else wish  # rounded up to whole bytes
            found.append(Passage("min-saving", self.min_saving, limit, before - after, before - after >= limit))
        return tuple(found)


def size(text: str, option: str) -> int:
    """Give the bytes written as `6.2GB`, rounded down; raise UsageError, naming OPTION, for what is none."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower() or "b") if found is not None else None
    if found is None or unit is None:
        raise UsageError(f"{option} {text} is no size; write {_FORMS}")
    return int(Fraction(found[1]) * unit)


def share_or_size(text: str, option: str) -> Fraction | int:
    """Give a share of `5%` as a fraction, a size as bytes; raise UsageError, naming OPTION, for anything else."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2] != "%":
        try:
            return size(text, option)
        except UsageError as error:
            raise UsageError(f"{option} {text} is neither a share like 5% nor a size; a size is {_FORMS}") from error
    share = Fraction(found[1]) / 100
    if share > 1:
        raise UsageError(f"{option} {text} is more than all of the image; write a share from 0% to 100%")
    return share
