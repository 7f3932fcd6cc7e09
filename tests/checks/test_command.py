from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from slimmer.checkfile import read_checks
from slimmer.checks.command import CommandSpec, command_spec
from slimmer.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_text_is_for_the_shell_and_a_list_is_not() -> None:
    """What is not said is what a release engineer would expect: the original's status, five minutes."""
    assert command_spec({"command": "true && true"}, "x") == CommandSpec("true && true", ("true && true",))
    assert command_spec({"name": "n", "command": ["a", "b c"], "status": 3, "compare": "output"}, "x") == CommandSpec(
        "n", ("a", "b c"), in_shell=False, status=3, compare="output", time_limit=300, expect=None
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "command must be a text for sh -c, or a list of words"),
        ({"command": ""}, "command must be"),
        ({"command": [1]}, "command must be"),
        ({"command": "x", "status": "0"}, "status is a number from 0 to 255, not '0'"),
        ({"command": "x", "status": True}, "status is a number"),
        ({"command": "x", "status": 256}, "status is a number"),
        ({"command": "x", "time_limit": 0}, "time_limit is a whole number of seconds, not 0"),
        ({"command": "x", "time_limit": 1.5}, "time_limit"),
        ({"command": "x", "compare": "stdout"}, "compare is status or output, not 'stdout'"),
        ({"command": "x", "expect": 3}, "name and expect are texts"),
        ({"command": "x", "name": 3}, "name and expect are texts"),
        ({"command": "x", "comand": "y"}, "comand is none of command, compare, expect, name, status, time_limit"),
    ],
)
def test_nonsense_is_refused_where_it_stands(table: dict[str, Any], words: str) -> None:
    """The sentence says in which check what is wrong."""
    with pytest.raises(UsageError, match=r"^slimmer\.toml, check 2: ") as caught:
        command_spec(table, "slimmer.toml, check 2")

    assert words in str(caught.value)


def test_checks_are_read_from_a_file(tmp_path: Path) -> None:
    """Tables [[check]] in their order; what else the file holds is not this reader's."""
    path = tmp_path / "slimmer.toml"
    path.write_text('skip = ["strip"]\n[[check]]\ncommand = "a"\n[[check]]\nname = "b"\ncommand = ["b"]\nstatus = 0\n')

    assert [spec.name for spec in read_checks(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("check = 3", "checks are tables"),
        ("[check]\ncommand = 'a'", "checks are tables"),
        ("[[check]\n", "is not TOML"),
        ("[[check]]\ncommand = 'a'\n[[check]]\ncommand = 'a'", "two checks are named 'a'"),
        ("[[check]]\nname = 'a'", "check 1: command must be"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """One sentence, with the file's name."""
    path = tmp_path / "slimmer.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=r"slimmer\.toml") as caught:
        read_checks(path)

    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """So is one that cannot be read."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_checks(tmp_path / "none.toml")
