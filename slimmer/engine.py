"""A Docker engine: the few things that slimmer asks of it, and its errors as sentences.

The only importer of the docker SDK.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Ulimit

from slimmer import interrupts
from slimmer.content import CHUNK
from slimmer.errors import CheckError, DestinationError, SlimmerError, SourceError
from slimmer.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimmer.progress import Progress
    from slimmer.reference import Tag

RUN_LABEL = "slimmer.run"
"""Label of every container that slimmer makes, with the run it belongs to."""

_MEMORY = 16 << 30
_PROCESSES = 4096
_LIMITS = {"nofile": 4096, "nproc": _PROCESSES}
_OUTPUT_LIMIT = 4 << 20
_FAILURES = (DockerException, requests.RequestException, OSError)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command in a container came to. `status` is None when it ran past its time."""

    status: int | None
    stdout: str
    stderr: str


class Engine:
    """The engine at DOCKER_HOST, or the local one."""

    def __init__(self, client: docker.APIClient, where: str) -> None:
        self._client = client
        self.where = where

    @classmethod
    @contextmanager
    def connect(cls) -> Iterator[Engine]:
        """Give the engine; raise SourceError, saying how to start one, when none answers."""
        where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            # Saving and loading gigabytes may keep the engine silent for minutes: there is no time limit on an answer.
            client = docker.from_env(version="auto", timeout=None).api  # type: ignore[arg-type] # None is requests' own word for it
        except _FAILURES as error:
            if "Permission denied" in str(error):
                raise SourceError(
                    f"the Docker engine at {where} refuses this user; run slimmer as root or join the group docker"
                ) from error
            raise SourceError(
                f"no Docker engine answers at {where}; "
                f"start one (systemctl start docker, or dockerd as root) or set DOCKER_HOST ({_first_line(error)})"
            ) from error
        try:
            yield cls(client, where)
        finally:
            client.close()

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the engine says of itself; raises SourceError when it does not."""
        try:
            return dict(self._client.info())
        except _FAILURES as error:
            _fail(SourceError, "the engine does not say what it is", error)

    @property
    def keeps_blobs(self) -> bool:
        """Whether it is Docker with the containerd image store, which keeps layers compressed as they come."""
        return ["driver-type", "io.containerd.snapshotter.v1"] in (self.info.get("DriverStatus") or [])

    @cached_property
    def takes_layers_alone(self) -> bool:
        """Whether an image can be made of a layer that it has already: Docker with a graph driver, not Podman."""
        try:
            components = self._client.version(api_version=False).get("Components") or []
        except _FAILURES as error:
            _fail(SourceError, "the engine does not say what it is", error)
        return not self.keeps_blobs and not any("podman" in str(one.get("Name")).lower() for one in components)

    def platform(self) -> Platform:
        """Give the platform whose images it runs."""
        return Platform.parse(f"{self.info.get('OSType') or 'linux'}/{self.info['Architecture']}")

    def inspect(self, reference: str) -> dict[str, Any]:
        """Give what the engine says of an image; raise SourceError when it has none of this name."""
        found = self.find(reference)
        if found is None:
            raise SourceError(f"the engine has no image {reference!r}; see `docker images`, or pull it first")
        return found

    def find(self, reference: str) -> dict[str, Any] | None:
        """Give what the engine says of an image, or None when it has none of this name."""
        try:
            return dict(self._client.inspect_image(reference))  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
        except _FAILURES as error:
            _fail(SourceError, f"the engine cannot say what {reference!r} is", error)

    def save(self, image_id: str) -> Iterator[bytes]:
        """Give the archive of an image as the engine streams it."""
        try:
            yield from self._client.get_image(image_id, chunk_size=CHUNK)
        except _FAILURES as error:
            _fail(SourceError, f"the engine stopped sending {image_id}", error)

    def load(self, archive: Iterator[bytes], progress: Progress) -> None:
        """Load an archive; raise DestinationError when the engine does not take it."""
        with self._answered(archive, progress) as body:
            for line in self._client.load_image(body):  # type: ignore[no-untyped-call]
                if "error" in line:
                    raise DestinationError(f"the engine cannot load the result: {line['error']}")

    def import_layer(self, layer: Iterator[bytes], tag: Tag, progress: Progress) -> None:
        """Make an image of a layer's plain tar, which goes straight to where it stays.

        Raises DestinationError when the engine does not take it.
        """
        with self._answered(layer, progress) as body:
            said = self._client.import_image_from_data(body, tag.repository, tag.tag)
            for line in str(said).splitlines():
                if "error" in (answer := json.loads(line)):
                    raise DestinationError(f"the engine cannot import the result: {answer['error']}")

    @contextmanager
    def _answered(self, chunks: Iterator[bytes], progress: Progress) -> Iterator[Iterator[bytes]]:
        """Give the body of a request that makes an image.

        From the last byte sent until the engine's answer an interrupt waits: the engine goes on registering the image
        whether its client listens or not, and an image that appears after the cleanup would stay.
        """
        with ExitStack() as answered:

            def body() -> Iterator[bytes]:
                yield from chunks
                answered.enter_context(
                    interrupts.held(
                        lambda: progress.note("interrupted; waiting for the engine, so that nothing is left in it")
                    )
                )

            try:
                yield body()
            except _FAILURES as error:
                _fail(DestinationError, "the engine did not take the result", error)

    def last_step(self, image: str) -> str:
        """Give what the last line of an image's history says it was created by."""
        try:
            steps = self._client.history(image)  # type: ignore[no-untyped-call]
        except _FAILURES as error:
            _fail(SourceError, f"the engine cannot say how {image} was made", error)
        return str(steps[0].get("CreatedBy") or "") if steps else ""

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image a name; whatever had it loses it."""
        try:
            with interrupts.held():
                self._client.tag(image, repository, tag)
        except _FAILURES as error:
            _fail(DestinationError, f"the engine cannot tag {repository}:{tag}", error)

    def discard(self, reference: str) -> None:
        """Take a name from an image, and the image with its last name. Nothing of that name is no fault."""
        try:
            with interrupts.held():
                self._client.remove_image(reference, noprune=False)
        except NotFound:
            return
        except _FAILURES as error:
            _fail(
                DestinationError, f"{reference} is left in the engine; remove it with `docker rmi {reference}`", error
            )

    def run(self, image_id: str, command: Sequence[str], name: str, label: str, time_limit: int) -> Completed:
        """Run COMMAND in a container of the image and remove it, whatever happens.

        The container is shut in: no network, no capability but to read what belongs to other users of the image, no
        new privileges, a read-only root with /tmp in memory. ENTRYPOINT, USER, WORKDIR and HEALTHCHECK of the image
        do not apply; its environment does.
        """
        client = self._client
        host = client.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["DAC_OVERRIDE"],
            security_opt=["no-new-privileges"],
            read_only=True,
            tmpfs={"/tmp": "rw,exec,nosuid,size=1g"},  # noqa: S108 - the container's
            mem_limit=_MEMORY,
            pids_limit=_PROCESSES,
            init=True,
            # Podman asks for 1,048,576 of both, which an engine whose own limits are lower may not give.
            ulimits=[Ulimit(name=name, soft=limit, hard=limit) for name, limit in _LIMITS.items()],
            log_config=LogConfig(type="json-file", config={"max-size": "16m", "max-file": "1"}),
        )
        try:
            # One step, so that an interrupt finds either no container or one that the name leads to.
            with interrupts.held():
                client.create_container(
                    image_id, command=list(command[1:]), entrypoint=[command[0]], name=name, user="0:0",
                    working_dir="/", network_disabled=True, labels={RUN_LABEL: label},
                    healthcheck={"test": ["NONE"]}, host_config=host,
                )  # fmt: skip
                client.start(name)
            status = self._wait(name, time_limit)
            return Completed(status, self._output(name, stdout=True), self._output(name, stdout=False))
        except _FAILURES as error:
            _fail(
                CheckError, f"the engine cannot run {command[0]} in {image_id}, so nothing is proved or tagged", error
            )
        finally:
            self._remove_container(name)

    def _wait(self, name: str, time_limit: int) -> int | None:
        try:
            return int(self._client.wait(name, timeout=time_limit)["StatusCode"])
        except (requests.Timeout, requests.ConnectionError) as error:
            # The SDK gives a timeout while it waits for the body the name of a lost connection.
            if "timed out" in str(error).lower():
                return None
            raise

    def _output(self, name: str, *, stdout: bool) -> str:
        stream: Iterable[bytes] = self._client.logs(name, stdout=stdout, stderr=not stdout, stream=True, follow=False)
        parts: list[bytes] = []
        size = 0
        for part in stream:
            parts.append(part[: _OUTPUT_LIMIT - size])
            size += len(parts[-1])
            if size >= _OUTPUT_LIMIT:
                break
        return b"".join(parts).decode("utf-8", "replace")

    def _remove_container(self, name: str) -> None:
        try:
            with interrupts.held():
                self._client.remove_container(name, v=True, force=True)
        except NotFound:
            return
        except _FAILURES as error:
            _fail(CheckError, f"the container {name} is left; remove it with `docker rm -fv {name}`", error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _fail(kind: type[SlimmerError], what: str, error: Exception) -> NoReturn:
    detail = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    raise kind(f"{what}: {detail}") from error
