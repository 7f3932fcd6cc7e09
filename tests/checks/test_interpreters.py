from __future__ import annotations

import pytest

from slimmer.checks.interpreters import with_package

from handmade import Spec, file, flattened, symlink


def program(path: str) -> Spec:
    """Give an executable."""
    return file(path, b"\x7fELF", mode=0o755)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(
            [program("usr/local/bin/python3.12"), file("usr/local/lib/python3.12/site-packages/torch/__init__.py")],
            "/usr/local/bin/python3.12",
            id="docker-library python",
        ),
        pytest.param(
            [program("usr/bin/python3.11"), file("usr/local/lib/python3.11/dist-packages/torch/__init__.py")],
            "/usr/bin/python3.11",
            id="Debian, pip --break-system-packages",
        ),
        pytest.param(
            [program("usr/bin/python3.11"), symlink("usr/bin/python3", "python3.11"), file("usr/lib/python3/dist-packages/torch/__init__.py")],
            "/usr/bin/python3",
            id="Debian's own packages",
        ),
        pytest.param(
            [
                program("root/.local/share/uv/python/cpython-3.12/bin/python3.12"),
                symlink("app/.venv/bin/python", "/root/.local/share/uv/python/cpython-3.12/bin/python3.12"),
                file("app/.venv/lib/python3.12/site-packages/torch/__init__.py"),
            ],
            "/app/.venv/bin/python",
            id="uv's virtual environment",
        ),
        pytest.param(
            [program("opt/conda/bin/python"), file("opt/conda/lib/python3.10/site-packages/torch/__init__.py")],
            "/opt/conda/bin/python",
            id="conda",
        ),
    ],
)  # fmt: skip
def test_finds_the_interpreter_beside_the_package(entries: list[Spec], expected: str) -> None:
    """The interpreter that sees the package is found by where both lie, whatever ENTRYPOINT and PATH say."""
    found, orphans = with_package(flattened(entries), "torch")

    assert [interpreter.path for interpreter in found] == [expected]
    assert orphans == []


def test_packages_without_an_interpreter_are_told() -> None:
    """An image may hold packages for an interpreter that it lacks, or has without permission to run."""
    entries = [
        file("venv/lib/python3.12/site-packages/torch/__init__.py"),
        file("venv/bin/python3.12", b"", mode=0o644),
    ]

    found, orphans = with_package(flattened(entries), "torch")

    assert (found, orphans) == ([], ["/venv/lib/python3.12/site-packages"])


def test_a_package_of_a_package_is_not_the_package() -> None:
    """Only a top-level torch counts, and only where interpreters look."""
    entries = [
        program("usr/bin/python3.11"),
        file("usr/lib/python3.11/site-packages/x/torch/__init__.py"),
        file("root/.cache/uv/archive-v0/abc/torch/__init__.py"),
    ]

    assert with_package(flattened(entries), "torch") == ([], [])


def test_a_package_installed_elsewhere_is_found_by_its_metadata() -> None:
    """`pip install --target` puts packages where a PYTHONPATH leads; a copy without metadata or in a cache is none."""
    entries = [
        program("usr/local/bin/python3.12"),
        file("var/task/torch/__init__.py"),
        file("var/task/torch-2.9.0.dist-info/METADATA"),
        file("root/.cache/x/torch/__init__.py"),
        file("root/.cache/x/torch-2.9.0.dist-info/METADATA"),
        file("srv/vendor/torch/__init__.py"),
    ]

    found, orphans = with_package(flattened(entries), "torch")

    assert [(interpreter.path, interpreter.packages) for interpreter in found] == [
        ("/usr/local/bin/python3.12", "/var/task")
    ]
    assert orphans == []
