"""Rows of numbers out of an object's tables, read at once and not one by one."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimmer.elf.object import Format


def numbers(form: Format, code: str, data: bytes) -> array[int]:
    """Give the numbers that DATA, of an object of FORM, is a row of; CODE is what `array` calls their size."""
    found = array(code, data)
    if form.little != (sys.byteorder == "little"):
        found.byteswap()
    return found
