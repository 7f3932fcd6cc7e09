"""The checks that a configuration file asks for: its tables `[[check]]`."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from slimmer.checks.command import CommandSpec, command_spec
from slimmer.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read_checks(path: Path) -> tuple[CommandSpec, ...]:
    """Give the checks of a TOML file in order; raise UsageError when it cannot be read or makes no sense."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    tables = found.get("check", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: checks are tables, each below its own [[check]]")
    specs = tuple(command_spec(table, f"{path}, check {number}") for number, table in enumerate(tables, 1))
    names = [spec.name for spec in specs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{path}: two checks are named {twice!r}")
    return specs
