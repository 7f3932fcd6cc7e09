"""torch multiplies, solves and decomposes matrices to the same results in both images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks.probe import compare

if TYPE_CHECKING:
    from slimmer.checks import Pair, Verdict


class TorchMatmul:
    """The check."""

    name = "torch_matmul"
    summary = "torch computes the same numbers"

    def examine(self, pair: Pair) -> Verdict:
        """Run the torch probe in both images."""
        return compare(pair, "torch", "torch_probe.py")


check = TorchMatmul()
