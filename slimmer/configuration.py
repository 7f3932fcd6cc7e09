"""The configuration file: slimmer.toml, or [tool.slimmer] in pyproject.toml. Knows no command line, only names.

Every mistake is a UsageError that says the file, the line and what was probably meant.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "slimmer.toml"
_PYPROJECT = "pyproject.toml"
_TABLE = ("tool", "slimmer")
CHECK = "check"
_CHECK_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "command": (str, list),
    "status": int,
    "compare": str,
    "time_limit": int,
    "expect": str,
}
_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')\s*[.=]""")


class Kind(Enum):
    """What an option takes."""

    FLAG = "true or false"
    TEXT = "a string"
    AMOUNT = "a string or a number"
    LIST = "a list of strings"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says: options by their names, with underscores, and the `[[check]]` tables as they are written."""

    options: dict[str, Any]
    checks: tuple[Mapping[str, Any], ...] = ()


def find(directory: Path) -> Path | None:
    """Give the file that holds in a directory: slimmer.toml, else a pyproject.toml with [tool.slimmer]."""
    own, project = directory / FILE, directory / _PYPROJECT
    if own.is_file():
        return own
    return project if project.is_file() and _has_table(project) else None


def _has_table(project: Path) -> bool:
    try:
        tool = tomllib.loads(project.read_text("utf-8")).get("tool")
    except (OSError, ValueError):
        return False  # another program's file, and its business
    return isinstance(tool, dict) and _TABLE[1] in tool


def read(path: Path, known: Mapping[str, Kind], validate: Callable[[str, Any], None]) -> Configuration:
    """Give what a file says about KNOWN options; raise UsageError for all that cannot be.

    VALIDATE is given the name and the value of each option that has the right kind, and raises ValueError.
    """
    try:
        text = path.read_text("utf-8")
        found = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8, which TOML is written in") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    prefix: tuple[str, ...] = ()
    if path.name == _PYPROJECT:
        prefix = _TABLE
        for part in prefix:
            found = found.get(part, {})
            if not isinstance(found, dict):
                raise UsageError(f"{path}: [{'.'.join(prefix)}] is no table")
    reader = _Reader(path, text, prefix)
    options = {_name(key): reader.value(key, value, known, validate) for key, value in found.items() if key != CHECK}
    tables = reader.tables(found.get(CHECK, []))
    return Configuration(options, tables)


def _name(key: str) -> str:
    return key.replace("-", "_")


class _Reader:
    def __init__(self, path: Path, text: str, prefix: tuple[str, ...]) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._prefix = prefix

    def value(
        self, key: str, value: Any, known: Mapping[str, Kind], validate: Callable[[str, Any], None]  # noqa: ANN401
    ) -> object:  # fmt: skip
        """Give the value of an option as the command line would have it."""
        kind = known.get(_name(key))
        if kind is None:
            written = [name if "_" in key else name.replace("_", "-") for name in (*known, CHECK)]
            raise self._wrong(key, f"there is no option {key}{_meant(key, written)}")
        if not _fits(kind, value):
            shown = "true or false" if isinstance(value, bool) else f"a {type(value).__name__}"
            raise self._wrong(key, f"{key} takes {kind.value}, not {shown}")
        text = str(value) if kind is Kind.AMOUNT else value
        try:
            validate(_name(key), text)
        except ValueError as error:
            raise self._wrong(key, str(error)) from error
        return text

    def tables(self, value: object) -> tuple[Mapping[str, Any], ...]:
        """Give the `[[check]]` tables; what is in them is looked at by who makes checks of them."""
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise self._wrong(CHECK, f"{CHECK} is written as tables: [[{'.'.join((*self._prefix, CHECK))}]]")
        for number, table in enumerate(value):
            for key, one in table.items():
                kinds = _CHECK_KEYS.get(key)
                if kinds is None:
                    raise self._wrong(key, f"a check has no key {key}{_meant(key, [*_CHECK_KEYS])}", number)
                if isinstance(one, bool) or not isinstance(one, kinds):
                    raise self._wrong(key, f"{key} of a check is {_described(kinds)}", number)
        return tuple(value)

    def _wrong(self, key: str, sentence: str, check: int | None = None) -> UsageError:
        line = self._line(key, check)
        return UsageError(f"{self._path}{f', line {line}' if line else ''}: {sentence}")

    def _line(self, key: str, check: int | None) -> int | None:
        """Give the line that a key stands on, counted from 1: tomllib does not say. None for forms too unusual."""
        table: tuple[str, ...] = ()
        tables = -1
        wanted = self._prefix if check is None else (*self._prefix, CHECK)
        for number, line in enumerate(self._lines, 1):
            if (header := _HEADER.fullmatch(line)) is not None:
                table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
                tables += table == (*self._prefix, CHECK)
                if table == (*self._prefix, key):
                    return number
            elif table == wanted and check in {None, tables} and _key(line) == key:
                return number
        return None


def _key(line: str) -> str | None:
    found = _KEY.match(line)
    return found[1].strip("\"'") if found is not None else None


def _fits(kind: Kind, value: object) -> bool:
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    if kind is Kind.LIST:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, str) or (kind is Kind.AMOUNT and isinstance(value, int) and not isinstance(value, bool))


def _described(kinds: type | tuple[type, ...]) -> str:
    names = {str: "a string", int: "a whole number", list: "a list of words"}
    return " or ".join(names[kind] for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))


def _meant(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(known))}"
