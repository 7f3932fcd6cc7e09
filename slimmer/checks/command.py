"""A command that the person named does in the slimmed image what it does in the original, or what they say it must.

It runs as the image's own USER in its WORKDIR, with a read-only root unless the original needs to write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer.checks import FAILED, PASSED, Verdict
from slimmer.commands import program
from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from slimmer.checks import Pair, Subject
    from slimmer.containers import Completed

TIME_LIMIT = 300
_COMPARISONS = ("status", "output")
_KEYS = {"name", "command", "status", "compare", "time_limit", "expect"}
_SHOWN = 200
_NAME = 40


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What a command must do."""

    name: str
    command: tuple[str, ...]
    """The words to run; of what the person wrote as one text, that text, for the image's `sh -c`."""
    in_shell: bool = True
    status: int | None = None
    """The exit status that the slimmed image must give; None for the original's."""
    compare: str = "status"
    """`output` when standard output must be the original's too."""
    time_limit: int = TIME_LIMIT
    expect: str | None = None
    """What the slimmed image's standard output must contain."""


def command_spec(mapping: Mapping[str, Any], where: str) -> CommandSpec:
    """Give what a table of a configuration file says; raise UsageError, with WHERE it stands, for nonsense."""
    if unknown := sorted(mapping.keys() - _KEYS):
        raise UsageError(f"{where}: {unknown[0]} is none of {', '.join(sorted(_KEYS))}")
    command = mapping.get("command")
    is_list = isinstance(command, list) and all(isinstance(word, str) for word in command)
    if not command or not (is_list or isinstance(command, str)):
        raise UsageError(f"{where}: command must be a text for sh -c, or a list of words")
    words = tuple(command) if is_list else (str(command),)
    name, expect = mapping.get("name", " ".join(words)), mapping.get("expect")
    if not isinstance(name, str) or not isinstance(expect, str | None):
        raise UsageError(f"{where}: name and expect are texts")
    status, limit = mapping.get("status"), mapping.get("time_limit", TIME_LIMIT)
    if status is not None and (type(status) is not int or not 0 <= status <= 255):
        raise UsageError(f"{where}: status is a number from 0 to 255, not {status!r}")
    if type(limit) is not int or limit < 1:
        raise UsageError(f"{where}: time_limit is a whole number of seconds, not {limit!r}")
    compare = mapping.get("compare", "status")
    if compare not in _COMPARISONS:
        raise UsageError(f"{where}: compare is {' or '.join(_COMPARISONS)}, not {compare!r}")
    return CommandSpec(name, words, not is_list, status, str(compare), limit, expect)


def command_specs(tables: Iterable[Mapping[str, Any]]) -> tuple[CommandSpec, ...]:
    """Give what tables say, in their order; raise UsageError for nonsense, and for two checks of one name."""
    specs = tuple(command_spec(table, f"check {number}") for number, table in enumerate(tables, 1))
    names = [spec.name for spec in specs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two checks are named {twice!r}")
    return specs


class CommandCheck:
    """One of the commands that the person named; no constant `check`, since there is none without them."""

    summary = "a command of your own"

    def __init__(self, spec: CommandSpec) -> None:
        words = " ".join(spec.name.split())
        self.name = f"command: {words if len(words) <= _NAME else words[:_NAME] + '…'}"
        self._spec = spec

    def examine(self, pair: Pair) -> Verdict:
        """Run the command in both images and compare."""
        spec = self._spec
        words = list(spec.command)
        if spec.in_shell:
            shell = program(pair.original.rootfs, pair.original.config, "sh")
            if shell is None:
                reason = "the image has no sh to run it; write the command as a list of words, in a configuration file"
                return Verdict(FAILED, reason=reason, blames_no_change=True)
            words = [f"/{shell}", "-c", *words]
        elif program(pair.original.rootfs, pair.original.config, words[0]) is None:
            return Verdict(FAILED, reason=f"the image has no {words[0]}", blames_no_change=True)
        original, read_only = self._in_original(pair, words)
        slimmed = self._run(pair, pair.slimmed, words, read_only=read_only)
        shown = _shown(original), _shown(slimmed)
        if (wrong := self._wrong(original, slimmed)) is not None:
            is_new = self._wrong(original, original) is None and original.status is not None
            before = "" if is_new else "; so it is in the original"
            return Verdict(FAILED, *shown, f"{wrong}{before}", blames_no_change=not is_new)
        ended = f"exit status {slimmed.status}" + (", the same output" if spec.compare == "output" else "")
        return Verdict(PASSED, *shown, ended, 1)

    def _in_original(self, pair: Pair, words: list[str]) -> tuple[Completed, bool]:
        """Run it in the original, with a root that can be written when it ends as it should only there."""
        wanted = self._spec.status or 0
        done = self._run(pair, pair.original, words, read_only=True)
        if done.status in {wanted, None}:
            return done, True
        again = self._run(pair, pair.original, words, read_only=False)
        return (done, True) if again.status == done.status else (again, False)

    def _run(self, pair: Pair, subject: Subject, words: list[str], *, read_only: bool) -> Completed:
        limit = self._spec.time_limit
        return pair.containers.run(subject.id, words, limit, as_image=True, read_only=read_only)

    def _wrong(self, original: Completed, slimmed: Completed) -> str | None:
        """Give what is wrong with how it ended in the slimmed image, or None."""
        spec = self._spec
        if slimmed.status is None:
            return f"no end within {spec.time_limit} s"
        if original.status is None and spec.status is None:
            return f"the original gave no end within {spec.time_limit} s: there is nothing to compare"
        wanted = original.status if spec.status is None else spec.status
        if slimmed.status != wanted:
            return f"exit status {slimmed.status} instead of {wanted}: {_last_line(slimmed)}"
        if spec.expect is not None and spec.expect not in slimmed.stdout:
            return f"its output has no {spec.expect!r}"
        if spec.compare == "output" and slimmed.stdout != original.stdout:
            return "its output is another"
        return None


def _shown(done: Completed) -> str:
    ended = "no end" if done.status is None else f"exit status {done.status}"
    return f"{ended}: {done.stdout.strip()[:_SHOWN]}" if done.stdout.strip() else ended


def _last_line(done: Completed) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1][:_SHOWN] if lines else "without a word"
