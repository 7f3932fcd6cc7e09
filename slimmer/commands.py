"""The commands that an image's configuration names, and the files they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.image import Config
    from slimmer.rootfs import Rootfs

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def commands(config: Config) -> Iterator[tuple[str, list[str]]]:
    """Give each command with the key that has it: Entrypoint, Cmd and Healthcheck."""
    for key in ("Entrypoint", "Cmd", "Healthcheck"):
        value = config.execution.get(key)
        words = value.get("Test") if isinstance(value, dict) else value
        if words:
            yield key, [words] if isinstance(words, str) else [str(word) for word in words]


def path_directories(config: Config) -> list[str]:
    """Give the directories in which a command without a slash is looked for, in order, as PATH has them."""
    return (config.env.get("PATH") or _DEFAULT_PATH).split(":")


def program(rootfs: Rootfs, config: Config, word: str) -> str | None:
    """Give the file that a word of a command may mean: itself, below the working directory, or in PATH."""
    directories = [""] if word.startswith("/") else [str(config.execution.get("WorkingDir") or "/")]
    if "/" not in word:
        directories += path_directories(config)
    found = (rootfs.resolve(f"{directory}/{word}") for directory in directories)
    return next((path for path in found if path), None)


def programs(rootfs: Rootfs, config: Config) -> Iterator[tuple[str, str, str]]:
    """Give key, word and file of every word of a command that may mean a file; a shell's line is taken word by word."""
    for key, command in commands(config):
        for word in " ".join(command).replace(";", " ").split():
            path = program(rootfs, config, word.strip("'\"()&|"))
            inode = rootfs.get(path) if path is not None else None
            if path is not None and inode is not None and inode.content is not None:
                yield key, word, path
