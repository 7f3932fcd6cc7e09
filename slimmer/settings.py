"""What the person chose that rules need to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StripWith(StrEnum):
    """Who writes stripped objects: slimmer's own layout, or the `strip` of this machine with layout where it fails."""

    LAYOUT = "layout"
    BINUTILS = "binutils"


class GpuPtx(StrEnum):
    """Whether the newest PTX of each container of GPU code stays, of which drivers compile code for newer GPUs."""

    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices that hold for a whole run."""

    strip_with: StripWith = StripWith.LAYOUT
    include_proprietary: bool = False
    """Whether libraries are changed whose licence forbids it."""
    gpu_arch: tuple[str, ...] = ()
    """The GPUs to keep code for, as they were named; none for all."""
    gpu_ptx: GpuPtx = GpuPtx.KEEP
    gpu_recompress: bool = False
    """Whether GPU code that is packed with LZ4 is packed with zstd instead."""

    @property
    def changes_gpu_code(self) -> bool:
        """Whether anything of GPU code is to change."""
        return bool(self.gpu_arch) or self.gpu_recompress
