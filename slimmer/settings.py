"""What the person chose that rules need to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StripWith(StrEnum):
    """Who writes stripped objects: slimmer's own layout, or the `strip` of this machine with layout where it fails."""

    LAYOUT = "layout"
    BINUTILS = "binutils"


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices that hold for a whole run."""

    strip_with: StripWith = StripWith.LAYOUT
    include_proprietary: bool = False
    """Whether libraries are changed whose licence forbids it."""
