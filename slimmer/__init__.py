"""slimmer makes a built container image smaller and proves that it still works before anything is tagged.

From Python: `slimmer.run("app:1.4", dry_run=True).saved`. What it needs is imported when it is first asked for:
`import slimmer` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimmer.api import (
        CheckFailedError,
        GateFailedError,
        GpuInspection,
        Inspection,
        Report,
        inspect,
        inspect_gpu,
        run,
        write_report,
    )
    from slimmer.errors import SlimmerError

__version__ = "0.1.0"

__all__ = [
    "CheckFailedError", "GateFailedError", "GpuInspection", "Inspection", "Report", "SlimmerError", "__version__",
    "inspect", "inspect_gpu", "run", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import what is asked for (PEP 562)."""
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module("slimmer.errors" if name == "SlimmerError" else "slimmer.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
