from __future__ import annotations

from typing import Any

import pytest

from slimmer.checks.command import CommandSpec, command_spec, command_specs
from slimmer.errors import UsageError


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


def test_checks_keep_their_order_and_their_names() -> None:
    """A check without a name is called by its command."""
    tables: list[dict[str, Any]] = [{"command": "a"}, {"name": "b", "command": ["b"], "status": 0}]

    assert [spec.name for spec in command_specs(tables)] == ["a", "b"]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([{"command": "a"}, {"command": "a"}], "two checks are named 'a'"),
        ([{"command": "a"}, {"name": "a"}], "check 2: command must be"),
    ],
)
def test_checks_that_make_no_sense_together_are_refused(tables: list[dict[str, Any]], words: str) -> None:
    """Reports tell checks apart by their names."""
    with pytest.raises(UsageError, match=words):
        command_specs(tables)
