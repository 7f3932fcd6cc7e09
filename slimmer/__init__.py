"""slimmer makes a built container image smaller and proves that it still works before anything is tagged."""

__version__ = "0.1.0"
