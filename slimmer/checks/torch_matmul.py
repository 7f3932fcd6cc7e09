"""torch multiplies, solves and decomposes matrices to the same results in both images."""

from slimmer.checks.probe import ProbeCheck

check = ProbeCheck("torch_matmul", "torch computes the same numbers", "torch", "torch_probe.py")
