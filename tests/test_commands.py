from __future__ import annotations

import json
from typing import Any

from slimmer.commands import commands, path_directories, program, programs
from slimmer.image import Config

from handmade import file, flattened, symlink


def config(**execution: Any) -> Config:
    """Give the configuration of an image that runs so."""
    return Config(json.dumps({"config": execution, "rootfs": {"diff_ids": []}}).encode())


def test_every_command_is_given_with_its_key() -> None:
    """A health check has its words in Test; what is written as a string is one word."""
    found = commands(config(Entrypoint=["a", "b"], Cmd="c d", Healthcheck={"Test": ["CMD", "e"]}))

    assert list(found) == [("Entrypoint", ["a", "b"]), ("Cmd", ["c d"]), ("Healthcheck", ["CMD", "e"])]
    assert list(commands(config(Cmd=None, Healthcheck={}))) == []


def test_a_word_is_looked_for_as_the_engine_does() -> None:
    """Absolute, below the working directory, in PATH; through symlinks, to a file that is there."""
    rootfs = flattened([file("app/run.sh"), file("usr/bin/tool-1"), symlink("usr/bin/tool", "tool-1")])
    image = config(WorkingDir="/app", Env=["PATH=/nowhere:/usr/bin"])

    words = ["/usr/bin/tool", "./run.sh", "run.sh", "tool", "missing"]
    assert [program(rootfs, image, word) for word in words] == [
        "usr/bin/tool-1",
        "app/run.sh",
        "app/run.sh",
        "usr/bin/tool-1",
        None,
    ]


def test_without_a_path_the_engines_own_holds() -> None:
    """An image that sets none gets the engine's."""
    assert "/usr/bin" in path_directories(config())
    assert path_directories(config(Env=["PATH=/x:/y"])) == ["/x", "/y"]


def test_a_shells_line_is_taken_word_by_word() -> None:
    """What a shell would run is found behind its quotes and semicolons."""
    rootfs = flattened([file("bin/sh"), file("bin/one"), file("bin/two")])

    found = programs(rootfs, config(Cmd=["sh", "-c", "cd /x;one && 'two' $X"], Env=["PATH=/bin"]))

    assert [path for _, _, path in found] == ["bin/sh", "bin/one", "bin/two"]
