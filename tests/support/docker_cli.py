"""The engine, asked through its own command line, so that a test does not believe slimmer about slimmer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

from handmade import Spec, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Docker:
    """The engine at HOST, or the one that DOCKER_HOST or the client's default names."""

    def __init__(self, host: str | None = None) -> None:
        self.env = {} if host is None else {"DOCKER_HOST": host}
        self._made: list[str] = []

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run a command of the engine's own client and give what it prints."""
        return self.bytes_of(*arguments, stdin=stdin).decode()

    def bytes_of(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run a command of the engine's own client and give what it prints, as it is."""
        done = self._run(arguments, stdin)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout

    def _run(self, arguments: Sequence[str], stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, check=False, env={**os.environ, **self.env}
        )

    def image(self, name: str, layers: list[bytes], config: Spec | None = None, **top: Any) -> str:
        """Load an image of layer tars, as `docker load` takes it, and give its ID. It is removed after the test."""
        raw = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "2024-02-29T12:00:00Z",
                "config": config or {},
                "rootfs": {
                    "type": "layers",
                    "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers],
                },
                "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
                **top,
            }
        ).encode()
        names = [f"{number}/layer.tar" for number in range(len(layers))]
        manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()
        self._made.append(name)
        self("load", stdin=make_tar(
            *(file(path, layer) for path, layer in zip(names, layers, strict=True)),
            file("config.json", raw), file("manifest.json", manifest),
        ))  # fmt: skip
        return str(self.inspect(name)["Id"])

    def will_make(self, name: str) -> str:
        """Have an image removed after the test that the test makes."""
        self._made.append(name)
        return name

    def inspect(self, name: str) -> Spec:
        """Give what the engine says of an image."""
        described: list[Spec] = json.loads(self("image", "inspect", name))
        return described[0]

    def has(self, name: str) -> bool:
        """Say whether the engine has an image of this name."""
        return self._run(["image", "inspect", name]).returncode == 0

    def borrow(self, name: str, owner: Docker) -> str:
        """Have an image that another engine has; it stays, so that the next test need not load it."""
        layers = owner.inspect(name)["RootFS"]["Layers"]
        if self.has(name) and self.inspect(name)["RootFS"]["Layers"] != layers:
            self("rmi", "-f", name)
        if not self.has(name):
            self("load", stdin=owner.bytes_of("save", name))
        return name

    def raw_config(self, name: str) -> bytes:
        """Give an image's configuration as `docker save` has it: inspecting shows no key that the engine does not know."""
        with tarfile.open(fileobj=io.BytesIO(self.bytes_of("save", name))) as archive:
            manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
            config = archive.extractfile(manifest[0]["Config"])
            assert config is not None
            return config.read()

    def exported(self, name: str) -> dict[str, tarfile.TarInfo]:
        """Give what the engine's own merged view of an image holds, less what it adds to a container."""
        container = self("create", name, "true").strip()
        try:
            raw = self.bytes_of("export", container)
        finally:
            self("rm", "-v", container)
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            return {member.name.rstrip("/"): member for member in tar}

    def leftovers(self) -> list[str]:
        """Give what a run must not leave: containers, volumes, dangling images, trial names."""
        return [
            *(f"container {line}" for line in self("ps", "-aq").split()),
            *(f"volume {line}" for line in self("volume", "ls", "-q").split()),
            *(f"dangling {line}" for line in self("images", "-q", "-f", "dangling=true").split()),
            *(f"trial {line}" for line in self("images", "-q", "slimmer-trial").split()),
        ]

    def clean(self) -> None:
        """Remove what the test made."""
        for name in self._made:
            self._run(["rmi", "-f", name])
