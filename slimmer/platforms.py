"""Which machine an image is for: `linux/arm64/v8`, as OCI writes it (image-index.md), and which of several fits."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM = re.compile(r"([a-z0-9_-]+)/([a-z0-9_-]+)(?:/([a-z0-9_.-]+))?")
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7l": "arm", "armv6l": "arm"}
_IMPLIED = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
"""The variant that an architecture without one means (containerd's platforms.Normalize)."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture as Go calls it, and a variant, which may be empty."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Give the platform that a person wrote; raise UsageError for what is none."""
        match = _FORM.fullmatch(text.lower())
        if match is None:
            raise UsageError(f"{text!r} is not a platform; it has the form linux/amd64 or linux/arm64/v8")
        os, architecture, variant = match.groups()
        return cls(os, _GO_NAMES.get(architecture, architecture), variant or "")

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Platform:
        """Give the platform that a configuration, or a descriptor's `platform`, describes."""
        os, architecture, variant = (str(described.get(key) or "") for key in ("os", "architecture", "variant"))
        return cls(os or "linux", architecture, variant)

    @classmethod
    def of_this_machine(cls) -> Platform:
        """Give the platform that this machine runs."""
        machine = platform.machine()
        return cls("linux", _GO_NAMES.get(machine, machine))

    def fits(self, wanted: Platform) -> bool:
        """Say whether an image for this platform is one for WANTED: where that names no variant, any will do."""
        mine, its = (each.variant or _IMPLIED.get(each.architecture, "") for each in (self, wanted))
        same_machine = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same_machine and (not wanted.variant or mine == its)

    def require_linux(self, reference: str) -> None:
        """Raise SourceError for an image that no Linux engine runs."""
        if self.os != "linux":
            raise SourceError(f"{reference} is an image for {self.os}; slimmer slims Linux images")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture or "unknown", self.variant) if part)
