"""A real server with accounts, and people at terminals of their own: each has a home with its own credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from hubbub.cli import cli

from ..serverproc import ServerProcess, data_folder, start_server

PASSWORD = "correct horse battery staple"
NOTHING_SAID = {
    "HUBBUB_URL": None,
    "HUBBUB_TOKEN": None,
    "HUBBUB_OPERATOR_TOKEN": None,
    "XDG_CONFIG_HOME": None,
    "LOGNAME": "guest-of-tests",
}


@attrs.frozen
class Person:
    """Somebody who types commands."""

    home: Path

    def run(self, *args: str, stdin: str | None = None, **env: str) -> Result:
        """`hubbub ARGS`."""
        return CliRunner().invoke(cli, args, input=stdin, env={**NOTHING_SAID, "HOME": str(self.home), **env})

    def does(self, *args: str, stdin: str | None = None, **env: str) -> str:
        """What `hubbub ARGS` prints; it must succeed."""
        done = self.run(*args, stdin=stdin, **env)
        assert done.exit_code == 0, (args, done.output)
        return done.stdout

    def reads(self, *args: str, **env: str) -> list[Any]:
        """What `hubbub ARGS --json` prints, line by line."""
        return [json.loads(line) for line in self.does(*args, "--json", **env).splitlines()]

    def fails(self, code: int, *args: str, stdin: str | None = None, **env: str) -> str:
        """What `hubbub ARGS` says when it fails; it must with this code, in words and not in a traceback."""
        done = self.run(*args, stdin=stdin, **env)
        assert done.exit_code == code, (args, done.output)
        assert "Traceback" not in done.output
        return done.stderr

    @property
    def credentials(self) -> Path:
        return self.home / ".config" / "hubbub" / "credentials.json"


@attrs.frozen
class Place:
    """The server, and who is there."""

    process: ServerProcess
    setup_link: str
    folder: Path

    @property
    def url(self) -> str:
        return self.process.url

    def person(self, name: str) -> Person:
        """Somebody with a home of one's own, who has signed up unless that was done before."""
        person = Person(self.folder / name)
        if not person.credentials.exists():
            person.does("signup", name, "--url", self.url, "--password-file", "-", stdin=PASSWORD)
        return person

    def root(self) -> Person:
        """The first administrator, made by the link where that was not done before."""
        root = self.stranger("root")
        if not root.credentials.exists():
            root.does("signup", "root", "--setup", self.setup_link, "--password-file", "-", stdin=PASSWORD)
        return root

    def stranger(self, name: str) -> Person:
        """Somebody with a home of one's own and nothing in it."""
        return Person(self.folder / name)


@pytest.fixture(scope="package")
def place() -> Iterator[Place]:
    """`hubbub serve` with sign-up open, and its first administrator, `root`."""
    with data_folder() as data:
        file = data.parent / "hubbub.toml"
        file.write_text("[access]\nsign_up = 'open'\n")
        server = start_server(data, "--config", str(file))
        try:
            found = re.search(r"http://\S+/setup#\S+", server.output())
            assert found is not None
            homes = data.parent / "homes"
            place = Place(server, found[0], homes)
            place.root()
            yield place
        finally:
            server.close()


@pytest.fixture
def fresh() -> Iterator[Place]:
    """`hubbub serve` with sign-up for the invited, and nobody there."""
    with data_folder() as data:
        file = data.parent / "hubbub.toml"
        file.write_text("[access]\nsign_up = 'invite'\nguests = true\n")
        server = start_server(data, "--config", str(file), guests=False)
        try:
            found = re.search(r"http://\S+/setup#\S+", server.output())
            assert found is not None
            yield Place(server, found[0], data.parent / "homes")
        finally:
            server.close()
