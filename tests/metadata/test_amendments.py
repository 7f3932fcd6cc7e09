from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

from slimmer.content import Content
from slimmer.metadata import amendments
from slimmer.plan import Replace

from handmade import file, flattened

OLD, NEW = b"old" * 100, b"newer" * 10
RECORD = "usr/lib/python3/dist-packages/x-1.dist-info/RECORD"


def record(data: bytes) -> bytes:
    """Give the RECORD of a library."""
    digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return b"x.so,sha256=%b,%d\n" % (digest, len(data))


def sums(library: bytes) -> bytes:
    """Give the sums of the library and its RECORD."""
    files = {"usr/lib/python3/dist-packages/x.so": library, RECORD: record(library)}
    return "".join(
        f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path}\n" for path, data in files.items()
    ).encode()


def test_the_sum_of_an_amended_record_is_amended() -> None:
    """A Debian package may hold a distribution with its RECORD: both databases are true in the end."""
    library = "usr/lib/python3/dist-packages/x.so"
    info = "var/lib/dpkg/info/python3-x.md5sums"
    rootfs = flattened([file(library, OLD), file(RECORD, record(OLD)), file(info, sums(OLD))])

    decisions = list(amendments(rootfs, {library: Content.of(NEW)}))

    assert {item.path: item.content.read_at(0, 1 << 20) for item in decisions if isinstance(item, Replace)} == {
        RECORD: record(NEW),
        info: sums(NEW),
    }


def test_nothing_changed_nothing_to_do() -> None:
    """Without a change no database is touched."""
    assert list(amendments(flattened([file(RECORD, record(OLD))]), {})) == []
