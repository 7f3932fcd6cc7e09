from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slimmer.debug import save_debug_files
from slimmer.image import Config
from slimmer.plan import Scene
from slimmer.progress import Silence
from slimmer.propose import propose
from slimmer.rules.strip import rule

from filled import edited, source_with_many_symbols
from handmade import file, flattened

SOURCE = Path(__file__).parents[1] / "fixtures" / "elf" / "answer.c"


@pytest.mark.parametrize(("flags", "saved"), [(("-g",), 1), (("-s",), 0)], ids=["symbols", "filler alone"])
def test_what_debuggers_read_is_saved(flags: tuple[str, ...], saved: int, tmp_path: Path) -> None:
    """A library that lost symbols gets its debug file; one that lost filler alone leaves another's in its place."""
    library = tmp_path / "libanswer.so"
    command = ["gcc", "-shared", "-fPIC", "-Wl,--build-id", *flags, "-o", str(library), "-x", "c", "-"]
    subprocess.run(command, input=source_with_many_symbols(SOURCE.read_text()), text=True, check=True)
    edited(library, 2)
    root = flattened([file("lib/libanswer.so", library.read_bytes())])
    plan, _ = propose(Scene(root, Config(b'{"architecture": "amd64", "rootfs": {"diff_ids": []}}')), [rule], ())
    assert len(plan.changes) == 1

    save_debug_files(plan, tmp_path / "debug", Silence())

    assert len(list((tmp_path / "debug").rglob("*.debug"))) == saved
