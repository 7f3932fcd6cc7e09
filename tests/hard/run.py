"""Hard use, by hand: each part is a module of this directory with a `main`, found by its name.

    python tests/hard/run.py PART [OPTION ...]

README.md says which parts there are and what each last came to; `PART --help` says what it can be told.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the part that the command line names; exit with 0 when it reached all that it promises, else with 1."""
    parts = sorted(path.stem for path in HERE.glob("*.py") if path != Path(__file__).resolve())
    if len(sys.argv) < 2 or sys.argv[1] not in parts:
        sys.exit(f"{(__doc__ or '').rstrip()}\n\nThere are: {', '.join(parts)}.")
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]
    part = importlib.import_module(f"tests.hard.{sys.argv[1]}")
    reached = cast("Callable[[Sequence[str]], bool]", part.main)
    sys.exit(0 if reached(sys.argv[2:]) else 1)


if __name__ == "__main__":
    main()
