"""What the rules take out of a real Debian image, and what dpkg, apt and Python say of the rest."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

IMAGE = "slimmer-test/packages:1"
RULES = ("apt_cache", "build_tools", "static_archives", "tmp_files", "duplicates")
# The rest is what a build leaves behind.
BUILD = """
set -e
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Options::=--force-unsafe-io gcc libc6-dev make zlib1g-dev
echo 'int main(void) { return 42; }' >/tmp/x.c
gcc -o /usr/local/bin/answer /tmp/x.c
cp /usr/lib/x86_64-linux-gnu/libz.a /usr/local/lib/libown.a
mkdir /opt/a /opt/b
cp /usr/share/common-licenses/GPL-3 /opt/a; cp /usr/share/common-licenses/GPL-3 /opt/b
"""


def in_container(image: str, script: str, *options: str) -> str:
    """Give what a shell script prints in a container of an image; it must end well."""
    done = subprocess.run(
        ["docker", "run", "--rm", *options, image, "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def slimmed(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Build an image with a compiler and what a build leaves, slim it once, and give the report."""
    container = "slimmer-test-packages"
    subprocess.run(
        ["docker", "run", "--name", container, "--network", "host", base, "sh", "-c", BUILD],
        capture_output=True,
        check=True,
    )
    subprocess.run(
        ["docker", "commit", "--change", 'CMD ["python3"]', container, IMAGE], capture_output=True, check=True
    )
    subprocess.run(["docker", "rm", "-v", container], capture_output=True, check=True)
    path: Path = tmp_path_factory.mktemp("report") / "r.json"
    chosen = [word for rule in RULES for word in ("--only", rule)]
    done = subprocess.run(
        ["slimmer", "run", IMAGE, *chosen, "--report", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    yield json.loads(path.read_text())
    subprocess.run(["docker", "rmi", IMAGE, f"{IMAGE}-slim"], capture_output=True, check=True)


def test_every_rule_saves_what_it_should(slimmed: dict[str, Any]) -> None:
    """The compiler is most of it, and what the rules say they save is what the engine shows."""
    saved = {rule["name"]: rule["saved"] for rule in slimmed["rules"]}

    assert saved["build_tools"] > 100_000_000
    assert saved["apt_cache"] > 10_000_000
    assert saved["static_archives"] > 100_000
    assert saved["tmp_files"] == 30
    assert saved["duplicates"] >= 35_000
    assert sum(saved.values()) == slimmed["saved"]


def test_dpkg_and_apt_find_nothing_wrong(slimmed: dict[str, Any]) -> None:
    """Every database agrees with every file, and apt has nothing to repair."""
    audit = in_container(
        f"{IMAGE}-slim", "dpkg --audit && dpkg -C && dpkg -V && apt-get check -qq && dpkg-query -W -f '${Package}\\n'"
    )

    packages = audit.split()
    assert not {
        "gcc",
        "gcc-12",
        "cpp-12",
        "binutils",
        "make",
        "libc6-dev",
        "linux-libc-dev",
        "zlib1g-dev",
        "libisl23",
    } & set(packages)
    assert {"libc6", "libgcc-s1", "gcc-12-base", "zlib1g", "python3", "apt", "dpkg"} <= set(packages)


def test_what_is_left_works(slimmed: dict[str, Any]) -> None:
    """Programs that were compiled run, Python imports, /tmp may be written by all, and what was linked is still there."""
    script = (
        "answer; echo $?; python3 -c 'import ssl, sqlite3, zlib, lzma'; stat -c %a /tmp; cmp /opt/a/GPL-3 /opt/b/GPL-3; "
        "ls -A /tmp | wc -l; ls /usr/local/lib"
    )

    assert in_container(f"{IMAGE}-slim", script).split() == ["42", "1777", "0", "python3.11"]


def test_a_compiler_can_be_installed_again(slimmed: dict[str, Any]) -> None:
    """apt-get update fetches the lists as its own user, and the packages install as on any system."""
    install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev"
    compiles = "echo 'int main(void) { return 7; }' >/tmp/x.c && gcc -o /tmp/x /tmp/x.c && /tmp/x || echo ended $?"

    assert in_container(f"{IMAGE}-slim", f"{install} && {compiles}", "--network", "host").endswith("ended 7\n")
