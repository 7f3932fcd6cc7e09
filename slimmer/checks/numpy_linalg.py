"""numpy, and scipy where it is installed, compute the same results in both images.

The copied shell recipe breaks exactly these: their BLAS is the library that GNU strip 2.40 makes unloadable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks.probe import compare

if TYPE_CHECKING:
    from slimmer.checks import Pair, Verdict


class NumpyLinalg:
    """The check."""

    name = "numpy_linalg"
    summary = "numpy and scipy compute the same numbers"

    def examine(self, pair: Pair) -> Verdict:
        """Run the numpy probe in both images."""
        return compare(pair, "numpy", "numpy_probe.py")


check = NumpyLinalg()
