from __future__ import annotations

import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.content import Content
from slimmer.elf.linking.dynamic import Dynamic
from slimmer.elf.linking.linkage import Linkage, Unresolved, link
from slimmer.elf.linking.losses import broken
from slimmer.elf.object import parse

from handmade import directory, file, flattened, hard_link, symlink

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimmer.rootfs import Rootfs

    Compile = Callable[..., Path]

SOURCES = Path(__file__).parent.parent.parent / "fixtures" / "elf"
ALONE = ("-nostdlib",)
TWICE = "opt/libtwice.so"
MUSL = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"


@pytest.fixture
def answer(compiled: Compile) -> bytes:
    """Give a library that defines `answer`."""
    return compiled("linkage_defines", *ALONE, name="libanswer.so").read_bytes()


@pytest.fixture
def twice(answer: bytes, compiled: Compile, tmp_path: Path) -> Callable[..., bytes]:
    """Give a function that compiles a library that needs libanswer.so, with more linker flags."""

    def compile_twice(*flags: str) -> bytes:
        libraries = (f"-L{tmp_path}", "-lanswer")
        return compiled("needs_answer", *ALONE, *flags, libraries=libraries, name="libtwice.so").read_bytes()

    return compile_twice


@pytest.fixture
def program(answer: bytes, tmp_path: Path) -> Callable[..., bytes]:
    """Give a function that compiles a program that needs libanswer.so and exports `callback`."""

    def compile_program(*flags: str) -> bytes:
        result = tmp_path / "program"
        command: list[str | Path] = ["gcc", *ALONE, "-rdynamic", *flags, "-o", result, SOURCES / "linkage_program.c"]
        subprocess.run([*command, f"-L{tmp_path}", "-lanswer"], check=True, capture_output=True)
        return result.read_bytes()

    return compile_program


def needed_of(rootfs: Rootfs, path: str = TWICE, env: dict[str, str] | None = None) -> str | None:
    """Give where the libanswer.so that an object needs is found."""
    return link(rootfs, env or {}).bindings[path].needed["libanswer.so"]


def of_machine(data: bytes, machine: int) -> bytes:
    """Give an object with another e_machine."""
    return data[:18] + struct.pack("<H", machine) + data[20:]


def ld_so_cache(**paths: str) -> bytes:
    """Give an ld.so.cache that says where each library is, as ldconfig writes it."""
    start = 48 + 24 * len(paths)
    entries, strings = b"", b""
    for name, path in paths.items():
        places = start + len(strings), start + len(strings) + len(name) + 4
        entries += struct.pack("<iIIIQ", 0x0303, *places, 0, 0)
        strings += f"{name}.so\0{path}\0".encode()
    return b"glibc-ld.so.cache1.1" + struct.pack("<IIBxxxI12x", len(paths), len(strings), 2, 0) + entries + strings


RUNPATH = "-Wl,--enable-new-dtags,-rpath,"
RPATH = "-Wl,--disable-new-dtags,-rpath,"
PLACES: list[Any] = [
    pytest.param((), {}, [], "usr/lib/libanswer.so", id="default directory"),
    pytest.param((), {}, [], "lib64/libanswer.so", id="default directory of 64 bits"),
    pytest.param((), {}, [], "usr/lib/x86_64-linux-gnu/libanswer.so", id="multiarch"),
    pytest.param((), {}, [], "usr/lib/glibc-hwcaps/x86-64-v3/libanswer.so", id="hwcaps"),
    pytest.param((f"{RUNPATH}$ORIGIN/../x",), {}, [], "x/libanswer.so", id="runpath"),
    pytest.param((f"{RPATH}${{ORIGIN}}/../x",), {}, [], "x/libanswer.so", id="rpath"),
    pytest.param((f"{RUNPATH}/x/$LIB:/x/${{LIB}}",), {}, [], "x/lib/libanswer.so", id="token LIB"),
    pytest.param((f"{RUNPATH}/x/$PLATFORM",), {}, [], "x/x86_64/libanswer.so", id="token PLATFORM"),
    pytest.param((f"{RUNPATH}/x/$ORIGINAL",), {}, [], "x/$ORIGINAL/libanswer.so", id="no token"),
    pytest.param((), {"LD_LIBRARY_PATH": "/a:/x"}, [], "x/libanswer.so", id="LD_LIBRARY_PATH"),
    pytest.param((), {}, [file("etc/ld.so.conf", b"/a # b\n/x\n")], "x/libanswer.so", id="ld.so.conf"),
    pytest.param(
        (),
        {},
        [file("etc/ld.so.conf", b"include ld.so.conf.d/*.conf"), file("etc/ld.so.conf.d/a.conf", b"/x")],
        "x/libanswer.so",
        id="ld.so.conf.d",
    ),
    pytest.param(
        (),
        {},
        [file("etc/ld.so.cache", ld_so_cache(liba="/a", libanswer="/x/libanswer.so"))],
        "x/libanswer.so",
        id="ld.so.cache",
    ),
    pytest.param(("-Wl,-z,nodefaultlib", f"{RUNPATH}/x"), {}, [], "x/libanswer.so", id="nodefaultlib and runpath"),
]


@pytest.mark.parametrize(("flags", "env", "files", "where"), PLACES)
def test_a_needed_library_is_found(
    flags: tuple[str, ...],
    env: dict[str, str],
    files: list[Any],
    where: str,
    answer: bytes,
    twice: Callable[..., bytes],
) -> None:
    """Wherever ld.so(8) looks for a library it is found, and its symbols are bound to it."""
    linkage = link(flattened([file(TWICE, twice(*flags)), file(where, answer), *files]), env)

    assert linkage.bindings[TWICE].needed == {"libanswer.so": where}
    assert linkage.bindings[TWICE].bound == {where: frozenset({b"answer"})}
    assert linkage.unresolved == ()
    assert (linkage.objects, linkage.symbols, linkage.provided_by_process) == (2, 1, 0)


def test_other_directories_are_not_searched(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A library in a directory that nobody names is not found, nor in a default one when the object forbids these."""
    forbids = file(TWICE, twice("-Wl,-z,nodefaultlib"))

    assert needed_of(flattened([file(TWICE, twice()), file("elsewhere/libanswer.so", answer)])) is None
    assert needed_of(flattened([forbids, file("usr/lib/libanswer.so", answer)])) is None


def test_the_order_of_the_search(answer: bytes, twice: Callable[..., bytes]) -> None:
    """RPATH comes before LD_LIBRARY_PATH, that before RUNPATH, that before the configured and the default directories."""
    places = ["path", "own", "conf", "usr/lib"]
    env = {"LD_LIBRARY_PATH": "/path"}
    files = [file("etc/ld.so.conf", b"/conf"), *(file(f"{place}/libanswer.so", answer) for place in places)]
    old, new = file(TWICE, twice(f"{RPATH}/own")), file(TWICE, twice(f"{RUNPATH}/own"))

    assert needed_of(flattened([old, *files]), env=env) == "own/libanswer.so"
    assert needed_of(flattened([new, *files]), env=env) == "path/libanswer.so"
    assert needed_of(flattened([new, *files])) == "own/libanswer.so"
    assert needed_of(flattened([new, files[0], *files[3:]])) == "conf/libanswer.so"
    assert needed_of(flattened([new, *files[4:]])) == "usr/lib/libanswer.so"


@pytest.mark.parametrize(("tags", "found"), [(RPATH, "x/libanswer.so"), (RUNPATH, None)], ids=["rpath", "runpath"])
def test_an_rpath_holds_for_those_below(
    tags: str, found: str | None, answer: bytes, twice: Callable[..., bytes], compiled: Compile, tmp_path: Path
) -> None:
    """What a loader's RPATH finds for its needed library's own needs is found; its RUNPATH holds for itself only."""
    twice()
    libraries = (f"-L{tmp_path}", "-Wl,--no-as-needed", "-ltwice")
    outer = compiled("linkage_weak", *ALONE, f"{tags}/opt:/x", libraries=libraries, name="libouter.so").read_bytes()
    linkage = link(flattened([file(TWICE, twice()), file("libouter.so", outer), file("x/libanswer.so", answer)]), {})

    assert linkage.bindings["libouter.so"].needed == {"libtwice.so": TWICE}
    assert linkage.bindings[TWICE].needed == {"libanswer.so": None}
    named = compiled("linkage_weak", *ALONE, f"{tags}/opt:/x", libraries=(*libraries, "-lanswer"), name="libboth.so")
    both = link(
        flattened([file(TWICE, twice()), file("libboth.so", named.read_bytes()), file("x/libanswer.so", answer)]), {}
    )
    assert both.bindings["libboth.so"].needed["libanswer.so"] == "x/libanswer.so"


def test_an_inherited_rpath_binds_symbols(
    answer: bytes, twice: Callable[..., bytes], compiled: Compile, tmp_path: Path
) -> None:
    """A symbol of a library two steps away is bound when only the first step's RPATH leads there."""
    twice()
    libraries = (f"-L{tmp_path}", "-Wl,--no-as-needed", "-ltwice", "-Wl,--unresolved-symbols=ignore-all")
    for tags, bound in ((RPATH, {"x/libanswer.so"}), (RUNPATH, set())):
        outer = compiled("needs_answer", *ALONE, f"{tags}/opt:/x", libraries=libraries, name="libouter.so").read_bytes()
        files = [file(TWICE, twice()), file("libouter.so", outer), file("x/libanswer.so", answer)]
        assert set(link(flattened(files), {}).bindings["libouter.so"].bound) == bound


def test_symlinks_lead_inside_the_root(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A library is what its links lead to in the image; $ORIGIN is where the link was opened, not where the file lies."""
    rootfs = flattened(
        [
            symlink("lib", "usr/lib"),
            symlink("usr/lib/libanswer.so", "/real/libanswer.so.1"),
            file("real/libanswer.so.1", answer),
            file(TWICE, twice()),
        ]
    )

    assert needed_of(rootfs) == "real/libanswer.so.1"


def test_what_does_not_fit_is_passed_over(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A library of another machine is not the one that is needed, the next one is; a text of that name ends the search."""
    user, good = file(TWICE, twice(f"{RUNPATH}/a:/b")), file("b/libanswer.so", answer)

    assert needed_of(flattened([user, good, file("a/libanswer.so", of_machine(answer, 183))])) == "b/libanswer.so"
    assert needed_of(flattened([user, good, file("a/libanswer.so", b"INPUT(libanswer.so.1)")])) is None
    assert needed_of(flattened([user, good, symlink("a/libanswer.so", "/nowhere")])) == "b/libanswer.so"
    assert needed_of(flattened([user, good, directory("a")])) == "b/libanswer.so"


def test_a_missing_library_and_its_symbols_are_unresolved(twice: Callable[..., bytes]) -> None:
    """Both are listed: that the library is not there, and each symbol that nobody defines for that."""
    linkage = link(flattened([file(TWICE, twice())]), {})

    assert linkage.unresolved == (
        Unresolved(TWICE, "library", "libanswer.so", ""),
        Unresolved(TWICE, "symbol", "answer", ""),
    )
    assert linkage.as_json() == {
        "objects": 1,
        "symbols": 1,
        "unresolved": [
            {"path": TWICE, "kind": "library", "name": "libanswer.so", "version": ""},
            {"path": TWICE, "kind": "symbol", "name": "answer", "version": ""},
        ],
        "provided_by_process": 0,
    }


def test_weak_symbols_never_count(compiled: Compile) -> None:
    """A library may live without what it refers to weakly."""
    linkage = link(flattened([file("a.so", compiled("linkage_weak", *ALONE).read_bytes())]), {})

    assert (linkage.symbols, linkage.unresolved) == (0, ())


def versions(compiled: Compile, tmp_path: Path, source: str, *names: str) -> bytes:
    """Give a libanswer.so whose symbols have versions."""
    script = tmp_path / "versions.map"
    script.write_text("".join(f"{name} {{ global: answer; }};\n" for name in names))
    flags = (*ALONE, f"-Wl,--version-script,{script}")
    return compiled(source, *flags, name="libanswer.so").read_bytes()


def test_versions_are_honoured(compiled: Compile, twice: Callable[..., bytes], answer: bytes, tmp_path: Path) -> None:
    """A reference to a version binds to that version or to a definition without any, and to no other version."""
    unversioned = twice(f"{RUNPATH}/x")
    both = versions(compiled, tmp_path, "linkage_versions", "ANSWER_1", "ANSWER_2")
    user = compiled(
        "needs_answer", *ALONE, f"{RUNPATH}/x", libraries=(f"-L{tmp_path}", "-lanswer"), name="libtwice.so"
    ).read_bytes()
    only_old = versions(compiled, tmp_path, "linkage_defines", "ANSWER_1")

    def missing(library: bytes, using: bytes) -> list[tuple[str, str]]:
        linkage = link(flattened([file(TWICE, using), file("x/libanswer.so", library)]), {})
        return [(one.name, one.version) for one in linkage.unresolved]

    assert missing(both, user) == []
    assert missing(only_old, user) == [("answer", "ANSWER_2")]
    assert missing(answer, user) == []
    assert missing(both, unversioned) == []
    assert missing(only_old, unversioned) == []


def test_what_the_process_provides(compiled: Compile, program: Callable[..., bytes], answer: bytes) -> None:
    """A symbol of an extension that any program of the image defines is no loss, and it is said which program."""
    extension = compiled("linkage_extension", *ALONE).read_bytes()
    files = [file("bin/program", program()), file("lib/libanswer.so", answer), file("opt/extension.so", extension)]

    linkage = link(flattened(files), {})

    assert list(linkage.provided()) == [("opt/extension.so", "callback", "bin/program")]
    assert (linkage.provided_by_process, linkage.unresolved) == (1, ())
    alone = link(flattened(files[2:]), {})
    assert broken(linkage, alone) == [
        ("opt/extension.so", "symbol callback, which bin/program provided to the process, is now provided by nobody")
    ]


@pytest.mark.parametrize("how", ["LD_PRELOAD", "/etc/ld.so.preload"])
def test_preloaded_libraries_come_first(how: str, answer: bytes, twice: Callable[..., bytes]) -> None:
    """What is preloaded provides a symbol before the library that is needed for it."""
    files = [file(TWICE, twice()), file("lib/libanswer.so", answer), file("opt/other.so", answer + b"\0")]
    env = {"LD_PRELOAD": "/opt/other.so /nowhere.so"} if how == "LD_PRELOAD" else {}
    files += [file("etc/ld.so.preload", b"# ours\n/opt/other.so\n")] if not env else []

    linkage = link(flattened(files), env)

    assert linkage.bindings[TWICE].bound == {"opt/other.so": frozenset({b"answer"})}


def test_musl(compiled: Compile, answer: bytes, tmp_path: Path) -> None:
    """Its directories are its own, a file says others, versions do not matter and the C library is the loader."""
    versions(compiled, tmp_path, "linkage_versions", "ANSWER_1", "ANSWER_2")
    libc = compiled("linkage_weak", *ALONE, "-Wl,-soname,libc.musl-x86_64.so.1", name="libc.so")
    binary = tmp_path / "program"
    source = SOURCES / "linkage_program.c"
    linked = [f"-L{tmp_path}", "-lanswer", "-Wl,--no-as-needed", str(libc)]
    subprocess.run(["gcc", *ALONE, MUSL, "-o", str(binary), str(source), *linked], check=True, capture_output=True)
    only_old = versions(compiled, tmp_path, "linkage_defines", "ANSWER_1")
    files = [file("bin/program", binary.read_bytes()), file("lib/ld-musl-x86_64.so.1", libc.read_bytes())]

    def found(*more: Any) -> tuple[str | None, int]:
        linkage = link(flattened([*files, *more]), {})
        return linkage.bindings["bin/program"].needed["libanswer.so"], len(linkage.unresolved)

    assert found(file("usr/local/lib/libanswer.so", only_old)) == ("usr/local/lib/libanswer.so", 0)
    assert found(file("lib64/libanswer.so", only_old)) == (None, 1)  # its function could still come from the process
    path = file("etc/ld-musl-x86_64.path", b"/x\n/y")
    assert found(path, file("y/libanswer.so", only_old)) == ("y/libanswer.so", 0)
    assert found(path, file("y/libanswer.so", only_old), file("x/libanswer.so", of_machine(answer, 183)))[0] is None


def test_what_slimming_breaks(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A library that is gone, or another one in its place, is a violation of who needs it; one that nobody needs is none."""
    user = file(TWICE, twice(f"{RUNPATH}/a:/b"))
    first, second = file("a/libanswer.so", answer), file("b/libanswer.so", answer + b"\0")
    whole = link(flattened([user, first, second]), {})

    assert broken(whole, whole) == []
    assert broken(whole, link(flattened([user, first]), {})) == []
    assert broken(whole, link(flattened([first]), {})) == []
    assert broken(whole, link(flattened([user, second]), {})) == [
        (TWICE, "libanswer.so, which was a/libanswer.so, is now b/libanswer.so"),
        (TWICE, "symbol answer, which a/libanswer.so provided, is now provided by b/libanswer.so"),
    ]
    assert broken(whole, link(flattened([user]), {})) == [
        (TWICE, "libanswer.so, which was a/libanswer.so, is now not found"),
        (TWICE, "symbol answer, which a/libanswer.so provided, is now provided by none of the libraries that it needs"),
    ]
    assert broken(whole, link(flattened([{**user, "data": user["data"][:200]}, first, second]), {}))[0][0] == TWICE


def test_what_was_read_is_not_read_again(answer: bytes, twice: Callable[..., bytes]) -> None:
    """The linkage of a changed root reads only contents that are new."""
    rootfs = flattened([file(TWICE, twice(f"{RUNPATH}/a")), file("a/libanswer.so", answer), file("text", b"text")])
    before = link(rootfs, {})
    changed = flattened([file("new.so", answer)])
    entries = dict(rootfs.entries()) | {"new.so": changed.get("new.so")}

    class Unreadable(Content):
        __slots__ = ()

        def read_at(self, offset: int, length: int) -> bytes:  # noqa: ARG002 - it reads nothing
            raise AssertionError("read again")

    for path, inode in rootfs.entries():
        if inode.content is not None and path != TWICE:
            inode.content.__class__ = Unreadable
    after = link(rootfs.of({path: inode for path, inode in entries.items() if inode is not None}), {}, before)

    assert after.objects == before.objects + 1
    assert broken(before, after) == []


def test_an_object_with_the_same_symbols_is_known(answer: bytes, twice: Callable[..., bytes]) -> None:
    """Of a slimmed object the symbols are those that were read before, since all that they are read from is the same."""
    user = file(TWICE, twice(f"{RUNPATH}/a"))
    before = link(flattened([user, file("a/libanswer.so", answer)]), {})
    slimmed = flattened([user, file("a/libanswer.so", answer + b"appended")])

    after = link(slimmed, {}, before)

    old, new = (read_of(linkage, "a/libanswer.so") for linkage in (before, after))
    assert new.symbols is old.symbols
    assert broken(before, after) == []


@pytest.mark.parametrize("table", [".dynstr", ".dynsym", ".gnu.hash"])
def test_an_object_with_other_symbols_is_read_again(table: str, compiled: Compile, twice: Callable[..., bytes]) -> None:
    """Whichever table makes a symbol another one, what was read before is not taken for it."""
    answer = compiled("answer", *ALONE, "-Wl,--hash-style=gnu", name="gnu.so").read_bytes()
    section = parse(Content.of(answer)).section_named(table)
    assert section is not None
    start, stop = section.offset, section.offset + section.size
    damaged = bytearray(answer)
    if table == ".dynstr":
        at = answer.index(b"\0answer\0", start, stop)
        damaged[at + 1 : at + 7] = b"ANSWER"
    elif table == ".dynsym":
        for at in range(start, stop, 24):
            damaged[at + 6 : at + 8] = b"\0\0"  # undefined
    else:
        symbols = parse(Content.of(answer)).section_named(".dynsym")
        assert symbols is not None
        _, first = struct.unpack_from("<II", answer, start)
        for at in range(stop - 4 * (symbols.size // 24 - first), stop, 4):
            damaged[at : at + 4] = bytes([damaged[at] & 1, 0, 0, 0])  # of no name that is wanted
    user = file(TWICE, twice(f"{RUNPATH}/a"))
    before = link(flattened([user, file("a/libanswer.so", answer)]), {})

    after = link(flattened([user, file("a/libanswer.so", bytes(damaged))]), {}, before)

    assert [sentence for _, sentence in broken(before, after)] == [
        "symbol answer, which a/libanswer.so provided, is now provided by none of the libraries that it needs"
    ]


def read_of(linkage: Linkage, path: str) -> Dynamic:
    """Give what an object of a linked root was read as."""
    found = linkage.known.read[linkage.known.contents[path]]
    assert isinstance(found, Dynamic)
    return found


def test_what_only_a_new_object_looks_up_is_found(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A symbol that nobody wanted of a library is bound when the changed root has somebody who does."""
    rootfs = flattened([file("a/libanswer.so", answer)])
    before = link(rootfs, {})
    new = flattened([file(TWICE, twice(f"{RUNPATH}/a"))])

    after = link(rootfs.of(dict(rootfs.entries()) | dict(new.entries())), {}, before)

    assert after.bindings[TWICE].bound == {"a/libanswer.so": {b"answer"}}
    assert after.unresolved == ()


def test_the_best_of_several_names_counts(answer: bytes, twice: Callable[..., bytes]) -> None:
    """A library in a package cache, hard-linked to where it is installed, is judged by where it resolves."""
    linkage = link(
        flattened(
            [
                file("root/.cache/x/libtwice.so", twice(f"{RUNPATH}$ORIGIN")),
                hard_link("usr/p/libtwice.so", "root/.cache/x/libtwice.so"),
                file("usr/p/libanswer.so", answer),
            ]
        ),
        {},
    )

    assert (linkage.objects, linkage.symbols, linkage.unresolved) == (2, 1, ())
    assert linkage.bindings["root/.cache/x/libtwice.so"].needed == {"libanswer.so": None}


def test_what_cannot_be_read_is_skipped_with_its_reason(answer: bytes) -> None:
    """A damaged object stands in nobody's way and does not vanish either."""
    linkage: Linkage = link(
        flattened([file("a.so", answer), file("damaged.so", answer[:300]), file("b", b"\x7fELF")]), {}
    )

    assert linkage.objects == 1
    assert [path for path, _ in linkage.skipped] == ["b", "damaged.so"]
    assert all(reason for _, reason in linkage.skipped)


@pytest.mark.parametrize("junk", [b"", b"\xff" * 99, b"glibc-ld.so.cache1.1" + b"\xff" * 400, ld_so_cache(a="/b")[:60]])
def test_a_damaged_cache_is_no_cache(junk: bytes, answer: bytes, twice: Callable[..., bytes]) -> None:
    """Whatever /etc/ld.so.cache holds, the default directories are still searched."""
    files = [file("etc/ld.so.cache", junk), file("etc/ld.so.conf", b"include /etc/ld.so.conf")]

    assert needed_of(flattened([file(TWICE, twice()), file("lib/libanswer.so", answer), *files])) == "lib/libanswer.so"


def test_ldd_says_the_same(answer: bytes, twice: Callable[..., bytes], tmp_path: Path) -> None:
    """On a tree that the machine's own loader can see, it finds the same files."""
    ldd = shutil.which("ldd")
    assert ldd is not None
    for flags, env in (
        ((f"{RUNPATH}$ORIGIN/a",), {}),
        ((f"{RPATH}$ORIGIN/b",), {}),
        ((), {"LD_LIBRARY_PATH": str(tmp_path / "b")}),
    ):
        user = tmp_path / "libuser.so"
        user.write_bytes(twice(*flags))
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "libanswer.so").write_bytes(answer)
        at = str(tmp_path).lstrip("/")
        rootfs = flattened(
            [
                file(f"{at}/{path}", (tmp_path / path).read_bytes())
                for path in ("libuser.so", "a/libanswer.so", "b/libanswer.so")
            ]
        )
        said = subprocess.run([ldd, user], env=env, check=True, capture_output=True, text=True).stdout
        assert f"libanswer.so => /{needed_of(rootfs, f'{at}/libuser.so', env)} (" in said


def test_includes_without_end_are_followed_for_a_while(answer: bytes) -> None:
    """A configuration that includes the next, two thousand times, is no fault of the image's libraries."""
    chain = [file(f"etc/{number}.conf", b"/x\ninclude /etc/%d.conf\n" % (number + 1)) for number in range(2000)]
    rootfs = flattened([file("etc/ld.so.conf", b"include /etc/0.conf\n"), *chain, file("x/libanswer.so", answer)])

    assert link(rootfs, {}).objects == 1


def test_a_cache_whose_entries_share_a_string_is_not_held(answer: bytes) -> None:
    """A hundred thousand entries that name one path of 4,000 bytes would be 400 MB."""
    count = 100_000
    text = b"n" * 4000 + b"\0"
    start = 48 + 24 * count
    entries = struct.pack("<IIIIQ", 1, start, start, 0, 0) * count
    head = b"glibc-ld.so.cache1.1" + struct.pack("<IIBxxxI12x", count, len(text), 2, 0)
    rootfs = flattened([file("etc/ld.so.cache", head + entries + text), file("x/libanswer.so", answer)])
    tracemalloc.start()

    assert link(rootfs, {}).objects == 1

    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()
