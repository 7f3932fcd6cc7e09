"""The image's own loader, asked to map and relocate a library without running it, as ldd does."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from slimmer.commands import program
from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimmer.checks import Pair, Subject
    from slimmer.containers import Completed
    from slimmer.rootfs import Rootfs

_NAME = re.compile(r"ld-linux[\w.-]*\.so\.\d+|ld-musl-[\w-]+\.so\.1|ld64\.so\.\d|ld\.so\.1")
_DIRECTORIES = ("lib64", "lib", "usr/lib64", "usr/lib")
_TIME_LIMIT = 60
# ld.so(8): say what would be loaded, bind all symbols, say which have no answer. musl's loader does so by itself.
_TRACE = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_BIND_NOW": "1", "LD_WARN": "yes"}
_MARK = "slimmer-library: "
_EACH = f"""loader=$1; list=$2; shift 2
for library; do
    echo "{_MARK}$library"
    {" ".join(f"{name}={value}" for name, value in _TRACE.items())} "$loader" $list "$library" 2>&1 ||
        echo "error: exit status $?"
done"""
_WRONG = re.compile(r"not found|undefined symbol|[Ee]rror|cannot ")
_ADDRESS = re.compile(r"\(?0x[0-9a-f]+\)?")


def find_loader(rootfs: Rootfs) -> str | None:
    """Give the loader of an image, or None."""
    for directory in _DIRECTORIES:
        place = rootfs.resolve(directory)
        for name in rootfs.children(place) if place is not None else ():
            path = rootfs.resolve(f"{place}/{name}") if _NAME.fullmatch(name) else None
            inode = rootfs.get(path) if path is not None else None
            if inode is not None and inode.kind is Kind.FILE and inode.mode & 0o111:
                return f"/{place}/{name}"
    return None


def loaded_by(loader: str, pair: Pair, subject: Subject, libraries: Sequence[str]) -> dict[str, str]:
    """Give for each library what LOADER says is wrong with it; the empty text when nothing is.

    In one container where the image has a shell to ask for one after the other, else in one for each.
    """
    paths = [f"/{path}" for path in libraries]
    is_musl = "musl" in loader
    shell = program(pair.original.rootfs, pair.original.config, "sh")
    if shell is None:
        words = [loader, "--list"] if is_musl else [loader]
        run = partial(pair.containers.run, subject.id, env={} if is_musl else _TRACE)
        return {path.lstrip("/"): _wrong(_said(run([*words, path], _TIME_LIMIT))) for path in paths}
    words = [f"/{shell}", "-c", _EACH, "sh", loader, "--list" if is_musl else "", *paths]
    done = pair.run(subject, words, _TIME_LIMIT + len(paths))
    parts = done.stdout.split(_MARK)[1:]
    said = {path: text for path, _, text in (part.partition("\n") for part in parts)}
    return {path.lstrip("/"): _wrong(said[path]) if path in said else _said(done) or "no answer" for path in paths}


def _said(done: Completed) -> str:
    if done.status is None:
        return "no answer: error"
    ended = "" if done.status == 0 else f"\nerror: exit status {done.status}"
    return done.stdout + done.stderr + ended


def _wrong(text: str) -> str:
    """Give the lines that complain, without the addresses that change from run to run."""
    return "; ".join(_ADDRESS.sub("", line.strip()) for line in text.splitlines() if _WRONG.search(line))
