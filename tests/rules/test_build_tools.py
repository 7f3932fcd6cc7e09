from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.rules.build_tools import rule

from handmade import Spec, data_of, directory, file, flattened, save, symlink
from planning import gone, plan_for

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.plan import Plan

INFO = "var/lib/dpkg/info"


class Debian:
    """A root with dpkg's database, made of packages of few files."""

    def __init__(self) -> None:
        self.entries: list[Spec] = [
            directory("var/lib/dpkg/updates"),
            directory("usr/include"),
            file(f"{INFO}/format", b"1\n"),
            file("etc/debian_version", b"12\n"),
        ]
        self._status: list[str] = []
        self._states: list[str] = []
        self.package("dpkg", Priority="required", Essential="yes")

    def package(self, name: str, *files: str, auto: bool = False, data: bytes = b"x", **fields: Any) -> Debian:
        """Install a package with these files; fields with `_` for `-`."""
        all_fields = {
            "Architecture": "amd64",
            "Version": "1-1",
            "Priority": "optional",
            "Maintainer": "x",
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        paragraph = [
            f"Package: {name}",
            "Status: install ok installed",
            *(f"{key}: {value}" for key, value in all_fields.items()),
            f"Description: {name}\n of a test",
        ]
        self._status.append("\n".join(paragraph) + "\n")
        label = f"{name}:{all_fields['Architecture']}" if all_fields.get("Multi-Arch") == "same" else name
        paths = [f"usr/share/doc/{name}/copyright", *files]
        parents = {"/".join(path.split("/")[:count]) for path in paths for count in range(1, path.count("/") + 1)}
        listed = ["/.", *(f"/{path}" for path in sorted({*parents, *paths}))]
        self.entries += [file(path, data, mode=0o755) for path in paths]
        self.entries += [
            file(f"{INFO}/{label}.list", "".join(f"{line}\n" for line in listed).encode()),
            file(f"{INFO}/{label}.md5sums", b""),
        ]
        if auto:
            self._states.append(
                f"Package: {name}\nArchitecture: {all_fields['Architecture'].replace('all', 'amd64')}\nAuto-Installed: 1\n\n"
            )
        return self

    def plan(self, *more: Spec, exclude: tuple[str, ...] = (), **config: Any) -> Plan:
        """Give what the rule makes of it."""
        database = [
            file("var/lib/dpkg/status", "\n".join(self._status).encode()),
            file("var/lib/apt/extended_states", "".join(self._states).encode()),
        ]
        return plan_for(rule, flattened([*self.entries, *database, *more]), exclude, **config)


def installed(plan: Plan) -> list[str]:
    """Give the packages that are left, and have it that database and files agree."""
    lines = data_of(plan.result, "var/lib/dpkg/status").decode().splitlines()
    names = [line.removeprefix("Package: ") for line in lines if line.startswith("Package: ")]
    lists = [
        path.removeprefix(f"{INFO}/").partition(".list")[0].partition(":")[0]
        for path, _ in plan.result.entries()
        if path.endswith(".list")
    ]
    assert sorted(names) == sorted(lists)
    for name in names:
        assert f"usr/share/doc/{name}/copyright" in plan.result
    return names


def toolchain() -> Debian:
    """Give a compiler with what it needs, a library that a program needs too, and a program."""
    return (
        Debian()
        .package("gcc", "usr/bin/gcc", Depends="gcc-12 (>= 12), cpp")
        .package("gcc-12", "usr/bin/gcc-12", "usr/lib/gcc/12/cc1", "usr/lib/gcc/12/plugin.py", auto=True, Depends="libmpc3 (>= 1), libz (>= 1), binutils", Version="12.2-1")
        .package("cpp", "usr/bin/cpp", auto=True, Depends="libmpc3")
        .package("binutils", "usr/bin/ld", auto=True)
        .package("libmpc3", "usr/lib/libmpc.so.3", auto=True, Multi_Arch="same")
        .package("libz", "usr/lib/libz.so.1", auto=True, Multi_Arch="same")
        .package("libx-dev", "usr/include/x.h", "usr/include/x/y.h")
        .package("app", "usr/bin/app", Depends="libz")
        .package("orphan", "usr/lib/orphan", auto=True)
    )  # fmt: skip


ALTERNATIVE = [
    file("var/lib/dpkg/alternatives/cc", b"auto\n/usr/bin/cc\ncc.1.gz\n/usr/share/man/cc.1.gz\n\n/usr/bin/gcc\n20\n/usr/share/man/gcc.1.gz\n\n"),
    symlink("etc/alternatives/cc", "/usr/bin/gcc"), symlink("usr/bin/cc", "/etc/alternatives/cc"),
    symlink("etc/alternatives/cc.1.gz", "/usr/share/man/gcc.1.gz"), symlink("usr/share/man/cc.1.gz", "/etc/alternatives/cc.1.gz"),
]  # fmt: skip
TRIGGERS = [
    file("var/lib/dpkg/triggers/File", b"/usr/lib gcc/noawait\n/usr/share app\n"),
    file("var/lib/dpkg/triggers/ldconfig", b"app/noawait\n"),
]


def test_takes_tools_and_what_only_they_need() -> None:
    """Files, emptied directories, what Python compiled, database, triggers and alternatives go; all else stays."""
    compiled = file("usr/lib/gcc/12/__pycache__/plugin.cpython-311.pyc", b"p")

    plan = toolchain().plan(*ALTERNATIVE, *TRIGGERS, compiled)

    assert installed(plan) == ["dpkg", "libz", "app", "orphan"]
    assert plan.kept == ()
    left = {path for path, _ in plan.result.entries()}
    assert {"usr/bin/app", "usr/lib/libz.so.1", "usr/lib/orphan", "etc/debian_version", "usr/lib", "usr/bin"} <= left
    assert (
        not {
            "usr/lib/gcc",
            "usr/include/x",
            "usr/share/doc/gcc",
            "usr/bin/cc",
            "etc/alternatives/cc",
            "usr/share/man/cc.1.gz",
        }
        & left
    )
    assert not [path for path in left if "alternatives/cc" in path or "libmpc" in path or "gcc" in path]
    assert data_of(plan.result, "var/lib/dpkg/triggers/File") == b"/usr/share app\n"
    assert data_of(plan.result, "var/lib/dpkg/triggers/ldconfig") == b"app/noawait\n"
    states = data_of(plan.result, "var/lib/apt/extended_states").decode()
    assert [line for line in states.splitlines() if line.startswith("Package")] == ["Package: libz", "Package: orphan"]


def test_dpkg_finds_nothing_wrong(tmp_path: Path) -> None:
    """dpkg itself reads the database that is left, and has nothing to complain of."""
    plan = toolchain().plan(*ALTERNATIVE, *TRIGGERS)
    for path, inode in plan.result.entries():
        if path.startswith("var/lib/dpkg/") and inode.content is not None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            save(inode.content, tmp_path / path)
    admin = tmp_path / "var/lib/dpkg"
    (admin / "updates").mkdir()

    audit = subprocess.run(["dpkg", f"--admindir={admin}", "--audit"], capture_output=True, text=True, check=False)
    known = subprocess.run(
        ["dpkg-query", f"--admindir={admin}", "-W", "-f", "${Package} ${db:Status-Status}\n"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (audit.returncode, audit.stdout, audit.stderr) == (0, "", "")
    assert known.stdout.splitlines() == [f"{name} installed" for name in ("app", "dpkg", "libz", "orphan")]


@pytest.mark.parametrize(
    ("package", "fields", "left"),
    [
        pytest.param("libmpc3-user", {"Depends": "libmpc3"}, {"libmpc3"}, id="depends"),
        pytest.param("cc-user", {"Pre_Depends": "gcc"}, {"gcc", "gcc-12", "cpp", "binutils", "libmpc3"}, id="all that a tool needs in turn"),
        pytest.param("ld-user", {"Recommends": "libmpc3"}, {"libmpc3"}, id="recommends a dependency"),
        pytest.param("ld-user", {"Suggests": "libmpc3"}, {"libmpc3"}, id="suggests a dependency"),
        pytest.param("cc-user", {"Recommends": "gcc | make"}, set(), id="recommends a tool"),
        pytest.param("either", {"Depends": "libmpc3 | app"}, set(), id="another alternative is there"),
        pytest.param("either", {"Depends": "libmpc3 | app (>= 2)"}, {"libmpc3"}, id="another alternative is too old"),
        pytest.param("either", {"Depends": "nothing | libmpc3"}, {"libmpc3"}, id="the other alternative is missing"),
    ],
)  # fmt: skip
def test_what_a_package_needs_stays(package: str, fields: dict[str, Any], left: set[str]) -> None:
    """A dependency is satisfied afterwards as it was before."""
    plan = toolchain().package(package, **fields).plan()

    assert set(installed(plan)) == {"dpkg", "libz", "app", "orphan", package} | left


def test_a_name_that_a_package_provides_counts() -> None:
    """What satisfies a dependency by Provides stays, unless another provides it too."""
    debian = (
        toolchain()
        .package("libc-dev-thing", "usr/include/z.h", Provides="headers (= 2)")
        .package("tool-dev", Depends="libmpc3")
    )
    user = debian.package("user", Depends="headers (>= 2), x")

    assert "libc-dev-thing" in installed(user.plan())


def test_tools_that_stay_say_why() -> None:
    """A tool that something needs is in the report with who needs it."""
    plan = toolchain().package("cc-user", Depends="gcc").plan()

    assert {kept.path: kept.reason for kept in plan.kept}[f"{INFO}/gcc.list"] == "Debian package cc-user needs gcc"


@pytest.mark.parametrize(
    ("more", "config", "exclude", "reason"),
    [
        pytest.param([], {"Cmd": ["gcc", "-v"]}, (), "the image's Cmd runs gcc", id="Cmd"),
        pytest.param([], {"Entrypoint": ["sh", "-c", "cd /x; gcc -v"]}, (), "the image's Entrypoint runs gcc", id="in a shell's line"),
        pytest.param(ALTERNATIVE, {"Cmd": ["cc", "x.c"]}, (), "the image's Cmd runs cc", id="through an alternative"),
        pytest.param([file("app/x", b"#!/usr/bin/gcc -x\n", mode=0o755)], {}, (), "/app/x is run by it", id="shebang"),
        pytest.param([file("app/x", b"#!/usr/bin/env gcc\n", mode=0o755)], {}, (), "/app/x is run by it", id="env"),
        pytest.param([symlink("usr/local/bin/cc", "/usr/bin/gcc")], {}, (), "/usr/local/bin/cc is a symlink to it", id="symlink"),
        pytest.param([], {}, ("/usr/bin/gcc",), "excluded by --exclude /usr/bin/gcc (/usr/bin/gcc)", id="excluded"),
        pytest.param([file("var/lib/dpkg/diversions", b"/usr/bin/x\n/usr/bin/x.distrib\ngcc\n")], {}, (), "diverts /usr/bin/x", id="diversion"),
        pytest.param([file("var/lib/dpkg/diversions", b"/usr/bin/gcc\n/usr/bin/gcc.distrib\n:\n")], {}, (), "its /usr/bin/gcc is diverted", id="diverted"),
        pytest.param(
            [{**ALTERNATIVE[0], "data": b"auto\n/usr/bin/cc\n\n/usr/bin/gcc\n20\n/usr/bin/app\n10\n\n"}, *ALTERNATIVE[1:3]], {}, (),
            "is what the alternative cc leads to, and there are others", id="the chosen alternative",
        ),
    ],
)  # fmt: skip
def test_keeps_a_tool_that_something_uses(
    more: list[Spec], config: dict[str, Any], exclude: tuple[str, ...], reason: str
) -> None:
    """The package stays whole, with all it depends on; other tools go."""
    plan = toolchain().plan(*more, exclude=exclude, **config)

    assert set(installed(plan)) == {"dpkg", "libz", "app", "orphan", "gcc", "gcc-12", "cpp", "binutils", "libmpc3"}
    assert (f"{INFO}/gcc.list", reason) in [(kept.path, kept.reason) for kept in plan.kept]
    assert "usr/include/x.h" not in plan.result


def test_an_alternative_that_is_not_chosen_goes_alone() -> None:
    """The group stays with the choices that are left."""
    group = b"manual\n/usr/bin/cc\n\n/usr/bin/app\n10\n/usr/bin/gcc\n20\n\n"
    chosen = [symlink("etc/alternatives/cc", "/usr/bin/app"), symlink("usr/bin/cc", "/etc/alternatives/cc")]
    more = [file("var/lib/dpkg/alternatives/cc", group), *chosen]

    plan = toolchain().plan(*more)

    assert "gcc" not in installed(plan)
    assert data_of(plan.result, "var/lib/dpkg/alternatives/cc") == b"manual\n/usr/bin/cc\n\n/usr/bin/app\n10\n\n"
    assert "usr/bin/cc" in plan.result


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        pytest.param("make", {"Essential": "yes"}, id="essential"),
        pytest.param("make", {"Protected": "yes"}, id="protected"),
        pytest.param("make", {"Priority": "important"}, id="important"),
        pytest.param("python3-minimal", {}, id="the interpreter"),
        pytest.param("python3.11", {}, id="the interpreter by its version"),
        pytest.param("libpython3-stdlib", {}, id="its library"),
    ],
)
def test_leaves_alone_what_a_system_needs(name: str, fields: dict[str, Any]) -> None:
    """Essential and important packages stay, and interpreters though only a header's package brought them."""
    plan = toolchain().package("python3-dev", Depends=name).package(name, auto=True, **fields).plan()

    assert name in installed(plan)
    assert "python3-dev" not in installed(plan)


def test_a_dependency_that_was_asked_for_stays() -> None:
    """What apt did not install for others is somebody's wish, though only tools need it."""
    plan = Debian().package("make", Depends="libguile").package("libguile", "usr/lib/guile").plan()

    assert installed(plan) == ["dpkg", "libguile"]


def test_another_architecture_is_not_taken_for_ones_own() -> None:
    """A package depends on its own architecture's libraries, unless they say they serve others."""
    debian = toolchain().package("i386-app", Depends="libmpc3", Architecture="i386")

    assert "libmpc3" not in installed(debian.plan())


def test_a_library_that_an_object_outside_dpkg_needs_keeps_its_package(compiled: Any, tmp_path: Path) -> None:
    """The proof of linkage keeps the whole package, not only the file, and what that depends on."""
    library = compiled("answer").read_bytes()
    user = compiled("needs_answer", libraries=(f"-L{tmp_path}", "-lanswer")).read_bytes()
    debian = (
        toolchain()
        .package("make", Depends="libanswer")
        .package("libanswer", "usr/lib/libanswer.so", auto=True, data=library, Depends="libdata")
    )

    plan = debian.package("libdata", auto=True).plan(file("opt/user.so", user))

    assert {"libanswer", "libdata"} <= set(installed(plan))
    assert "make" not in installed(plan)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([file("usr/local/bin/cmake", b"x")], id="no dpkg"),
        pytest.param(
            [file("var/lib/dpkg/status.d/base", b"Package: make\nStatus: install ok installed\n")], id="distroless"
        ),
        pytest.param(
            [file("var/lib/dpkg/status", b"Package: make\nStatus: deinstall ok config-files\n\n")], id="not installed"
        ),
        pytest.param([file("var/lib/dpkg/status", b"")], id="nothing installed"),
    ],
)
def test_leaves_alone_what_dpkg_did_not_install(entries: list[Spec]) -> None:
    """Only installed packages of a database that dpkg would write are taken."""
    plan = plan_for(rule, flattened(entries))

    assert (gone(plan), plan.kept) == ([], ())


@pytest.mark.parametrize(
    ("more", "stays"), [([], False), ([file("usr/lib32/own.so")], True)], ids=["empty", "not empty"]
)
def test_a_link_of_a_merged_usr_goes_with_its_directory(more: list[Spec], *, stays: bool) -> None:
    """Packages list /lib32 as their directory; where it is a link it stays as long as something lies there."""
    plan = (
        toolchain()
        .package("gcc-multilib", "lib32/x.o")
        .plan(symlink("lib32", "usr/lib32"), directory("usr/lib32"), file("usr/lib32/x.o"), *more)
    )

    assert "usr/lib32/x.o" not in plan.result
    assert ("lib32" in plan.result, "usr/lib32" in plan.result) == (stays, True)  # dpkg knows of no usr/lib32
