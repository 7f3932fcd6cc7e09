"""torch says the same of itself in both images: its version, the CUDA it was built with, the devices that it sees."""

from slimmer.checks.probe import ProbeCheck

check = ProbeCheck("runtime", "torch's version, CUDA build and devices", "torch", "runtime_probe.py")
