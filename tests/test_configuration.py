"""slimmer.toml, [tool.slimmer] and SLIMMER_* variables, as far as they need no engine: through the command line itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from slimmer.cli.commands import run as run_module
from slimmer.cli.configured import Lines, checks, long_name

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

OPTIONS = {
    long_name(option): option
    for option in run_module.command.params
    if isinstance(option, click.Option) and long_name(option) not in {"config", "check"}  # checks are tables
}


def parsed(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, env: dict[str, str] | None = None
) -> click.Context:
    """Give the command line's own reading of ARGUMENTS in a directory."""
    monkeypatch.chdir(directory)
    for name, value in (env or {}).items():
        monkeypatch.setenv(name, value)
    context = run_module.command.make_context("run", ["app:1", *arguments])
    assert isinstance(context, click.Context)
    return context


def value_of(option: click.Option) -> Any:
    """Give a value that is not the option's default, as TOML has it."""
    if option.is_flag:
        return True
    if isinstance(option.type, click.Choice):
        return next(choice for choice in option.type.choices if choice != option.default)
    text = {"max_size": "7GB", "min_saving": "5%", "platform": "linux/arm64"}.get(long_name(option), "/some/place")
    return [text, "/a b" if isinstance(option.type, Lines) else "/other"] if option.multiple else text


def toml(value: Any) -> str:
    """Give a value as TOML writes it."""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else str(value).replace("'", '"')
        if isinstance(value, list)
        else f'"{value}"'
    )


def seen(context: click.Context, option: click.Option) -> Any:
    """Give what the command gets."""
    value = context.params[str(option.name)]
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return str(value) if isinstance(value, Path) else value


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("spelling", ["under_scores", "hyph-ens"])
def test_every_option_can_be_in_the_file(
    name: str, spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its own name, with hyphens as on the command line or with underscores."""
    option, value = OPTIONS[name], value_of(OPTIONS[name])
    key = name.replace("_", "-") if spelling == "hyph-ens" else name
    (tmp_path / "slimmer.toml").write_text(f"{key} = {toml(value)}\n")

    assert seen(parsed(tmp_path, monkeypatch), option) == value


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_variable(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLIMMER_ and its name; several rules are divided by spaces, files by colons, globs by line ends."""
    option, value = OPTIONS[name], value_of(OPTIONS[name])
    divider = "\n" if isinstance(option.type, Lines) else ":" if isinstance(option.type, click.Path) else " "
    text = divider.join(value) if isinstance(value, list) else str(value)

    assert seen(parsed(tmp_path, monkeypatch, env={f"SLIMMER_{name.upper()}": text}), option) == value


def test_the_command_line_comes_first_then_the_environment_then_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place is passed over where one before it says something, and only there."""
    (tmp_path / "slimmer.toml").write_text('tag = "file:1"\nmax_size = "1GB"\nskip = ["strip"]\nno_verify = true\n')
    env = {"SLIMMER_MAX_SIZE": "2GB", "SLIMMER_TAG": "environment:1"}

    params = parsed(tmp_path, monkeypatch, "--tag", "line:1", env=env).params

    assert params["tag"] == "line:1"
    assert params["max_size"] == "2GB"
    assert params["skip"] == ("strip",)
    assert params["no_verify"] is True
    assert params["dry_run"] is False


def test_pyproject_is_read_where_there_is_no_file_of_slimmers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[tool.slimmer] holds where slimmer.toml is not there; --config names any other file."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\n[tool.slimmer]\ntag = "project:1"\n')
    (tmp_path / "ci.toml").write_text('tag = "ci:1"\n')

    assert parsed(tmp_path, monkeypatch).params["tag"] == "project:1"
    assert parsed(tmp_path, monkeypatch, "--config", "ci.toml").params["tag"] == "ci:1"
    (tmp_path / "slimmer.toml").write_text('tag = "own:1"\n')
    assert parsed(tmp_path, monkeypatch).params["tag"] == "own:1"


def test_tables_of_checks_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[[check]] is no option; its tables come as they are written, in order."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.slimmer]\nskip = ["strip"]\n[[tool.slimmer.check]]\nname = "one"\ncommand = ["app", "--version"]\nstatus = 0\n'
        '[[tool.slimmer.check]]\ncommand = "app x"\ntime_limit = 60\n'
    )

    assert checks(parsed(tmp_path, monkeypatch)) == (
        {"name": "one", "command": ["app", "--version"], "status": 0},
        {"command": "app x", "time_limit": 60},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# limits\n\nmax_sise = '6GB'\n", ["line 3", "max_sise", "did you mean max_size?"]),
        ("skip = ['strip']\nno-verfy = true\n", ["line 2", "did you mean no-verify?"]),
        ("banana = 1\n", ["line 1", "banana", "max-size"]),
        ("skip = 'strip'\n", ["line 1", "a list of strings"]),
        ("dry_run = 'yes'\n", ["line 1", "true or false"]),
        ("tag = 3\n", ["line 1", "takes a string"]),
        ("max_size = true\n", ["line 1", "a string or a number"]),
        ("max_size = '6,2GB'\n", ["line 1", "6.2GB"]),
        ("a = \n", ["not TOML", "line 1"]),
        ("strip_with = 'llvm'\n", ["line 1", "binutils"]),
        ("check = 'python'\n", ["line 1", "[[check]]"]),
        ("[[check]]\ncommand = 'x'\n\n[[check]]\nname = 'b'\ncomand = 'y'\n", ["line 6", "did you mean command?"]),
        ("[[check]]\ncommand = 'x'\ntime_limit = 'long'\n", ["line 3", "a whole number"]),
        ("config = 'other.toml'\n", ["line 1", "no option config"]),
        ("[run]\nskip = []\n", ["line 1", "no option run"]),
    ],
)
def test_a_mistake_is_named_with_its_line(slimmer: Slimmer, tmp_path: Path, text: str, words: list[str]) -> None:
    """Exit 2 with one sentence: the file, the line, what was probably meant; before the engine is asked."""
    (tmp_path / "slimmer.toml").write_text(text)

    done = slimmer("run", "slimmer-test/no-such:1", cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("slimmer: slimmer.toml")
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_file_that_is_named_and_not_there_is_exit_2(slimmer: Slimmer, tmp_path: Path) -> None:
    """It is not passed over."""
    done = slimmer("run", "app:1", "--config", "no.toml", cwd=tmp_path)

    assert done.returncode == 2
    assert "no.toml cannot be read" in done.stderr


def test_a_broken_pyproject_is_another_programs_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be read has no [tool.slimmer] as far as anybody knows."""
    (tmp_path / "pyproject.toml").write_text("not = = toml")

    assert parsed(tmp_path, monkeypatch).params["tag"] is None


def test_a_variable_that_is_nearly_an_option_is_told(slimmer: Slimmer, tmp_path: Path) -> None:
    """A gate that nobody reads because of a typo would be open; variables of other programs are let be."""
    env = {"SLIMMER_MAXSIZE": "1GB", "SLIMMER_FIXTURE_CACHE": "/x", "SLIMMER_DRY_RUN": "maybe"}
    done = slimmer("run", "app:1", cwd=tmp_path, env=env)

    assert "SLIMMER_MAXSIZE, which means nothing; did you mean SLIMMER_MAX_SIZE?" in done.stderr
    assert "FIXTURE_CACHE" not in done.stderr
    assert done.returncode == 2
    assert "maybe" in done.stderr
