"""How many descriptors a server takes, and what it does with fewer; each in a process of its own, since a limit is for ever."""

import resource
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from hubbub.limits import OTHERS
from hubbub.transport.cold_settings import ColdSettings

from .serverproc import data_folder, start_server

FITTED = """
import logging, resource, sys
from hubbub.limits import fit_descriptors
from hubbub.transport.ledger import TableSettings

logging.basicConfig(stream=sys.stderr, format="%(message)s")
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
table = fit_descriptors(TableSettings(max_connections=connections))
print(*resource.getrlimit(resource.RLIMIT_NOFILE), table.max_connections, table.max_refusals)
"""

LIMITED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit // 2, limit))
runpy.run_module("hubbub", run_name="__main__")
"""

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "then"),
    [
        (256, 8_000, 1_000, (1_000 + 256 + OTHERS, 8_000, 1_000, 256)),  # raised to what it needs, not further
        (6_000, 8_000, 1_000, (6_000, 8_000, 1_000, 256)),  # enough already
        (256, 8_000, 20_000, (8_000, 8_000, 8_000 - 256 - OTHERS, 256)),  # what the others leave
        (256, 1_000, 20_000, (1_000, 1_000, 500, 125)),  # half of a small limit
        (256, 3_000, 300, (3_000, 3_000, 300, 256)),  # never more than was asked for
    ],
)
@pytest.mark.skipif(resource.RLIM_INFINITY != HARD < 8_000, reason="this process may not have so many itself")
def test_the_soft_limit_is_raised_and_the_table_fits(
    soft: int, hard: int, connections: int, then: tuple[int, int, int, int]
) -> None:
    """The hard limit stays; where it is too low there are fewer connections, and one line says so."""
    command = [sys.executable, "-c", FITTED, str(soft), str(hard), str(connections)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert tuple(map(int, done.stdout.split())) == then
    enough = hard >= connections + 256 + OTHERS
    assert done.stderr.count("\n") == (0 if enough else 1)
    if not enough:
        assert f"it takes {then[2]} at most" in done.stderr


def test_the_others_are_counted() -> None:
    """Connections of the cold lane have left the table: room is kept for them, and for the rest of the process."""
    assert ColdSettings().max_connections + 256 <= OTHERS


@pytest.mark.server
def test_a_server_with_few_descriptors_refuses_instead_of_falling_silent() -> None:
    """Past what its limit holds, connections get the documented 503 at once, and the others go on."""
    with data_folder() as data, ExitStack() as sockets:
        server = start_server(data, program=(sys.executable, "-c", LIMITED, "300"))
        sockets.callback(server.close)
        clients = [
            sockets.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)) for _ in range(160)
        ]
        for client in clients[150:]:
            assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
        clients[0].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert clients[0].recv(4096).startswith(b"HTTP/1.1 200 ")
        assert "it takes 150 at most" in server.output()
        assert "table.accept_failed" not in server.output()
