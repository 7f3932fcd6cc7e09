"""Objects that strip programs are known to ruin: a PyInstaller program and a library laid out anew by BOLT."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimmer.content import Content
from slimmer.elf.contract import violations
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import parse
from tests.corpus import debian
from tests.corpus.loads import loads
from tests.corpus.measure import copied, decisions, objects, put, rootfs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "import bz2, decimal, json, sqlite3, ssl, zlib; print(json.dumps([str(decimal.Decimal(1) / 7), len(zlib.compress(b'a' * 99))]), sqlite3.connect(':memory:').execute('select 7').fetchall())"
_SOURCE = Path(__file__).parents[2] / "fixtures/elf/answer.c"
_ANSWER = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).answer())"


def findings(directory: Path, scratch: Path) -> dict[str, Any]:
    """Give what slimmer makes of both."""
    return {"PyInstaller": _pyinstaller(directory, scratch), "BOLT": _bolt(directory, scratch)}


def _pyinstaller(directory: Path, scratch: Path) -> dict[str, Any]:
    """Build a program as one file and as a directory, and run both before and after the strip rule and strip."""
    packages = directory / "pyinstaller"
    if not packages.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--target", str(packages)]
        subprocess.run([*command, "pyinstaller"], check=True)
    work = scratch / "pyinstaller"
    work.mkdir()
    (work / "program.py").write_text(_PROGRAM)
    found: dict[str, Any] = {}
    for shape in ("onefile", "onedir"):
        subprocess.run(
            [
                *(sys.executable, "-m", "PyInstaller", f"--{shape}", "--log-level", "ERROR", "--specpath", "spec"),
                *("--distpath", shape, "--workpath", f"build-{shape}", "program.py"),
            ],
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(packages)},
            check=True,
            capture_output=True,
        )
    shutil.copy2(work / "onefile/program", work / "onefile/program.so")
    for shape, program in (("onefile", "program"), ("onefile", "program.so"), ("onedir", "program/program")):
        copy = copied(work / shape, f"{shape}-slimmed", scratch)
        with rootfs_of(work / shape) as rootfs:
            slimmed, kept = decisions(rootfs)
            for path, content in slimmed.items():
                put(content, copy / path)
            found[f"{shape} {program}"] = {
                "before": _output([work / shape / program]),
                "after the strip rule": _output([copy / program]),
                "objects": len(objects(rootfs)),
                "changed": sorted(slimmed),
                "kept": kept,
            }
        shutil.rmtree(copy)
    found["onefile program, layout asked in spite of all"] = _forced(work / "onefile/program", work / "forced", [])
    return found


def _bolt(directory: Path, scratch: Path) -> dict[str, Any]:
    """Have BOLT lay a library out anew; it must be refused, and be broken by neither layout nor what the proof lets by."""
    work = scratch / "bolt"
    work.mkdir()
    library = work / "libanswer.so"
    flags = ["-shared", "-fPIC", "-O1", "-g", "-fno-reorder-blocks-and-partition", "-Wl,--emit-relocs"]
    subprocess.run(["gcc", *flags, "-o", library, _SOURCE], check=True)
    bolted = work / "libbolted.so"
    command = [
        *debian.bolt(directory),
        library,
        "-o",
        bolted,
        "-lite=0",
        "-reorder-blocks=ext-tsp",
        "-update-debug-sections",
    ]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    caller = [sys.executable, "-c", _ANSWER]
    with rootfs_of(work) as rootfs:
        slimmed, kept = decisions(rootfs)
    stripped = work / "stripped.so"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, bolted], check=False, capture_output=True)
    return {
        "before": _output([*caller, bolted]),
        "kept": kept,
        "changed": sorted(slimmed),
        "layout asked in spite of all": _forced(bolted, work / "forced.so", caller),
        "GNU strip": [_output([*caller, stripped]), *loads(work, ["stripped.so"]).values()],
    }


def _forced(path: Path, result: Path, caller: list[str]) -> dict[str, Any]:
    """Give what comes of layout and proof when no refusal stands before them."""
    content = Content.of(path.read_bytes())
    slimmed = without_dead_ranges(parse(content))
    if slimmed is None:
        return {"nothing to remove": True}
    shutil.copy2(path, result)
    put(slimmed, result)
    return {
        "saved": content.size - slimmed.size,
        "violations": violations(content, slimmed),
        "output": _output([*caller, result]),
    }


def _output(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"{done.stderr[-300:]}FAILED {done.returncode}"
