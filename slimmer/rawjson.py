"""Change single keys of a JSON object and leave every other byte as it was.

An image's configuration is identified by the digest of its bytes, and engines keep keys that no specification names.
Decoding and encoding it anew would rewrite escapes, number forms and repeated keys; cutting out a value's own bytes
rewrites nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_WHITESPACE = " \t\n\r"
# Numbers are passed over: Python makes no integer of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_int=len)


@dataclass(frozen=True, slots=True)
class Member:
    """A key of an object and where its value lies in the text."""

    key: str
    start: int
    stop: int


def members(text: str, start: int = 0) -> list[Member]:
    """Give the members of the object that begins at START; raise ValueError when there is none."""
    position = _skip(text, start)
    if text[position : position + 1] != "{":
        raise ValueError(f"no object at character {position}")
    position = _skip(text, position + 1)
    found: list[Member] = []
    while text[position : position + 1] != "}":
        if found:
            if text[position : position + 1] != ",":
                raise ValueError(f"no comma at character {position}")
            position = _skip(text, position + 1)
        key, position = _DECODER.raw_decode(text, position)
        if not isinstance(key, str):
            raise ValueError(f"a key that is no string before character {position}")
        position = _skip(text, position)
        if text[position : position + 1] != ":":
            raise ValueError(f"no colon at character {position}")
        value_start = _skip(text, position + 1)
        _, value_stop = _DECODER.raw_decode(text, value_start)
        found.append(Member(key, value_start, value_stop))
        position = _skip(text, value_stop)
    return found


def elements(text: str) -> list[str]:
    """Give the text of each element of the array that TEXT is; raise ValueError when it is none."""
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ValueError(f"no array at character {position}")
    position = _skip(text, position + 1)
    found: list[str] = []
    while text[position : position + 1] != "]":
        if found:
            if text[position : position + 1] != ",":
                raise ValueError(f"no comma at character {position}")
            position = _skip(text, position + 1)
        _, stop = _DECODER.raw_decode(text, position)
        found.append(text[position:stop])
        position = _skip(text, stop)
    return found


def value_of(text: str, key: str) -> str | None:
    """Give the text of a key's value in the object that TEXT is; None when there is no such key."""
    # A repeated key counts the last time, for Go as for Python.
    member = next((member for member in reversed(members(text)) if member.key == key), None)
    return text[member.start : member.stop] if member is not None else None


def replace(text: str, path: tuple[str, ...], value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Give TEXT with the value at PATH replaced.

    A key that is missing is added as the last of its object; a null on the way becomes an object.
    """
    return splice(text, path, encode(value))


def splice(text: str, path: tuple[str, ...], value: str) -> str:
    """Give TEXT with the value at PATH replaced by VALUE, which is JSON; see `replace`."""
    key, *rest = path
    found = members(text)
    # A repeated key counts the last time, for Go as for Python.
    member = next((member for member in reversed(found) if member.key == key), None)
    old = text[member.start : member.stop] if member is not None else "null"
    new = splice("{}" if old == "null" else old, tuple(rest), value) if rest else value
    if member is not None:
        return text[: member.start] + new + text[member.stop :]
    end = text.rindex("}")
    return f"{text[:end]}{',' if found else ''}{encode(key)}:{new}{text[end:]}"


def encode(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Give a value as JSON, without spaces and escaped only where it must be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position
