"""What the loader says of libraries, each in a process of its own; run as a program, it is the parent of those."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from _ctypes import dlopen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOADED = "loaded"
_SECONDS = 60


def loads(root: Path, paths: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give for each of PATHS below ROOT what dlopen with RTLD_NOW comes to: LOADED, the loader's words or a signal.

    ROOT is called `<root>` in those words, so that two roots can be compared.
    """
    done = subprocess.run(
        [sys.executable, "-S", __file__],
        input=b"\0".join(os.fsencode(root / path) for path in paths),
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        check=True,
    )
    answers = done.stdout.decode(errors="replace").splitlines()
    return {path: json.loads(answer).replace(str(root), "<root>") for path, answer in zip(paths, answers, strict=True)}


def _load(path: str) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_loader(path, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        words = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return words or f"ended with wait status {status}"


def _be_loader(path: str, writer: int) -> None:
    """Load PATH, write what came of it, and end. Its constructors may print, hang or crash; nothing of this goes on."""
    import signal  # noqa: PLC0415 - the parent needs none of it

    signal.alarm(_SECONDS)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(silence, descriptor)
    try:
        dlopen(path, os.RTLD_NOW)
        words = LOADED
    except OSError as error:
        words = str(error)
    os.write(writer, words.encode(errors="replace")[:4096])
    os._exit(0)


if __name__ == "__main__":
    for line in sys.stdin.buffer.read().split(b"\0"):
        if line:
            print(json.dumps(_load(os.fsdecode(line))), flush=True)  # noqa: T201 - the answer
