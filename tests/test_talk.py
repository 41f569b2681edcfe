"""Tests of `hubbub post` and `hubbub follow` as programs: arguments, output, exit codes, signals; and the real server killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from click.testing import CliRunner

from hubbub.commands.talk import follow, post

from .scripted_server import ROOM, ScriptedServer
from .serverproc import ServerProcess, data_folder, start_server

LIMIT_S = 30


@attrs.frozen
class Program:
    """How the commands are run: with a home of their own and nothing else of this environment."""

    home: Path

    def options(self, **more: str) -> dict:
        return {"env": {"HOME": str(self.home), "PATH": os.defpath, "LOGNAME": "ada", "TZ": "UTC", **more}}

    async def run(self, *args: str, stdin: bytes = b"", env: dict | None = None) -> tuple[int, str, str]:
        """Exit code, output and errors of `hubbub ARGS`."""
        with trio.fail_after(LIMIT_S):
            done = await trio.run_process(
                [sys.executable, "-m", "hubbub", *args],
                stdin=stdin,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                **self.options(**(env or {})),
            )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def start(self, nursery: trio.Nursery, *args: str) -> trio.Process:
        """`hubbub ARGS` with pipes, running until it ends or the nursery does."""
        return await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-m", "hubbub", *args],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                **self.options(),
            )
        )


@pytest.fixture
def program(tmp_path) -> Program:
    return Program(tmp_path / "home")


@pytest.fixture
def data() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


class Lines:
    """Lines of a process's output, as they come."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> str | None:
        """The next line, or None at the end."""
        with trio.fail_after(LIMIT_S):
            while b"\n" not in self._rest:
                data = await self._stream.receive_some()
                if not data:
                    return None
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


async def test_post_takes_words_or_standard_input_and_prints_offset_and_id(program):
    """The text is the words, or standard input without them or for "-"; a kept guest is used again."""
    server = ScriptedServer()
    async with server.serving():
        to = ("post", "--url", server.url + "/")
        assert await program.run(*to, ROOM, "good", "morning") == (0, "1 e1-1\n", "")
        assert await program.run(*to, ROOM, stdin="two\nlinés\n".encode()) == (0, "2 e1-2\n", "")
        code, out, _ = await program.run(*to, "--json", "--key", "k", ROOM, "-", stdin=b"x")
        assert (code, json.loads(out)) == (0, server.log[2])
    assert [said["text"] for said in server.log] == ["good morning", "two\nlinés", "x"]
    asked, *posts = server.heard
    assert (asked.path, json.loads(asked.body)) == ("/auth/guest", {"name": "ada"})
    assert len({request.token for request in posts}) == 1
    assert len({request.headers["idempotency-key"] for request in posts}) == 3


async def test_what_is_typed_beats_the_environment_which_beats_a_guest(program):
    """HUBBUB_TOKEN is used when neither --token nor --name is given."""
    server, env = ScriptedServer(), {"HUBBUB_TOKEN": "good"}
    server.tokens.add("typed")
    async with server.serving():
        for more in ((), ("--token", "typed"), ("--name", "bob")):
            code, _, err = await program.run("post", "--url", server.url, *more, ROOM, "hi", env=env)
            assert (code, err) == (0, "")
    assert [request.token for request in server.heard] == ["good", "typed", "", "guest-3"]
    assert json.loads(server.heard[2].body) == {"name": "bob"}


async def test_the_environment_names_the_server_unless_the_command_line_does(program):
    """HUBBUB_URL is what --url says when it is not given."""
    server, token = ScriptedServer(), ("--token", "good")
    async with server.serving():
        env = {"HUBBUB_URL": server.url}
        assert await program.run("post", *token, ROOM, "hi", env=env) == (0, "1 e1-1\n", "")
        code, out, _ = await program.run("follow", *token, "--from-start", "--count", "1", "--json", ROOM, env=env)
        assert (code, json.loads(out)) == (0, server.log[0])
        env = {"HUBBUB_URL": "ftp://x"}
        assert await program.run("post", *token, "--url", server.url, ROOM, "hi", env=env) == (0, "2 e1-2\n", "")


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (("--url", "ftp://x", ROOM, "hi"), b"", "not the URL of a server"),
        (("--token", "a b", ROOM, "hi"), b"", "printable ASCII"),
        (("--key", "a b", ROOM, "hi"), b"", "idempotency key"),
        (("no/such name", "hi"), b"", "conversation id"),
        ((ROOM,), b"\n", "no text"),
        ((ROOM,), b"\xff", "not UTF-8"),
    ],
)
async def test_a_mistake_is_one_clear_line(program, args, stdin, said):
    """Exit code 1 and no traceback; nothing was sent anywhere."""
    code, out, err = await program.run("post", *args, stdin=stdin)
    assert (code, out) == (1, "")
    assert err.startswith("hubbub: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (post, ("--token", "t", "--name", "n", ROOM, "hi")),
        (post, ("--timeout", "0", ROOM, "hi")),
        (follow, ("--since", "3", "--from-start", ROOM)),
        (follow, ("--since", "-1", ROOM)),
        (follow, ("--count", "0", ROOM)),
        (follow, ()),
    ],
)
def test_wrong_usage_is_told_apart(command, args):
    """Exit code 2 and the usage."""
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 2
    assert "Usage:" in result.output


@pytest.mark.parametrize("command", [post, follow])
def test_help_shows_examples(command):
    """The examples are complete command lines, one a line."""
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert f"\n    hubbub {command.name} " in result.output
    assert "HUBBUB_URL" in result.output
    assert "credentials.json" in result.output


async def test_follow_prints_lines_and_ends_quietly_on_ctrl_c(program):
    """Time, name and text as they come, an outage on standard error; SIGINT gives 130 and not a word more."""
    server = ScriptedServer()
    server.say("one\x1b[2J", author="ada")
    async with server.serving(), trio.open_nursery() as nursery:
        process = await program.start(nursery, "follow", "--url", server.url, "--since", "0", ROOM)
        lines = Lines(process.stdout)
        assert await lines.next() == "[2026-11-21 05:36:00] ada: one\\x1b[2J"
        server.break_streams()
        server.say("two")
        assert await lines.next() == "[2026-11-21 05:36:00] ada: two"
        process.send_signal(signal.SIGINT)
        assert await lines.next() is None
        errors = Lines(process.stderr)
        assert "trying again" in (await errors.next() or "")
        assert await errors.next() == f"hubbub: following {ROOM} again after offset 1"
        assert await errors.next() is None
    assert process.returncode == 130


async def test_follow_ends_quietly_when_nobody_reads_any_more(program):
    """A closed pipe ends it while the conversation is quiet."""
    server = ScriptedServer()
    server.say("one")
    async with server.serving(), trio.open_nursery() as nursery:
        process = await program.start(nursery, "follow", "--url", server.url, "--from-start", ROOM)
        assert await Lines(process.stdout).next() is not None
        await process.stdout.aclose()
        assert await Lines(process.stderr).next() is None
    assert process.returncode == 141


async def test_follow_says_why_it_ends(program):
    """A conversation that is not there: exit code 1 and the server's word."""
    server = ScriptedServer()
    async with server.serving():
        assert await program.run("follow", "--url", server.url, "no-such-room") == (
            1,
            "",
            "hubbub: no such conversation\n",
        )


@pytest.mark.server
async def test_messages_posted_through_kill_9_are_followed_once_and_in_order(program, data):
    """The real server is killed while one command follows and others post; what was posted is what was printed."""
    rounds, kills = 4, 3
    servers = list[ServerProcess]()

    async def start(port: int = 0) -> ServerProcess:
        servers.append(await trio.to_thread.run_sync(partial(start_server, data, port=port)))
        return servers[-1]

    try:
        server = await start()
        options = ("--url", server.url, "--json")
        acked: dict[int, str] = {}

        async def talk(name: str) -> None:
            for number in range(rounds):
                text = f"{name} {number}"
                code, out, err = await program.run("post", *options, "--name", name, "lobby", text)
                assert code == 0, err
                message = json.loads(out)
                assert message["text"] == text
                assert message["offset"] not in acked
                acked[message["offset"]] = message["id"]

        async with trio.open_nursery() as nursery:
            process = await program.start(nursery, "follow", *options, "--from-start", "lobby")
            async with trio.open_nursery() as talkers:
                for name in ("ada", "bob"):
                    talkers.start_soon(talk, name)
                for kill in range(kills):
                    with trio.fail_after(LIMIT_S):
                        while len(acked) < 2 * kill:  # noqa: ASYNC110  what is waited for has no event
                            await trio.sleep(0.01)
                    server.kill()
                    server = await start(server.port)
            lines, printed = Lines(process.stdout), {}
            for _ in acked:
                message = json.loads(await lines.next() or "null")
                assert list(printed) == sorted(printed)
                assert message["offset"] not in printed
                printed[message["offset"]] = message["id"]
            process.send_signal(signal.SIGINT)
            assert await lines.next() is None
        assert printed == acked
        assert len(acked) == 2 * rounds
    finally:
        for server in servers:
            await trio.to_thread.run_sync(server.close)
