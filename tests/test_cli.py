"""Tests of hubbub/cli.py: `serve` checks its arguments, and says in its log where it listens and where the data is."""

import re
import subprocess
import sys
from functools import partial

import pytest
import trio
from click.testing import CliRunner

from hubbub import EmbeddedSettings, open_embedded
from hubbub.cli import cli

from .serverproc import data_folder, running_server


@pytest.mark.parametrize("url", ["", "mysql://root:secret@h/db", "host=h password=secret", "h:5432/db"])
def test_a_database_url_of_another_form_is_wrong_usage(url):
    """Exit code 2 and the right form; the password that it may hold is not repeated."""
    done = CliRunner().invoke(cli, ["serve", "--port", "0", "--database-url", url])
    assert done.exit_code == 2
    assert "postgresql://" in done.output
    assert "secret" not in done.output


@pytest.mark.server
def test_the_log_names_the_data_directory_the_address_and_the_end():
    """At level info a server's life is three lines."""
    with data_folder() as data:
        with running_server(data, "--log-level", "info") as server:
            server.terminate()
            assert server.wait() == 0
        said = re.findall(r"INFO hubbub\.serve (.*)", server.output())
        assert said == [f"store: embedded Postgres in {data}", f"listening on {server.url}", "stopped"]


@pytest.mark.server
async def test_the_log_names_the_host_of_a_database_and_keeps_its_password():
    """Of a database's URL only the host is written down."""
    with data_folder() as data:
        async with open_embedded(EmbeddedSettings(data)), trio.open_nursery() as nursery:
            url = f"postgresql://hubbub:secret@/hubbub?host={data / 'socket'}&port=5432"
            command = [
                sys.executable,
                "-m",
                "hubbub",
                "serve",
                "--port",
                "0",
                "--log-level",
                "info",
                "--database-url",
                url,
                "--data",
                str(data),
            ]
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            server = await nursery.start(partial(trio.run_process, command, **options))
            output = b""
            with trio.fail_after(60):
                while b"ready at" not in output:
                    output += await server.stdout.receive_some()
                server.terminate()
                while piece := await server.stdout.receive_some():
                    output += piece
    assert f"store: Postgres at {data / 'socket'}\n" in output.decode()
    assert b"secret" not in output
