"""Libraries to slim and what became of them, as two processes of slimmer tell each other.

A message is its length in 8 bytes, big-endian, and a pickle: both ends are the same program, and nobody else has the
socket. No content is sent: a task says where its bytes lie, and an outcome which of these it consists of.
"""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, Any

from slimmer.blobs import ZEROS, Bytes
from slimmer.content import Content
from slimmer.elf.binutils import Strip
from slimmer.elf.work.library import Kind, Outcome, Task
from slimmer.pieces import Piece

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from slimmer.blobs import Blob
    from slimmer.elf.binutils import Spool

READY = "ready"
"""What a worker says first."""
_LENGTH = struct.Struct(">Q")
_SPOOLED = -1
_Part = tuple[int, int, int] | bytes | int
"""Bytes of a blob of the task's content, by its place there, or of the spool; other bytes; or so many zeros."""


def send(stream: socket.socket, message: object) -> None:
    """Send a message; raise TypeError or pickle.PicklingError, and send nothing, where it means nothing elsewhere."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.sendall(_LENGTH.pack(len(data)) + data)


def messages(stream: BinaryIO) -> Iterator[Any]:
    """Give the messages that come, until the other end is closed."""
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        data = stream.read(length)
        if len(data) < length:
            return
        yield pickle.loads(data)  # noqa: S301 - see above


def packed(task: Task) -> tuple[object, ...]:
    """Give a task as a message."""
    program = (task.program.path, task.program.version) if task.program is not None else None
    return task.content, task.kind.name, task.architecture, program, task.objection


def unpacked(message: tuple[Any, ...], spool: Spool) -> Task:
    """Give the task of a message; what a strip program writes for it goes to SPOOL."""
    content, kind, architecture, program, objection = message
    written_by = Strip(program[0], program[1], spool) if program is not None else None
    return Task(content, Kind[kind], architecture, written_by, objection)


def told(outcome: Outcome | None, task: Task, spool: Spool) -> tuple[list[_Part] | None, str] | None:
    """Give what became of TASK as a message."""
    if outcome is None or outcome.content is None:
        return None if outcome is None else (None, outcome.words)
    own = task.content.pieces  # held, so that no other blob gets the identity of one
    places = {id(piece.blob): place for place, piece in enumerate(own)}
    return [_part(piece, places, spool) for piece in outcome.content], outcome.words


def understood(message: tuple[list[_Part] | None, str] | None, task: Task, spooled: Blob) -> Outcome | None:
    """Give what a message says that became of TASK; what its spool holds lies in SPOOLED here."""
    if message is None:
        return None
    parts, words = message
    if parts is None:
        return Outcome(None, words)
    blobs = [piece.blob for piece in task.content]
    return Outcome(Content([_piece(part, blobs, spooled) for part in parts]), words)


def _part(piece: Piece, places: dict[int, int], spool: Spool) -> _Part:
    if isinstance(piece.blob, Bytes):
        return piece.blob.read_at(piece.offset, piece.length)
    if id(piece.blob) in places:
        return places[id(piece.blob)], piece.offset, piece.length
    if piece.blob is ZEROS:
        return piece.length
    if piece.blob is not spool.blob:
        raise AssertionError("a library came to hold bytes that are neither its own nor strip's")
    return _SPOOLED, piece.offset, piece.length


def _piece(part: _Part, blobs: Sequence[Blob], spooled: Blob) -> Piece:
    if isinstance(part, bytes):
        return Piece(Bytes(part), 0, len(part))
    if isinstance(part, int):
        return Piece(ZEROS, 0, part)
    place, offset, length = part
    return Piece(spooled if place == _SPOOLED else blobs[place], offset, length)
