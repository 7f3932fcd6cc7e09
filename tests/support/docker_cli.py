"""The engine, asked through its own command line, so that a test does not believe slimmer about slimmer."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from typing import Any

from handmade import Spec, file, make_tar


class Docker:
    """The engine, asked through its own command line, not through slimmer."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run a command of the engine's own client and give what it prints."""
        done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout.decode()

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
        return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0

    def exported(self, name: str) -> dict[str, tarfile.TarInfo]:
        """Give what the engine's own merged view of an image holds, less what it adds to a container."""
        container = self("create", name, "true").strip()
        try:
            raw = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
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
            subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
