"""Which command is called, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from slimmer.cli import commands


def test_every_module_of_the_package_is_a_command() -> None:
    """They are listed by their names alone, so each must be what it says."""
    context = click.Context(commands)

    found = [commands.get_command(context, name) for name in commands.list_commands(context)]

    assert [command.name for command in found if command is not None] == commands.list_commands(context)
    assert "run" in commands.list_commands(context)


@pytest.mark.parametrize("name", ["nope", "__init__", "exits", "../run"])
def test_what_is_no_command_is_told(name: str) -> None:
    """Nothing is imported that a person happens to name."""
    result = CliRunner().invoke(commands, [name])

    assert result.exit_code == 2
    assert f"No such command '{name}'" in result.output


def test_little_is_imported_for_a_short_answer() -> None:
    """Not the engine's SDK and all rules, to say a version or that there is no such command."""
    program = "import sys; from slimmer import cli; print(*sorted(sys.modules))"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "slimmer.cli" in said
    assert not {"docker", "lief", "requests", "slimmer.elf", "slimmer.rules", "slimmer.api"} & set(said)
