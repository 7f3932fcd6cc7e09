"""Programs of another Debian release, run from where their packages are unpacked; nothing is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
_PACKAGES = (
    "binutils-x86-64-linux-gnu", "libbinutils", "libsframe1", "libctf0", "libjansson4", "zlib1g", "libzstd1", "libc6",
    "bolt-19", "libllvm19", "libtinfo6", "libz3-4", "libgmp10", "libstdc++6", "libgcc-s1", "libffi8", "libedit2",
    "libxml2", "libbsd0", "libmd0", "liblzma5",
)  # fmt: skip
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def newer_strip(directory: Path) -> list[str]:
    """Give the command of Debian 13's strip (2.44)."""
    return _command(directory, "usr/bin/x86_64-linux-gnu-strip")


def bolt(directory: Path) -> list[str]:
    """Give the command of LLVM's BOLT."""
    return _command(directory, "usr/lib/llvm-19/bin/llvm-bolt")


def _command(directory: Path, program: str) -> list[str]:
    root = _unpacked(directory)
    libraries = f"{root / _LIBRARIES}:{root / 'usr/lib/llvm-19/lib'}"
    return [str(root / _LIBRARIES / "ld-linux-x86-64.so.2"), "--library-path", libraries, str(root / program)]


def _unpacked(directory: Path) -> Path:
    """Give the directory with the packages' files, fetched from the mirror that this machine takes its own from."""
    root = directory / SUITE
    if not root.is_dir():
        apt = directory / "apt"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (apt / part).mkdir(parents=True, exist_ok=True)
        (apt / "status").touch()
        (apt / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {SUITE} main\n")
        options = [
            *("-q", "-q", "-o", f"Dir::Etc::sourcelist={apt / 'sources.list'}", "-o", "Dir::Etc::sourceparts=-"),
            *("-o", f"Dir::State={apt / 'state'}", "-o", f"Dir::State::status={apt / 'status'}"),
            *("-o", f"Dir::Cache={apt / 'cache'}", "-o", "APT::Sandbox::User=root"),
        ]
        subprocess.run(["apt-get", *options, "update"], check=True)
        subprocess.run(["apt-get", *options, "download", *_PACKAGES], check=True, cwd=apt)
        unfinished = root.with_name(f"{SUITE}.unfinished")
        for package in sorted(apt.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, unfinished], check=True)
        unfinished.rename(root)
    return root


def _mirror() -> str:
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"],
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.split()[0]
