"""`python -m slimmer` is `slimmer`."""

from slimmer.cli import main

main()
