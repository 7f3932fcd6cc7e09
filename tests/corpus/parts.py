"""One part of the corpus: every object of a directory slimmed and stripped in copies of it, and what works after."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.corpus.loads import LOADED, loads
from tests.corpus.measure import Fate, copied, decisions, digest, files, objects, put, rootfs_of, stripped, unowned
from tests.corpus.smoke import SMOKE, smoke

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SYSTEM = "debian"
SLIMMER, GNU_STRIP, NEWER_STRIP = "slimmer", "GNU strip", "newer GNU strip"
_MIN_GAIN = 4096


def compare(part: str, root: Path, scratch: Path, newer_strip: list[str]) -> tuple[list[Fate], dict[str, Any]]:
    """Give what became of each object below ROOT, and what loads and computes otherwise after each treatment.

    The same smoke tests are run for all but the newer strip, which is there to say what could be stripped safely.
    """
    tests = SMOKE.get(part, {})
    with rootfs_of(root) as rootfs:
        contents = objects(rootfs)
        slimmed, kept = decisions(rootfs)
        sizes: dict[str, dict[str, int]] = {}
        loaded = {"before": _loads(part, root, contents)}
        printed = {"before": smoke(root, tests)}
        # An original that fails is asked once more: pyarrow's was seen to abort while its threads ended, on a busy machine.
        again = {name: code for name, code in tests.items() if "FAILED" in printed["before"][name]}
        printed["before"] |= smoke(root, again)
        for name in (SLIMMER, GNU_STRIP, NEWER_STRIP):
            copy = copied(root, name.replace(" ", "-"), scratch)
            for path in contents:
                if name != SLIMMER:
                    stripped(newer_strip if name == NEWER_STRIP else ["strip"], copy / path)
                elif path in slimmed:
                    put(slimmed[path], copy / path)
            sizes[name] = {path: (copy / path).stat().st_size for path in contents}
            loaded[name] = _loads(part, copy, contents)
            if name != NEWER_STRIP:
                printed[name] = smoke(copy, tests)
            shutil.rmtree(copy)
        fates = [
            Fate(
                str(root),
                path,
                digest(root / path),
                content.size,
                slimmed=slimmed[path].size if path in slimmed else None,
                reason=kept.get(path, "" if path in slimmed else "nothing to remove"),
                gnu=sizes[GNU_STRIP][path],
                newer=sizes[NEWER_STRIP][path],
                safely=content.size - sizes[NEWER_STRIP][path] >= _MIN_GAIN
                and loaded[NEWER_STRIP][path] == loaded["before"][path],
                unowned=unowned(content),
            )
            for path, content in contents.items()
        ]
    return fates, {
        "objects": len(contents),
        "files": sum(1 for _ in files(root)),
        "load before": sum(words == LOADED for words in loaded["before"].values()),
        "changed": len(slimmed),
        "kept": dict(Counter(kept.values())),
        "smoke tests": len(tests),
        "smoke tests that fail before": sorted(name for name in tests if "FAILED" in printed["before"][name]),
        "loads otherwise": _differences(loaded),
        "computes otherwise": _differences(printed),
        "refused, stripped safely by the newer": {
            fate.path: fate.reason for fate in fates if fate.slimmed is None and fate.safely
        },
    }


def _differences(answers: dict[str, dict[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Give for each treatment what is answered otherwise than before, with both answers."""
    before = answers["before"]
    return {
        name: {
            question: [before[question], words[question]] for question in words if words[question] != before[question]
        }
        for name, words in answers.items()
        if name != "before"
    }


def _loads(part: str, root: Path, paths: Iterable[str]) -> dict[str, str]:
    # Wheels find their libraries by $ORIGIN; a system's would otherwise find the machine's own.
    return loads(root, list(paths), {"LD_LIBRARY_PATH": str(root)} if part == SYSTEM else {})
