"""Containers of one run: disposable, shut in, and found again by their label when a run is killed.

A container has no network, no capability but to read what belongs to other users of the image, no new privileges and
nothing of the host's files; its memory, its processes and its time are limited, and where it need not write its root is
read-only, with /tmp and /run in memory. With it go the volumes that the image's VOLUME makes.
"""

from __future__ import annotations

import itertools
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DeviceRequest, LogConfig, Ulimit

from slimmer import interrupts
from slimmer.asking import FAILURES, fail
from slimmer.beside import OUTPUT_LIMIT, Beside, Heard
from slimmer.errors import DestinationError
from slimmer.headroom import Room
from slimmer.runs import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slimmer.engine import Engine

RUN_LABEL = "slimmer.run"
"""Label of every container that slimmer makes, with the run it belongs to."""

_MEMORY = 16 << 30
_PROCESSES = 4096
_SHUT_IN: dict[str, Any] = {
    "network_mode": "none",
    "cap_drop": ["ALL"],
    "cap_add": ["DAC_OVERRIDE"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": _MEMORY,
    "memswap_limit": _MEMORY,
    "pids_limit": _PROCESSES,
    "init": True,
}
_OF_THE_GPU = re.compile(r"nvidia|device driver", re.IGNORECASE)
_LIMITS = {"nofile": 4096, "nproc": _PROCESSES}
_OFTEN = 1
"""Seconds between two looks at the engine's disk, which an image may fill."""
_NOT_STARTED = 127  # as a shell says that there is no such command
_OF_THE_IMAGE = re.compile(
    r"unable to find (user|group)|no matching entries|executable file .*not found|[Nn]o such file or directory|"
    r"[Ee]xec format error|exec.*[Pp]ermission denied"
)
"""What runc and crun say when an image names a user, a program or a directory that it does not have."""
_IN_MEMORY = {"/tmp": "rw,exec,nosuid,size=1g", "/run": "rw,nosuid,size=64m"}  # noqa: S108 - the container's


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command in a container came to. `status` is None when it ran past its time."""

    status: int | None
    stdout: str
    stderr: str


class NotStartedError(Exception):
    """The image itself is why a container does not start: its message is what the engine says."""


class ImageGoneError(Exception):
    """The engine has the image no more."""

    def __init__(self, image_id: str) -> None:
        super().__init__(image_id)
        self.image_id = image_id


class Containers:
    """What a run runs in containers."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self._numbers = itertools.count(1)
        self._has_gpus = engine.offers_gpus
        self._room = Room(engine.directory)

    def run(
        self,
        image_id: str,
        command: Sequence[str],
        time_limit: int,
        *,
        as_image: bool = False,
        read_only: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run COMMAND for at most TIME_LIMIT seconds in a container of its own and remove that, whatever happens.

        ENTRYPOINT and HEALTHCHECK of the image do not apply; its environment does, with ENV added, and with
        AS_IMAGE its USER and WORKDIR. Raises DestinationError when the engine cannot run it.
        """
        own: dict[str, Any] = {} if as_image else {"user": "0:0", "working_dir": "/"}
        own |= {"command": list(command[1:]), "entrypoint": [command[0]], "healthcheck": {"test": ["NONE"]}}
        own["environment"] = dict(env or {})
        try:
            with self._container(image_id, own, command[0], read_only=read_only) as name:
                status = self._wait(name, time_limit)
                return Completed(status, self._output(name, stdout=True), self._output(name, stdout=False))
        except NotStartedError as error:
            return Completed(_NOT_STARTED, "", str(error))

    @contextmanager
    def started(self, image_id: str, health: Mapping[str, Any] | None, *, read_only: bool) -> Iterator[Started]:
        """Give a container in which the image's own entrypoint and command run, as its own USER, in its own WORKDIR.

        HEALTH is what is asked instead of its HEALTHCHECK, as the engine's API has it. Raises NotStartedError where
        the image has no such program or user, DestinationError for what the engine cannot do.
        """
        own = {"healthcheck": dict(health) if health is not None else {"test": ["NONE"]}}
        with self._container(image_id, own, "the image's own command", read_only=read_only) as name:
            yield Started(self._engine, name, self._room)

    @contextmanager
    def _container(self, image_id: str, own: Mapping[str, Any], what: str, *, read_only: bool) -> Iterator[str]:
        name = f"slimmer-{self._run}-{next(self._numbers)}"
        try:
            # One step, so that an interrupt finds either no container or one that the name leads to.
            with interrupts.held():
                self._start(image_id, own, name, read_only=read_only)
            yield name
        except ImageNotFound as error:
            raise ImageGoneError(image_id) from error
        except FAILURES as error:
            fail(DestinationError, f"the engine cannot run {what} in {image_id}, so nothing is proved or tagged", error)
        finally:
            self._engine.tidy(lambda: _remove(self._engine, name))

    def _start(self, image_id: str, own: Mapping[str, Any], name: str, *, read_only: bool) -> None:
        client = self._engine.client
        host = client.create_host_config(
            **_SHUT_IN,
            read_only=read_only,
            tmpfs=_IN_MEMORY if read_only else None,
            # Podman asks for 1,048,576 of both, which an engine whose own limits are lower may not give.
            ulimits=[Ulimit(name=limit, soft=value, hard=value) for limit, value in _LIMITS.items()],
            log_config=LogConfig(type="json-file", config={"max-size": "16m", "max-file": "1"}),
            device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if self._has_gpus else None,
        )
        try:
            client.create_container(
                image_id, name=name, network_disabled=True, labels={RUN_LABEL: str(self._run)}, host_config=host, **own
            )
            client.start(name)
        except APIError as error:
            said = str(error.explanation or error)
            if self._has_gpus and _OF_THE_GPU.search(said):
                # An engine may have NVIDIA's runtime on a machine without a GPU; what is run shows which it sees.
                self._has_gpus = False
                _remove(self._engine, name)
                self._start(image_id, own, name, read_only=read_only)
            elif _OF_THE_IMAGE.search(said):
                raise NotStartedError(said) from error
            else:
                raise

    def _wait(self, name: str, time_limit: int) -> int | None:
        asked = Beside(lambda: self._status(name, time_limit))
        while asked.is_alive():
            asked.join(_OFTEN)
            self._room.require(f"the container {name}")
        return asked.answer()

    def _status(self, name: str, time_limit: int) -> int | None:
        try:
            return int(self._engine.client.wait(name, timeout=time_limit)["StatusCode"])
        except (requests.Timeout, requests.ConnectionError) as error:
            # The SDK gives a timeout while it waits for the body the name of a lost connection.
            if "timed out" in str(error).lower():
                return None
            raise

    def _output(self, name: str, *, stdout: bool) -> str:
        return _logged(self._engine, name, stdout=stdout, stderr=not stdout)


class Recalling(Containers):
    """Containers that recall what a command came to in one image, and run it there once only."""

    def __init__(self, engine: Engine, run: Run, image_id: str) -> None:
        super().__init__(engine, run)
        self._image_id = image_id
        self._known: dict[object, Completed] = {}

    def run(
        self, image_id: str, command: Sequence[str], time_limit: int, *, as_image: bool = False,
        read_only: bool = True, env: Mapping[str, str] | None = None,
    ) -> Completed:  # fmt: skip
        """Run COMMAND, or give what it came to in the image whose runs are recalled: see `Containers.run`."""
        key = (tuple(command), time_limit, as_image, read_only, tuple(sorted((env or {}).items())))
        if image_id != self._image_id or key not in self._known:
            done = super().run(image_id, command, time_limit, as_image=as_image, read_only=read_only, env=env)
            if image_id != self._image_id:
                return done
            self._known[key] = done
        return self._known[key]


class Started:
    """A container in which an image's own command runs."""

    def __init__(self, engine: Engine, name: str, room: Room) -> None:
        self._engine = engine
        self._name = name
        self._room = room

    def state(self) -> Mapping[str, Any]:
        """Give its state as the engine has it: Running, ExitCode, Health. Raises CheckError where it fills the disk."""
        self._room.require(f"the container {self._name}")
        state: dict[str, Any] = self._engine.client.inspect_container(self._name)["State"]
        return state

    def execute(self, command: Sequence[str], time_limit: int) -> Completed:
        """Run a command beside its own for at most TIME_LIMIT seconds; one that goes on ends with the container."""
        client = self._engine.client
        made = client.exec_create(self._name, list(command))
        heard = Heard(client.exec_start(made["Id"], stream=True, demux=True))
        asked = Beside(heard.listen)
        asked.join(time_limit)
        if asked.is_alive():
            return Completed(None, *heard.said())
        asked.answer()
        return Completed(client.exec_inspect(made["Id"])["ExitCode"], *heard.said())

    def said(self) -> str:
        """Give what it wrote so far."""
        return _logged(self._engine, self._name, stdout=True, stderr=True)


def remove_left(engine: Engine) -> list[str]:
    """Remove the containers of runs that are over, with their volumes, and give their names; those of others stay."""
    try:
        found = engine.client.containers(all=True, filters={"label": RUN_LABEL})
    except FAILURES as error:
        fail(DestinationError, "the engine does not say which containers it has", error)
    removed = []
    for container in found:
        run = Run.parse(str((container.get("Labels") or {}).get(RUN_LABEL)))
        if run is not None and run.is_over():
            removed.append(str((container.get("Names") or [container["Id"]])[0]).lstrip("/"))
            _remove(engine, str(container["Id"]))
    return removed


def _remove(engine: Engine, name: str) -> None:
    try:
        with interrupts.held():
            engine.surely(lambda: engine.client.remove_container(name, v=True, force=True))
    except NotFound:
        return
    except FAILURES as error:
        if "already in progress" in str(error):  # another run found what a killed one left, too
            return
        fail(DestinationError, f"the container {name} may be left in the engine; `slimmer clean` removes it", error)


def _logged(engine: Engine, name: str, *, stdout: bool, stderr: bool) -> str:
    parts: list[bytes] = []
    size = 0
    stream: Any = engine.client.logs(name, stdout=stdout, stderr=stderr, stream=True, follow=False)
    try:
        for part in stream:
            parts.append(part[: OUTPUT_LIMIT - size])
            size += len(parts[-1])
            if size >= OUTPUT_LIMIT:
                break
    finally:
        # The SDK leaves it to its caller and gives no other way; one that writes without end is left in the middle.
        stream._response.close()  # noqa: SLF001 - see above
    return b"".join(parts).decode("utf-8", "replace")
