"""The commands `hubbub login`, `hubbub signup` and `hubbub logout`.

A password is not kept. What is kept is the token of the session, in the file of `credential_file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import click

from .access import Access, credential_file, login_name, url_of, with_access
from .asking import SECRET_FILE, asked, password, password_option, secret, told_or_hidden
from .exits import Ending, exit_codes
from .output import Output, json_option
from .server import output_of, reaching_advice

if TYPE_CHECKING:
    from ..credential_file import CredentialFile, Login

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403


@click.command()
@with_access(token=False)
@password_option
@click.option(
    "--token-file",
    type=SECRET_FILE,
    help='Sign in with an API key or another token from this file; "-" is standard input.',
)
@json_option
@click.argument("username", required=False)
def login(
    access: Access, password_file: Path | None, token_file: Path | None, as_json: bool, username: str | None
) -> None:
    """Sign in to a server, and stay signed in.

    The password is asked for, and not kept. The token of the session is, in ~/.config/hubbub/credentials.json, which only you can
    read. From then on the other commands use it, and ask this server where none is named.

    \b
    Examples:
      hubbub login
      hubbub login ada --url https://chat.example.org
      hubbub login ada --password-file - < password
      hubbub login --token-file key                  # an API key, for a machine
    """
    if token_file is not None and (username is not None or password_file is not None):
        raise click.UsageError("--token-file says all that is needed: leave the user name and the password out")
    with exit_codes() as ending:
        door = _Door.at(access, ending, as_json=as_json)
        if token_file is not None:
            door.enter_with(secret(token_file, "token"))
            return
        kept = door.file.login(door.url)
        who = username or asked("User name", default=login_name() if kept is None else kept.who)
        door.enter("/auth/login", {"username": who, "password": password(password_file)})


@click.command()
@with_access(token=False)
@password_option
@click.option("--name", help="The name that people see.  [default: the user name]")
@click.option(
    "--invitation", metavar="SECRET", help='The secret of an invitation; "-" asks for it, or reads it from a pipe.'
)
@click.option(
    "--setup",
    metavar="LINK",
    help='The link that `hubbub serve` has printed, for the first administrator; "-" asks for it, or reads it from a pipe.',
)
@json_option
@click.argument("username", required=False)
def signup(
    access: Access,
    password_file: Path | None,
    name: str | None,
    invitation: str | None,
    setup: str | None,
    as_json: bool,
    username: str | None,
) -> None:
    """Make an account, and sign in.

    Who may do so the server decides: anyone, the invited, or nobody. On a server without accounts, the link that it has printed
    makes the first administrator.

    \b
    Examples:
      hubbub signup ada
      hubbub signup ada --name "Ada Lovelace" --invitation -
      hubbub signup ada --setup 'http://127.0.0.1:8000/setup#hbu_...'
    """
    if invitation is not None and setup is not None:
        raise click.UsageError("--invitation and --setup are two ways in: give one of them")
    with exit_codes() as ending:
        link = told_or_hidden(setup, "Link")
        door = _Door.at(_access_of(link, access), ending, as_json=as_json)
        said = {
            "invitation": told_or_hidden(invitation, "Invitation"),
            "token": None if link is None else link.rpartition("#")[2],
            "username": username or asked("User name", default=login_name()),
            "password": password(password_file, fresh=True),
            "name": name,
        }
        body = {field: value for field, value in said.items() if value is not None}
        door.enter("/auth/signup" if setup is None else "/setup", body)


@click.command()
@with_access(token=False)
@json_option
def logout(access: Access, as_json: bool) -> None:
    """Sign out of a server.

    The session ends there, and is forgotten here. An API key is forgotten only: `hubbub keys revoke` ends one.
    """
    with exit_codes() as ending:
        from ..refusals import NotSignedIn, Refused, TalkError, Unreachable

        door = _Door.at(access, ending, as_json=as_json, warn=False)
        kept = door.file.login(door.url)
        if kept is None:
            raise NotSignedIn(f"nobody has signed in to {door.url}")
        trouble: TalkError | None = None
        try:
            if not kept.is_key:
                door.call("POST", "/auth/logout", token=kept.token)
        except Refused as error:
            trouble = None if error.status == _UNAUTHENTICATED else error  # it was over already
        except Unreachable as error:
            trouble = error
        door.forget()
        if trouble is not None:
            raise TalkError(f"{kept.who} is forgotten here, but the session may go on at the server: {trouble}")
        door.output.done(f"signed {kept.who} out of {door.url}", {"url": door.url, "who": kept.who})


@attrs.frozen
class _Door:
    """A server to get into, and where that is remembered."""

    url: str
    file: CredentialFile
    output: Output

    @classmethod
    def at(cls, access: Access, ending: Ending, *, as_json: bool, warn: bool = True) -> _Door:
        from ..client import is_this_machine

        ending.advice = lambda error: reaching_advice(access, error) or _entrance_advice(error)
        file, output = credential_file(), output_of(as_json=as_json)
        url = url_of(access, file)
        if warn and urlsplit(url).scheme == "http" and not is_this_machine(url):
            output.note(f"{url} is not encrypted: on the way others can read what you send, passwords too")
        return cls(url, file, output)

    def call(self, method: str, path: str, *, body: Mapping[str, str] | None = None, token: str | None = None) -> Any:
        import trio

        from ..client import decode, open_client

        async def run() -> bytes:
            async with open_client(self.url) as client:
                return await client.call(method, path, body=body, token=token)

        answer = trio.run(run)
        return decode(answer, dict[str, Any]) if answer else None

    def enter(self, path: str, body: Mapping[str, str]) -> None:
        """Sign in by a call that answers with a session."""
        answer = self.call("POST", path, body=body)
        self._keep(_login_of(answer, answer["token"]))

    def enter_with(self, token: str) -> None:
        """Sign in with a token that is there already."""
        from ..credentials import GivenToken

        answer = self.call("GET", "/auth/me", token=GivenToken(token).value)
        self._keep(_login_of(answer, token, is_key=True))

    def forget(self) -> None:
        with self._writing():
            self.file.forget_login(self.url)

    def _keep(self, found: Login) -> None:
        with self._writing():
            self.file.keep_login(self.url, found)
        until = "" if found.expires_at is None else f" until {found.expires_at[:10]}"
        self.output.done(
            f"signed in to {self.url} as {found.who} ({found.role}){until}",
            {"url": self.url, "who": found.who, "role": found.role, "expires_at": found.expires_at},
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        from ..refusals import TalkError

        try:
            yield
        except OSError as error:
            raise TalkError(f"cannot write {self.file.path}: {error.strerror}") from error


def _login_of(answer: Mapping[str, Any], token: str, *, is_key: bool = False) -> Login:
    from ..credential_file import Login

    user = answer["user"]
    return Login(token, user.get("username") or user["name"], user["role"], answer.get("expires_at"), is_key)


def _entrance_advice(error: Exception) -> str | None:
    from ..refusals import Refused

    if isinstance(error, Refused) and error.status == _FORBIDDEN:
        return "its administrators make accounts (`hubbub users create`), or say who may (the setting access.sign_up)"
    return None


def _access_of(link: str | None, access: Access) -> Access:
    """The access to the server of a link: its secret is for that server alone. Where only the secret was given, as it was."""
    base, found, _ = (link or "").partition("/setup#")
    if not found:
        return access
    if access.url is not None and access.url.rstrip("/") != base:
        raise click.UsageError(f"the link is of {base}, and --url or HUBBUB_URL names {access.url}")
    return attrs.evolve(access, url=base)
