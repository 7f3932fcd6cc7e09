"""Triton compiles the same kernel in both images, which needs no GPU, and launches it where there is one."""

from slimmer.checks.probe import ProbeCheck

check = ProbeCheck("triton_kernel", "Triton compiles a kernel to the same code", "triton", "triton_probe.py")
