from __future__ import annotations

from slimmer.checks.changed import changed_files, changed_libraries
from slimmer.checks.imports import _modules, _wanted
from slimmer.checks.interpreters import for_file
from slimmer.checks.loader import find_loader
from slimmer.plan import Change, Plan

from handmade import Spec, directory, file, flattened, symlink

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"
PACKAGES = "usr/lib/python3.12/site-packages"
RECORD = b"nump/__init__.py,,\nnump/core.cpython-312.so,,\nnump.libs/libblas.so,,\nhelper.py,,\n_ext.abi3.so,,\nnump-1.dist-info/RECORD,,\n"


def changed(*paths: str, files: int = 1, action: str = "replace") -> tuple[Change, ...]:
    """Give changes of these paths."""
    return tuple(Change(path, "strip", action, 2, 1, files, "") for path in paths)


def test_libraries_are_told_by_their_content() -> None:
    """A shared object counts whatever it is called; an archive, a RECORD that only follows and what is gone do not."""
    rootfs = flattened(
        [file("a.so", ELF), file("b.a", b"!<arch>\n"), file("RECORD", b"x"), file("c", ELF), file("d.so", b"\x7fEL")]
    )
    changes = changed("c", "a.so", "b.a", "d.so") + changed("RECORD", files=0) + changed("gone", action="remove")
    plan = Plan(rootfs, rootfs, (), changes, ())

    assert changed_libraries(plan) == ["a.so", "c"]
    assert sorted(changed_files(plan)) == ["a.so", "b.a", "c", "d.so"]


def test_modules_are_what_python_can_name() -> None:
    """Packages, modules and extensions; no directory of libraries, no metadata, no cache."""
    owned = [
        "p/__init__.py", "p/data.json", "q.py", "_r.abi3.so", "s.cpython-312-x86_64-linux-gnu.so", "p.libs/libx.so", "t/u/v.so",
        "p-1.0.dist-info/METADATA", "__pycache__/q.cpython-312.pyc", "../../../bin/p", "data/only.txt", "libz.so.1", "w.so",
    ]  # fmt: skip

    assert _modules(owned) == {"p", "q", "_r", "s", "t", "w"}


def environment(*more: Spec) -> list[Spec]:
    """Give an interpreter and a distribution."""
    return [
        file("usr/bin/python3.12", b"\x7fELF", mode=0o755), file(f"{PACKAGES}/nump/__init__.py"),
        file(f"{PACKAGES}/nump/core.cpython-312.so", ELF), file(f"{PACKAGES}/nump.libs/libblas.so", ELF),
        file(f"{PACKAGES}/helper.py"), file(f"{PACKAGES}/_ext.abi3.so", ELF),
        file(f"{PACKAGES}/nump-1.dist-info/RECORD", RECORD), file(f"{PACKAGES}/other/__init__.py"), *more,
    ]  # fmt: skip


def test_all_modules_of_a_distribution_with_a_changed_file_are_wanted() -> None:
    """Those that its RECORD names, for the interpreter beside them; nothing of a distribution that did not change."""
    wanted = _wanted(flattened(environment()), {f"{PACKAGES}/nump.libs/libblas.so"})

    ((interpreter, modules),) = wanted.items()
    assert (interpreter.path, interpreter.packages) == ("/usr/bin/python3.12", f"/{PACKAGES}")
    assert sorted(modules) == ["_ext", "helper", "nump"]


def test_a_file_that_no_record_names_belongs_to_its_directory() -> None:
    """Debian's own packages of Python have no RECORD."""
    path = "usr/lib/python3/dist-packages/yaml/_yaml.cpython-312.so"
    rootfs = flattened(environment(file(path, ELF), symlink("usr/bin/python3", "python3.12")))

    ((interpreter, modules),) = _wanted(rootfs, {path}).items()

    assert (interpreter.path, modules) == ("/usr/bin/python3", ["yaml"])


def test_libraries_of_no_interpreter_are_loaded_by_any() -> None:
    """The system's newest; none where there is none."""
    rootfs = flattened(environment())

    assert getattr(for_file(rootfs, "usr/lib/libx.so"), "path", None) == "/usr/bin/python3.12"
    assert for_file(flattened([file("usr/lib/libx.so", ELF)]), "usr/lib/libx.so") is None


def test_the_loader_is_found_through_merged_directories() -> None:
    """Debian's /lib64 is a link, and so is the loader in it; Alpine's lies in /lib."""
    debian = [
        directory("usr"), symlink("lib64", "usr/lib64"), symlink("lib", "usr/lib"),
        symlink("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        file("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", ELF, mode=0o755),
    ]  # fmt: skip

    assert find_loader(flattened(debian)) == "/usr/lib64/ld-linux-x86-64.so.2"
    assert find_loader(flattened([file("lib/ld-musl-x86_64.so.1", ELF, mode=0o755)])) == "/lib/ld-musl-x86_64.so.1"
    assert find_loader(flattened([file("lib/libc.so.6", ELF, mode=0o755)])) is None
