"""Where an option's value comes from: the command line, else the environment, else the configuration file.

Each option of a command decorated so has a variable `SLIMMER_` and its name (click's own way), and a key of its name.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slimmer.cli.exits import complain
from slimmer.configuration import CHECK, Kind, find, read
from slimmer.errors import UsageError
from slimmer.gates import Gates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "SLIMMER"
CONTEXT = {"auto_envvar_prefix": PREFIX}
_CHECKS = "slimmer.checks"
_AMOUNTS = {"max_size", "min_saving"}


class Lines(click.types.StringParamType):
    """Text that an environment variable may hold several of, one a line: it may have spaces."""

    envvar_list_splitter = "\n"


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config, which is looked at before every other option."""
    return click.option(
        "--config", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), is_eager=True, expose_value=False,
        callback=_configure, help="Read options from FILE.  [default: slimmer.toml or pyproject.toml here]",
    )(command)  # fmt: skip


def checks(context: click.Context) -> tuple[Mapping[str, Any], ...]:
    """Give the `[[check]]` tables of the file that was read."""
    found: tuple[Mapping[str, Any], ...] = context.meta.get(_CHECKS, ())
    return found


def _configure(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if context.resilient_parsing:
        return  # a shell completes a word; a mistake in the file is for the run to tell
    path = value if value is not None else find(Path())
    options = {
        long_name(option): option
        for option in context.command.params
        if isinstance(option, click.Option) and option is not parameter
    }
    del options[CHECK]  # which a file has as tables
    _warn_of_typos([*options, CHECK, "config"])
    if path is None:
        return

    def validate(name: str, value: object) -> None:
        try:
            options[name].type_cast_value(context, value)
            if name in _AMOUNTS:
                Gates(**{name: str(value)})
        except click.BadParameter as error:
            raise ValueError(f"{name}: {error.message}") from error
        except UsageError as error:
            raise ValueError(str(error)) from error

    found = read(path, {name: _kind(option) for name, option in options.items()}, validate)
    context.default_map = {str(options[name].name): value for name, value in found.options.items()}
    context.meta[_CHECKS] = found.checks


def long_name(option: click.Option) -> str:
    """Give what an option is called in a file: its long form with underscores."""
    longest = max(option.opts, key=len)
    return longest.removeprefix("--").replace("-", "_")


def _kind(option: click.Option) -> Kind:
    if option.is_flag:
        return Kind.FLAG
    if option.multiple:
        return Kind.LIST
    return Kind.AMOUNT if option.name in _AMOUNTS else Kind.TEXT


def _warn_of_typos(names: list[str]) -> None:
    """Say so where a variable looks like one of an option and is none: it would be passed over in silence."""
    variables = [f"{PREFIX}_{name.upper()}" for name in names]
    for variable in os.environ:
        if variable.startswith(f"{PREFIX}_") and variable not in variables:
            near = difflib.get_close_matches(variable, variables, 1, 0.85)
            if near:
                complain(f"the environment has {variable}, which means nothing; did you mean {near[0]}?")
