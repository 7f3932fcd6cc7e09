from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.metadata.pip_record import amend
from slimmer.metadata.record_rows import rows
from slimmer.pieces import Piece
from slimmer.plan import Keep, Replace

from handmade import Spec, file, flattened, hard_link, save, symlink

SITE = "venv/lib/python3/site-packages"
RECORD = f"{SITE}/pkg-1.dist-info/RECORD"
OLD, NEW = b"old" * 100, b"newer" * 10


def encoded(data: bytes, algorithm: str = "sha256") -> str:
    """Give a digest as a RECORD has it."""
    return urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()


def row(path: str, data: bytes = OLD, algorithm: str = "sha256") -> bytes:
    """Give the row of a file without its line end."""
    return f"{path},{algorithm}={encoded(data, algorithm)},{len(data)}".encode()


def read(content: Content) -> bytes:
    """Give all the bytes of a content."""
    return content.read_at(0, content.size)


def amended(record: bytes, *more: Spec, changed: tuple[str, ...] = (f"{SITE}/pkg/a.so",)) -> list[Replace | Keep]:
    """Give what becomes of a RECORD beside pkg/a.so and MORE when CHANGED have new content."""
    rootfs = flattened([file(f"{SITE}/pkg/a.so", OLD), file(RECORD, record), *more])
    return list(amend(rootfs, dict.fromkeys(changed, Content.of(NEW))))


def one(decisions: list[Replace | Keep]) -> bytes:
    """Give the content of the only decision, which replaces the RECORD."""
    (decision,) = decisions
    assert isinstance(decision, Replace)
    assert decision.path == RECORD
    return read(decision.content)


def reason(decisions: list[Replace | Keep]) -> str:
    """Give the reason of the only decision, which keeps the RECORD."""
    (decision,) = decisions
    assert isinstance(decision, Keep)
    assert decision.path == RECORD
    return decision.reason


@pytest.mark.parametrize(
    "line_end", [pytest.param(b"\r\n", id="pip"), pytest.param(b"\n", id="uv"), pytest.param(b"\r", id="old")]
)
def test_replaces_hash_and_size_and_nothing_else(line_end: bytes) -> None:
    """Other rows, their order, empty columns and the line ends stay; the row of the RECORD itself has no hash."""
    before = [
        row("pkg/__init__.py", b""),
        row("pkg/a.so"),
        b"pkg/__pycache__/a.pyc,,",
        b"pkg-1.dist-info/RECORD,,",
        b"",
    ]
    after = [before[0], row("pkg/a.so", NEW), *before[2:]]

    assert one(amended(line_end.join(before))) == line_end.join(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(row("pkg/a.so"), row("pkg/a.so", NEW), id="no line end at the end"),
        pytest.param(b'"pkg/a.so","sha256=' + encoded(OLD).encode() + b'","300"\n', b'"pkg/a.so","sha256=' + encoded(NEW).encode() + b'","50"\n', id="all quoted"),
        pytest.param(row("pkg/a.so", OLD, "sha512"), row("pkg/a.so", NEW, "sha512"), id="sha512"),
        pytest.param(row("pkg/a.so", OLD, "sha384"), row("pkg/a.so", NEW, "sha384"), id="sha384"),
        pytest.param(b"pkg/a.so,,300\n", b"pkg/a.so,,50\n", id="a size without a hash"),
        pytest.param(row("pkg/a.so").removesuffix(b"300"), row("pkg/a.so", NEW).removesuffix(b"50"), id="a hash without a size"),
        pytest.param(row(f"/{SITE}/pkg/a.so"), row(f"/{SITE}/pkg/a.so", NEW), id="absolute"),
        pytest.param(row("../site-packages/./pkg/a.so"), row("../site-packages/./pkg/a.so", NEW), id="a way round"),
        pytest.param(b"\xef\xbb\xbfx,,\n\xff\xfe,,\n" + row("pkg/a.so"), b"\xef\xbb\xbfx,,\n\xff\xfe,,\n" + row("pkg/a.so", NEW), id="not UTF-8"),
        pytest.param(b'\n\nrubbish\n,\n"open,,\na"b,,\n' + row("pkg/a.so"), b'\n\nrubbish\n,\n"open,,\na"b,,\n' + row("pkg/a.so", NEW), id="malformed rows"),
        pytest.param(row("pkg/a.so") + b",more\n", row("pkg/a.so", NEW) + b",more\n", id="a fourth column"),
        pytest.param(row("pkg/a.so") + b"\n" + row("pkg/a.so"), row("pkg/a.so", NEW) + b"\n" + row("pkg/a.so", NEW), id="twice"),
    ],
)  # fmt: skip
def test_rows_as_installers_and_people_write_them(before: bytes, after: bytes) -> None:
    """Whatever a row looks like, only its hash and its size change."""
    assert one(amended(before)) == after


@pytest.mark.parametrize(
    ("path", "written", "entries"),
    [
        pytest.param(f"{SITE}/a,b.so", b'"a,b.so"', [file(f"{SITE}/a,b.so", OLD)], id="comma"),
        pytest.param(f'{SITE}/a"b.so', b'"a""b.so"', [file(f'{SITE}/a"b.so', OLD)], id="quote"),
        pytest.param(f"{SITE}/a\nb.so", b'"a\nb.so"', [file(f"{SITE}/a\nb.so", OLD)], id="line end"),
        pytest.param(f"{SITE}/\udcff.so", b"\xff.so", [file(f"{SITE}/\udcff.so", OLD)], id="a name that is not UTF-8"),
        pytest.param("venv/bin/x", b"../../../bin/x", [file("venv/bin/x", OLD)], id="a script"),
        pytest.param("bin/x", b"../../../../../../../bin/x", [file("bin/x", OLD)], id="above the root"),
        pytest.param("venv/lib/x.so", b"../../../lib64/x.so", [file("venv/lib/x.so", OLD), symlink("venv/lib64", "lib")], id="lib64"),
        pytest.param("usr/lib/x.so", b"/lib/x.so", [file("usr/lib/x.so", OLD), symlink("lib", "/usr/lib")], id="merged /usr"),
        pytest.param(f"{SITE}/x.so.1", b"x.so", [file(f"{SITE}/x.so.1", OLD), symlink(f"{SITE}/x.so", "x.so.1")], id="symlink"),
    ],
)  # fmt: skip
def test_follows_a_row_to_its_file(path: str, written: bytes, entries: list[Spec]) -> None:
    """A row leads where the kernel would go from the directory that holds the .dist-info."""
    before, after = (
        written + b",sha256=" + encoded(data).encode() + b",%d\r\n" % len(data) + row("pkg/a.so") for data in (OLD, NEW)
    )

    assert one(amended(before, *entries, changed=(path,))) == after


def test_nothing_changed_nothing_to_do() -> None:
    """A RECORD that names no changed path is not mentioned, even when it is signed or holds rubbish."""
    assert amended(row("pkg/a.so"), changed=()) == []
    assert amended(row("pkg/b.so") + b"\npkg/a.so,,", file(f"{SITE}/pkg-1.dist-info/RECORD.jws")) == []


@pytest.mark.parametrize("signature", ["RECORD.jws", "RECORD.p7s"])
def test_a_signed_record_stays(signature: str) -> None:
    """A signature over the RECORD would be broken by any change of it."""
    decisions = amended(row("pkg/a.so"), file(f"{SITE}/pkg-1.dist-info/{signature}"))

    assert reason(decisions) == f"signed by {signature}: its rows of changed files keep the old hashes"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        pytest.param(b"pkg/a.so,blake3=abc,300", "'pkg/a.so' has a hash of an unknown kind, blake3", id="unknown algorithm"),
        pytest.param(b"pkg/a.so,sha256=%064d,300" % 0, "not in unpadded base64", id="hexadecimal"),
        pytest.param(row("pkg/a.so", b"other"), "says 5 bytes and the file had 300 before slimming", id="wrong size"),
        pytest.param(b"pkg/a.so,md5=x,300\n" * 3, "md5, and 2 more", id="several"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_made_true_stays(record: bytes, words: str) -> None:
    """The reason says which row and why."""
    assert words in reason(amended(record))


def test_other_rows_are_amended_all_the_same() -> None:
    """One row that stays is a reason, and no reason to leave the others false."""
    record = b"pkg/a.so,blake3=abc,300\n" + row("pkg/a.so") + b"\n"

    keep, replace = amended(record)

    assert isinstance(keep, Keep)
    assert isinstance(replace, Replace)
    assert read(replace.content) == b"pkg/a.so,blake3=abc,300\n" + row("pkg/a.so", NEW) + b"\n"


def test_a_hash_that_was_wrong_before_stays_wrong() -> None:
    """Slimming does not cover up that somebody changed a file."""
    forged = row("pkg/a.so", b"x" * len(OLD))

    assert one(amended(forged)) == forged.removesuffix(b"300") + b"50"


def test_no_changed_file_is_read_before_the_record_is() -> None:
    """A dry run knows the size of the new RECORD and hashes nothing."""

    class Unread:
        def read_at(self, offset: int, length: int) -> bytes:
            raise AssertionError(f"{length} bytes were read from {offset}")

    rootfs = flattened([file(f"{SITE}/pkg/a.so", OLD), file(RECORD, row("pkg/a.so"))])
    (decision,) = amend(rootfs, {f"{SITE}/pkg/a.so": Content([Piece(Unread(), 0, 1 << 40)])})

    assert isinstance(decision, Replace)
    assert decision.content.size == len(row("pkg/a.so").removesuffix(b"300")) + len(str(1 << 40))


def test_every_record_that_names_the_file() -> None:
    """uv's cache holds the same file under its own RECORD; both are amended, each as a file of its own."""
    cache = "cache/archive-v0/xyz"
    rootfs = flattened(
        [
            file(f"{cache}/pkg/a.so", OLD),
            file(f"{cache}/pkg-1.dist-info/RECORD", row("pkg/a.so") + b"\n"),
            hard_link(f"{SITE}/pkg/a.so", f"{cache}/pkg/a.so"),
            file(RECORD, row("pkg/a.so") + b"\npkg-1.dist-info/INSTALLER,,\n"),
        ]
    )
    new = Content.of(NEW)

    decisions = list(amend(rootfs, {f"{cache}/pkg/a.so": new, f"{SITE}/pkg/a.so": new}))

    assert {decision.path: read(decision.content) for decision in decisions if isinstance(decision, Replace)} == {
        f"{cache}/pkg-1.dist-info/RECORD": row("pkg/a.so", NEW) + b"\n",
        RECORD: row("pkg/a.so", NEW) + b"\npkg-1.dist-info/INSTALLER,,\n",
    }


def test_a_linked_record_is_replaced_once_under_its_first_name() -> None:
    """A file is replaced under all its names at once, whichever of them is a RECORD."""
    rootfs = flattened([file("a", row("pkg/a.so")), hard_link(RECORD, "a"), file(f"{SITE}/pkg/a.so", OLD)])

    (decision,) = amend(rootfs, {f"{SITE}/pkg/a.so": Content.of(NEW)})

    assert decision.path == "a"


def test_a_record_within_a_distribution() -> None:
    """setuptools vendors distributions with their RECORDs, and its own RECORD has the hashes of those."""
    inner_path = f"{SITE}/pkg/_vendor/in-1.dist-info/RECORD"
    inner, inner_new = row("in.so"), row("in.so", NEW)
    rootfs = flattened(
        [
            file(f"{SITE}/pkg/_vendor/in.so", OLD),
            file(inner_path, inner),
            file(RECORD, row("pkg/_vendor/in-1.dist-info/RECORD", inner)),
        ]
    )

    decisions = list(amend(rootfs, {f"{SITE}/pkg/_vendor/in.so": Content.of(NEW)}))

    assert {decision.path: read(decision.content) for decision in decisions if isinstance(decision, Replace)} == {
        inner_path: inner_new,
        RECORD: row("pkg/_vendor/in-1.dist-info/RECORD", inner_new),
    }


# A bare carriage return is quoted by no csv module before Python 3.13, and read as a line end.
names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\r"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."} and not name.startswith(".wh.")
)


@given(
    files=st.dictionaries(names, st.binary(max_size=20), min_size=1, max_size=6),
    chosen=st.sets(st.integers(0, 5)),
    line_end=st.sampled_from(["\r\n", "\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    unchanged=st.booleans(),
)
def test_only_rows_of_changed_files_differ(
    files: dict[str, bytes], chosen: set[int], line_end: str, quoting: Any, *, unchanged: bool
) -> None:  # fmt: skip
    """A RECORD amended is the RECORD an installer would have written; with unchanged contents it is the same."""

    def written(contents: dict[str, bytes]) -> bytes:
        lines: list[str] = []

        class Lines:
            def write(self, line: str) -> None:
                lines.append(line)

        writer = csv.writer(Lines(), lineterminator=line_end, quoting=quoting)
        writer.writerows([name, f"sha256={encoded(data)}", len(data)] for name, data in contents.items())
        writer.writerow(["pkg-1.dist-info/RECORD", "", ""])
        return "".join(lines).encode()

    after = {
        name: data if unchanged or index not in chosen else data + b"+"
        for index, (name, data) in enumerate(files.items())
    }
    changed = {f"{SITE}/{name}": Content.of(after[name]) for index, name in enumerate(files) if index in chosen}
    rootfs = flattened([*(file(f"{SITE}/{name}", data) for name, data in files.items()), file(RECORD, written(files))])

    decisions = list(amend(rootfs, changed))

    assert bool(decisions) == bool(changed)
    if decisions:
        assert one(decisions) == written(after)


@given(st.binary(max_size=60) | st.text('a,"\r\n', max_size=30).map(str.encode))
def test_rows_of_any_bytes(data: bytes) -> None:
    """No RECORD is too broken to be read, and what a row says lies where it says."""
    for found in rows(data):
        assert data[found.hash_start : found.hash_start + len(found.hash)] == found.hash
        assert data[found.size_start : found.size_start + len(found.size)] == found.size


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with wheels that hold libraries and a script, and uv."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "markupsafe", "charset_normalizer", "uv"],
        check=True,
    )  # fmt: skip
    return folder


def install(installer: str, wheels: Path, folder: Path) -> tuple[Path, Path]:
    """Give the site-packages and the interpreter of a new environment with the wheels in it."""
    subprocess.run([sys.executable, "-m", "venv", "--copies", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    offline: list[str | Path] = ["--no-index", "--no-deps", "--find-links", wheels]
    pip: list[str | Path] = [python, "-m", "pip", "install", "-q", *offline]
    if installer == "pip":
        subprocess.run([*pip, "markupsafe", "charset_normalizer"], check=True)
    else:
        subprocess.run([*pip, "--target", folder / "uv", "uv"], check=True)
        uv: list[str | Path] = [
            folder / "uv/bin/uv",
            "pip",
            "install",
            "-q",
            "--cache-dir",
            folder / "cache",
            "--python",
            python,
        ]
        subprocess.run([*uv, *offline, "markupsafe", "charset_normalizer"], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    return site, python


def entries_of(folder: Path) -> list[Spec]:
    """Give everything below a folder as a layer would hold it."""
    entries: list[Spec] = []
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(directory, name)
            inside = str(path.relative_to(folder))
            if path.is_symlink():
                entries.append(symlink(inside, str(path.readlink())))
            elif path.is_file():
                entries.append(file(inside, path.read_bytes()))
    return entries


def mismatches(site: Path) -> list[str]:
    """Give the files that an auditor would complain about."""
    wrong = []
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        for found in distribution.files or ():
            data = Path(str(found.locate())).read_bytes()
            if found.hash is not None and found.hash.value != encoded(data, found.hash.mode):
                wrong.append(str(found))
            if found.size is not None and found.size != len(data):
                wrong.append(str(found))
    return wrong


@pytest.mark.parametrize(("installer", "line_end"), [("pip", b"\r\n"), ("uv", b"\n")])
def test_what_pip_and_uv_installed(installer: str, line_end: bytes, wheels: Path, tmp_path: Path) -> None:
    """After libraries and a script shrank, every row is true, the line ends are the installer's, and pip uninstalls."""
    site, python = install(installer, wheels, tmp_path)
    targets = [*site.glob("**/*.so"), tmp_path / "venv/bin/normalizer"]
    assert len(targets) >= 3
    rootfs = flattened(entries_of(tmp_path))
    changed = {str(path.relative_to(tmp_path)): Content.of(path.read_bytes()[:-1]) for path in targets}

    decisions = list(amend(rootfs, changed))
    for path, content in changed.items():
        # As a layer is written: the file is another one, its links of old keep the old content.
        (tmp_path / path).unlink()
        save(content, tmp_path / path)
    assert len(mismatches(site)) >= len(targets)
    for decision in decisions:
        assert isinstance(decision, Replace), decision
        save(decision.content, tmp_path / decision.path)

    assert mismatches(site) == []
    (record,) = site.glob("markupsafe-*.dist-info/RECORD")
    assert record.read_bytes().count(line_end) == record.read_bytes().count(b"\n") > 5
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "markupsafe", "charset_normalizer"], check=True)
    assert not [path for path in targets if path.exists()]


def test_the_row_of_a_removed_file_goes() -> None:
    """Only the rows of what is removed go, whole; a symlink that leads to it keeps its own."""
    lines = [
        row("pkg/__init__.py", b""),
        row("pkg/a.so"),
        b"pkg/libx.a,,",
        b'"pkg/b,c.a",,',
        b"pkg/link.a,,",
        b"pkg-1.dist-info/RECORD,,",
    ]
    rootfs = flattened([
        file(f"{SITE}/pkg/a.so", OLD), file(f"{SITE}/pkg/libx.a", OLD), file(f"{SITE}/pkg/b,c.a", OLD), symlink(f"{SITE}/pkg/link.a", "libx.a"),
        file(RECORD, b"\r\n".join(lines) + b"\r\n"),
    ])  # fmt: skip

    decisions = list(amend(rootfs, {f"{SITE}/pkg/a.so": Content.of(NEW)}, {f"{SITE}/pkg/libx.a", f"{SITE}/pkg/b,c.a"}))

    assert one(decisions) == b"\r\n".join([lines[0], row("pkg/a.so", NEW), *lines[4:]]) + b"\r\n"


def test_a_record_that_goes_is_not_amended() -> None:
    """A distribution that is removed takes its RECORD along."""
    rootfs = flattened([file(f"{SITE}/pkg/a.so", OLD), file(RECORD, row("pkg/a.so"))])

    assert list(amend(rootfs, {}, {f"{SITE}/pkg/a.so", RECORD})) == []
