"""A Docker engine: the few things that slimmer asks of it, and its errors as sentences.

asking.py says what may go wrong.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from docker.errors import APIError, ImageNotFound, NotFound

from slimmer import connecting, interrupts
from slimmer.asking import CUT_OFF, FAILURES, Measured, fail, first_line
from slimmer.chunks import CHUNK
from slimmer.errors import DestinationError, SlimmerError, SourceError
from slimmer.platforms import Platform
from slimmer.progress import Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import APIClient

    from slimmer.chunks import Chunk
    from slimmer.progress import Progress
    from slimmer.reference import Tag

_RETURNS = 30
"""Seconds that an engine has to come back, as one that is restarted does, and to end what it was told to do."""

_Answer = TypeVar("_Answer")


class Engine:
    """The engine at DOCKER_HOST, or the local one."""

    def __init__(self, client: APIClient, where: str, progress: Progress) -> None:
        self.client = client
        self.where = where
        self._progress = progress
        self._is_gone = False
        self.is_tidy = True
        """Whether all that was to be cleaned up is; the person was told where something may be left."""

    @classmethod
    @contextmanager
    def connect(cls, progress: Progress | None = None) -> Iterator[Engine]:
        """Give the engine; raise SourceError, saying how to start one, when none answers.

        PROGRESS hears when it has to be waited for.
        """
        where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            client = connecting.client()
        except FAILURES as error:
            if "Permission denied" in str(error):
                raise SourceError(
                    f"the Docker engine at {where} refuses this user; run slimmer as root or join the group docker"
                ) from error
            raise SourceError(
                f"no Docker engine answers at {where}; "
                f"start one (systemctl start docker, or dockerd as root) or set DOCKER_HOST ({first_line(error)})"
            ) from error
        try:
            yield cls(client, where, progress or Silence())
        finally:
            client.close()

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the engine says of itself; raises SourceError when it does not."""
        try:
            return dict(self.client.info())
        except FAILURES as error:
            fail(SourceError, "the engine does not say what it is", error)

    @property
    def keeps_blobs(self) -> bool:
        """Whether it is Docker with the containerd image store, which keeps layers compressed as they come."""
        return ["driver-type", "io.containerd.snapshotter.v1"] in (self.info.get("DriverStatus") or [])

    @cached_property
    def takes_layers_alone(self) -> bool:
        """Whether an image can be made of a layer that it has already: Docker with a graph driver, not Podman."""
        try:
            components = self.client.version(api_version=False).get("Components") or []
        except FAILURES as error:
            fail(SourceError, "the engine does not say what it is", error)
        return not self.keeps_blobs and not any("podman" in str(one.get("Name")).lower() for one in components)

    @property
    def offers_gpus(self) -> bool:
        """Whether it gives GPUs to containers that ask for them: NVIDIA's runtime is one of its own."""
        return "nvidia" in (self.info.get("Runtimes") or {})

    @property
    def directory(self) -> Path | None:
        """Where it keeps images and containers, if that is on this machine."""
        root = Path(str(self.info.get("DockerRootDir") or "/nonexistent"))
        try:
            return root if self.where.startswith("unix://") and root.is_dir() else None
        except OSError:
            return None

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
            return dict(self.client.inspect_image(reference))  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
        except FAILURES as error:
            fail(SourceError, f"the engine cannot say what {reference!r} is", error)

    def image_ids(self) -> list[str]:
        """Give the ID of each image that the engine has, of those without a name too."""
        try:
            return [str(image["Id"]) for image in self.client.images()]
        except FAILURES as error:
            fail(SourceError, "the engine does not say which images it has", error)

    def images(self) -> list[dict[str, Any]]:
        """Give what the engine says of each image that it has, those without a name too."""
        # One may be removed by somebody else meanwhile.
        return [described for image_id in self.image_ids() if (described := self.find(image_id)) is not None]

    def names(self, repository: str) -> list[str]:
        """Give every name of a repository."""
        try:
            found = self.client.images(name=repository)
        except FAILURES as error:
            fail(SourceError, f"the engine does not say what {repository} names", error)
        return sorted({name for image in found for name in image.get("RepoTags") or []})

    def save(self, image_id: str) -> Iterator[bytes]:
        """Give the archive of an image as the engine streams it."""
        try:
            yield from self.client.get_image(image_id, chunk_size=CHUNK)
        except FAILURES as error:
            fail(SourceError, f"the engine stopped sending {image_id}", error)

    def load(self, archive: Iterator[Chunk], tag: Tag) -> None:
        """Load an archive of an image of this name; raise DestinationError when the engine does not take it."""
        with self._answered(archive, tag) as body:
            for line in self.client.load_image(body):  # type: ignore[no-untyped-call]
                if "error" in line:
                    raise DestinationError(f"the engine cannot load the result: {line['error']}")

    def import_layer(self, layer: Iterator[Chunk], size: int, tag: Tag) -> None:
        """Make an image of a layer's plain tar of SIZE bytes, which goes straight to where it stays.

        Raises DestinationError when the engine does not take it.
        """
        with self._answered(layer, tag) as body:
            said = self.client.import_image_from_data(Measured(body, size), tag.repository, tag.tag)
            for line in str(said).splitlines():
                if "error" in (answer := json.loads(line)):
                    raise DestinationError(f"the engine cannot import the result: {answer['error']}")

    @contextmanager
    def _answered(self, chunks: Iterator[Chunk], tag: Tag) -> Iterator[Iterator[Chunk]]:
        """Give the body of a request that makes an image.

        From before the last chunk is sent until the engine's answer an interrupt waits: the engine goes on registering
        what it has the whole of whether its client listens or not, and an image that appears after the cleanup would
        stay. For the same reason it is waited for when the answer is lost.
        """
        is_sent = False
        with ExitStack() as answered:

            def body() -> Iterator[Chunk]:
                nonlocal is_sent
                last: Chunk = b""
                for chunk in chunks:
                    if last:
                        yield last
                    last = chunk
                answered.enter_context(
                    interrupts.held(
                        lambda: self.note("interrupted; waiting for the engine, so that nothing is left in it")
                    )
                )
                yield last
                is_sent = True

            try:
                yield body()
            except (*FAILURES, json.JSONDecodeError) as error:
                if is_sent and isinstance(error, CUT_OFF) and self._comes_back():
                    _wait_for(lambda: self.find(str(tag)) is not None)
                fail(DestinationError, "the engine did not take the result", error)

    def steps(self, image: str) -> list[str] | None:
        """Give what each line of an image's history says it was created by, the last first; None when nobody knows."""
        try:
            steps = self.client.history(image)  # type: ignore[no-untyped-call]
        except FAILURES as error:
            if "nil pointer" in str(error):  # Podman 4, of an image with more lines than layers
                return None
            fail(SourceError, f"the engine cannot say how {image} was made", error)
        return [str(step.get("CreatedBy") or "") for step in steps]

    def last_step(self, image: str) -> str | None:
        """Give what the last line of an image's history says it was created by; None when nobody knows."""
        steps = self.steps(image)
        return next(iter(steps), "") if steps is not None else None

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image a name; whatever had it loses it. Raises DestinationError, and then the image has it not."""
        name = f"{repository}:{tag}"
        try:
            with interrupts.held():
                self.client.tag(image, repository, tag)
        except FAILURES as error:
            # An answer that is lost says nothing of the deed.
            if isinstance(error, CUT_OFF) and self._comes_back() and (self.find(name) or {}).get("Id") == image:
                return
            fail(DestinationError, f"the engine cannot tag {name}", error)

    def discard(self, reference: str) -> None:
        """Take a name from an image, and the image with its last name. Nothing of that name is no fault."""
        try:
            with interrupts.held():
                self.surely(lambda: self.client.remove_image(reference, noprune=False))
        except NotFound:
            return
        except FAILURES as error:
            fail(DestinationError, f"{reference} may be left in the engine; `slimmer clean` removes it", error)

    def tidy(self, deed: Callable[[], None]) -> None:
        """Do what cleans up at an end. That it cannot be done is told, and hides no fault before it and no success."""
        with interrupts.held():
            is_done = False
            try:
                deed()
                is_done = True
            except SlimmerError as error:
                self.note(str(error))
            finally:  # whoever presses Ctrl-C three times does not wait for it
                self.is_tidy &= is_done

    def surely(self, deed: Callable[[], _Answer]) -> _Answer:
        """Ask for what must be done whatever happens: twice of an engine that stumbles or is gone for a while."""
        try:
            return deed()
        except APIError as error:
            if not error.is_server_error():
                raise
        except CUT_OFF:
            if not self._comes_back():
                raise
        return deed()

    def note(self, sentence: str) -> None:
        """Tell the person."""
        self._progress.note(sentence)

    def _comes_back(self) -> bool:
        """Wait until the engine answers, if it does; one that was waited for in vain is not waited for again."""
        if self._is_gone:
            return False
        if not self._answers():
            self.note("the engine does not answer; waiting for it, so that nothing is left in it")
            self._is_gone = not _wait_for(self._answers)
        return not self._is_gone

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except FAILURES:
            return False


def _wait_for(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _RETURNS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return held
