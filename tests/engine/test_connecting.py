"""The connection to an engine: much may be on its way where this process may ask for that, and it works where not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slimmer.connecting import ON_ITS_WAY

pytestmark = pytest.mark.engine

ROOM = """
import socket
from slimmer import connecting
client = connecting.client()
assert client.ping()
(pool,) = client.get_adapter(client.base_url).pools._container.values()
print(pool._get_conn().sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
"""


def room(*before: str) -> int:
    """Give how many bytes may be on their way to the engine; BEFORE is a command that starts another."""
    words = [*before, sys.executable, "-c", ROOM]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def test_who_may_have_much_on_its_way_has() -> None:
    """The kernel doubles what was asked for (socket(7))."""
    assert room() == 2 * ON_ITS_WAY


def test_who_may_not_is_connected_all_the_same() -> None:
    """Without CAP_NET_ADMIN there is what everybody has."""
    assert 0 < room("setpriv", "--bounding-set=-net_admin") < ON_ITS_WAY
