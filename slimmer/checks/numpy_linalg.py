"""numpy, and scipy where it is installed, compute the same results in both images.

The copied shell recipe breaks exactly these: their BLAS is the library that GNU strip 2.40 makes unloadable.
"""

from slimmer.checks.probe import ProbeCheck

check = ProbeCheck("numpy_linalg", "numpy and scipy compute the same numbers", "numpy", "numpy_probe.py")
