"""The checks against the real engine: images without what they need, programs that hang, die or are shut in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.checks.command import CommandSpec
from slimmer.progress import Silence
from slimmer.slim import CheckFailedError, Options, slim
from slimmer.trial import Wanted

from built import built
from handmade import Spec, directory, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimmer.checks import Verdict
    from slimmer.report import Report

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/checks:1"


@pytest.fixture
def tag(docker: Docker) -> str:
    """Give the name of a result, which is removed after the test."""
    return docker.will_make("slimmer-test/checks:slim")


@pytest.fixture
def static(tmp_path: Path) -> Callable[[str], bytes]:
    """Give a function that compiles a C program that needs nothing of an image."""

    def compile_program(body: str) -> bytes:
        source = tmp_path / "program.c"
        source.write_text(f"#include <unistd.h>\nint main(void) {{ {body} }}\n")
        subprocess.run(["gcc", "-static", "-o", tmp_path / "program", source], check=True, capture_output=True)
        return (tmp_path / "program").read_bytes()

    return compile_program


def distroless(docker: Docker, program: bytes, library: bytes, **config: object) -> str:
    """Load an image of one program and one library to strip, without shell, interpreter, loader or accounts."""
    layer = make_tar(
        directory("app"), file("app/run", program, mode=0o755), directory("usr"), directory("usr/lib"),
        file("usr/lib/answer.so", library), directory("tmp", mode=0o1777),
    )  # fmt: skip
    spec: Spec = {"Entrypoint": ["/app/run"], **config}
    docker.image(NAME, [layer], spec)
    return NAME


def verdicts(report: Report) -> dict[str, Verdict]:
    """Give what each check found."""
    return {examined.name: examined.verdict for examined in report.checks}


def python(name: str, code: str, **more: object) -> CommandSpec:
    """Give a check of the image's Python, without a shell."""
    return CommandSpec(name, ("python3", "-c", code), in_shell=False, **more)  # type: ignore[arg-type]


def test_an_image_of_one_static_program(
    docker: Docker, tag: str, static: Callable[[str], bytes], compiled: Callable[..., Path]
) -> None:
    """What nobody in the image can do is skipped with its reason; an entrypoint that ends at once ends alike."""
    distroless(docker, static("return 7;"), compiled("answer", "-g3").read_bytes(), User="4711:4711")

    found = verdicts(slim(Options(NAME, tag=tag), Silence()))

    assert found["loads"].status == "skipped"
    assert "neither a Python interpreter nor a loader" in found["loads"].reason
    assert {name for name, verdict in found.items() if verdict.status == "skipped"} == {
        "absent", "imports", "loads", "numpy_linalg", "runtime", "torch_matmul", "triton_kernel",
    }  # fmt: skip
    assert all(verdict.reason for verdict in found.values())
    assert found["starts"].status == "passed"
    assert found["starts"].slimmed == "ends with exit status 7"
    assert found["files"].reason == "6 paths are as planned, in its tar and on the engine's disk"


def test_a_command_that_the_image_cannot_run_is_a_failure(
    docker: Docker, slimmer: Slimmer, static: Callable[[str], bytes], compiled: Callable[..., Path]
) -> None:
    """Who asks for a command is not told that all is well without it."""
    distroless(docker, static("return 0;"), compiled("answer", "-g3").read_bytes())
    before = docker.leftovers()

    done = slimmer("run", NAME, "--check", "true")

    assert done.returncode == 3, done.stderr
    assert "the image has no sh to run it" in done.stderr.splitlines()[-1]
    assert docker.leftovers() == before


def test_a_service_that_stays_up(
    docker: Docker, tag: str, static: Callable[[str], bytes], compiled: Callable[..., Path]
) -> None:
    """A command that does not end is watched for some seconds in both images, and its containers are gone."""
    distroless(docker, static("for (;;) pause();"), compiled("answer", "-g3").read_bytes(), Volumes={"/data": {}})
    before = docker.leftovers()

    found = verdicts(slim(Options(NAME, tag=tag), Silence()))

    assert (found["starts"].status, found["starts"].slimmed) == ("passed", "stays up")
    assert docker.leftovers() == before


SERVICE = b"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/health' else 404)
        self.end_headers()
http.server.HTTPServer(('0.0.0.0', 8123), Handler).serve_forever()
"""
ASK = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8123/health')"


def test_a_service_with_a_healthcheck_becomes_healthy_and_answers(
    docker: Docker, numpy: str, tag: str, tmp_path: Path
) -> None:
    """It need not wait for the image's own interval; the answer is asked for within the container."""
    lines = (
        f'HEALTHCHECK --interval=5m CMD ["python3", "-c", "{ASK}"]\nEXPOSE 8123\nUSER 4711\n'
        'CMD ["python3", "/app/service.py"]'
    )
    built(docker, NAME, numpy, {"app/service.py": SERVICE}, tmp_path / "context", lines)
    options = Options(NAME, tag=tag, only=("tmp_files",), wanted=Wanted(http_path="/health"))

    verdict = verdicts(slim(options, Silence()))["starts"]

    assert verdict.status == "passed"
    assert verdict.slimmed == "stays up, healthy, answers http://127.0.0.1:8123/health with 200"


def test_a_check_that_hangs_is_ended(docker: Docker, numpy: str, tag: str) -> None:
    """After its time limit the container is gone, the exit status is 3 and nothing is tagged."""
    before = docker.leftovers()
    hangs = python("hangs", "import time; time.sleep(600)", time_limit=2)

    with pytest.raises(CheckFailedError, match="no end within 2 s; so it is in the original") as caught:
        slim(Options(numpy, tag=tag, only=("tmp_files",), wanted=Wanted((hangs,))), Silence())

    assert caught.value.exit_code == 3
    assert not docker.has(tag)
    assert docker.leftovers() == before


def test_a_check_that_kills_its_container_is_compared_like_any_other(docker: Docker, numpy: str, tag: str) -> None:
    """It ends by a signal in both images."""
    kills = python("kills", "import os; os.kill(os.getpid(), 9)")

    found = verdicts(slim(Options(numpy, tag=tag, only=("tmp_files",), wanted=Wanted((kills,))), Silence()))

    assert found["command: kills"].status == "passed"
    assert found["command: kills"].slimmed == "exit status 137"


def test_what_a_command_sees(docker: Docker, numpy: str, tag: str, tmp_path: Path) -> None:
    """It runs as the image's USER, who need have no home, in its WORKDIR, and may write where the original must."""
    built(docker, NAME, numpy, {}, tmp_path / "context", "USER 4711:4712\nWORKDIR /somewhere\nENV GREETING=hello")
    who = python(
        "who", "import os; print(os.getuid(), os.getgid(), os.getcwd(), os.environ['GREETING'], os.environ['HOME'])",
        compare="output", expect="4711 4712 /somewhere hello /",
    )  # fmt: skip
    writes = CommandSpec("writes", ("python3", "-c", "open('/var/tmp/x', 'w').write('x')"), in_shell=False, status=0)
    options = Options(NAME, tag=tag, only=("tmp_files",), wanted=Wanted((who, writes)))

    found = verdicts(slim(options, Silence()))

    assert found["command: who"].status == "passed"
    assert found["command: writes"].status == "passed"


def test_numpy_is_loaded_and_imported(docker: Docker, numpy: str, slimmer: Slimmer, tag: str, tmp_path: Path) -> None:
    """Every stripped library loads and the distribution that owns it is imported, each in its own process."""
    done = slimmer("run", numpy, "--tag", tag, "--report", tmp_path / "r.json")

    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads((tmp_path / "r.json").read_text())["checks"]}
    assert checks["loads"]["reason"] == "19 changed libraries load"
    assert checks["imports"]["reason"] == "1 module is imported"


@pytest.fixture
def without_python(compiled: Callable[..., Path]) -> list[bytes]:
    """Give a layer with this machine's own loader and C library, a library that loads and one that lacks a symbol."""
    loader = Path("/lib64/ld-linux-x86-64.so.2").read_bytes()
    libc = next(Path("/").glob("lib/*/libc.so.6")).read_bytes()
    lacks = compiled("needs_answer", "-g3", "-Wl,--unresolved-symbols=ignore-all").read_bytes()
    return [
        make_tar(
            directory("lib64"), file("lib64/ld-linux-x86-64.so.2", loader, mode=0o755), directory("lib"),
            file("lib/libc.so.6", libc, mode=0o755), file("lib/libanswer.so", compiled("answer", "-g3").read_bytes()),
            file("lib/liblacks.so", lacks),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "shell", [[], [make_tar(file("bin/sh", Path("/bin/dash").read_bytes(), mode=0o755))]], ids=["no shell", "shell"]
)
def test_without_python_the_loader_is_asked(
    docker: Docker, tag: str, without_python: list[bytes], shell: list[bytes]
) -> None:
    """In an image without a shell too; a library that fails in both images fails as before."""
    docker.image(NAME, without_python + shell)

    found = verdicts(slim(Options(NAME, tag=tag), Silence()))["loads"]

    assert found.status == "passed", found
    assert found.reason == "1 changed library loads, 1 fail as before"


INFO = "var/lib/dpkg/info"
STATUS = b"""Package: gcc
Status: install ok installed
Priority: optional
Maintainer: x
Architecture: amd64
Version: 1-1
Description: compiler
"""


@pytest.mark.parametrize("another", [False, True], ids=["gone", "another copy"])
def test_a_compiler_that_was_removed_is_not_found(
    docker: Docker, slimmer: Slimmer, without_python: list[bytes], tmp_path: Path, *, another: bool
) -> None:
    """The shell of the image looks for it; a copy that dpkg does not know is a failure that nothing is put back for."""
    layer = make_tar(
        file("bin/sh", Path("/bin/dash").read_bytes(), mode=0o755), directory("etc"), file("etc/debian_version", b"12\n"),
        file("usr/bin/gcc", b"\x7fELF", mode=0o755), file("usr/include/x.h"), file(f"{INFO}/format", b"1\n"),
        file("var/lib/dpkg/status", STATUS), file(f"{INFO}/gcc.md5sums"),
        file(f"{INFO}/gcc.list", b"/.\n/usr\n/usr/bin\n/usr/bin/gcc\n"),
        *([file("sbin/gcc", b"\x7fELF", mode=0o755)] if another else []),
    )  # fmt: skip
    docker.image(NAME, [*without_python, layer])
    docker.will_make(f"{NAME}-slim")

    done = slimmer("run", NAME, "--also", "build_tools", "--report", tmp_path / "r.json")

    report = json.loads((tmp_path / "r.json").read_text())
    (check,) = [check for check in report["checks"] if check["name"] == "absent"]
    assert report["restored"] == []
    if another:
        assert done.returncode == 3, done.stderr
        assert check["reason"] == "gcc can still be run, as /sbin/gcc"
    else:
        assert done.returncode == 0, done.stderr
        assert (check["status"], check["reason"]) == ("passed", "not found: gcc")
