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
_CONFLICT: Final = 409
_LINK_ADVICE: Final = {
    _FORBIDDEN: "each start of `hubbub serve` prints another link: take the whole of the newest",
    _CONFLICT: "sign in with `hubbub login`, or sign up without --setup",
}
_SIGN_UP_ADVICE: Final = {
    "invite": "ask an administrator for an invitation (`hubbub users invite`), and give it with --invitation",
    "off": "its administrators make accounts (`hubbub users create`), or say who may (the setting access.sign_up)",
}


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
@click.option(
    "--upgrade", is_flag=True, help="Turn the guest that you are here into the account: what it owns stays yours."
)
@click.option(
    "--guest", metavar="NAME", help="Which guest, where you are several.  [default: the login name, or the only one]"
)
@json_option
@click.argument("username", required=False)
def signup(
    access: Access,
    password_file: Path | None,
    name: str | None,
    invitation: str | None,
    setup: str | None,
    upgrade: bool,
    guest: str | None,
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
      hubbub signup ada --upgrade                    # as a guest who has talked already
    """
    upgrade = upgrade or guest is not None
    if setup is not None and upgrade:
        raise click.UsageError("--setup makes an account of its own: leave --upgrade and --guest out")
    if invitation is not None and setup is not None:
        raise click.UsageError("--invitation and --setup are two ways in: give one of them")
    with exit_codes() as ending:
        link = told_or_hidden(setup, "Link")
        door = _Door.at(_access_of(link, access), ending, as_json=as_json)
        known = _guest(door, guest) if upgrade else None
        said = {
            "invitation": told_or_hidden(invitation, "Invitation"),
            "token": None if link is None else link.rpartition("#")[2],
            "username": username or asked("User name", default=login_name()),
            "password": password(password_file, fresh=True),
            "name": name,
        }
        body = {field: value for field, value in said.items() if value is not None}
        entrance = "/auth/upgrade" if upgrade else "/auth/signup" if setup is None else "/setup"
        ending.advice = lambda error: reaching_advice(access, error) or _advice_to_comer(error, door, entrance)
        door.enter(entrance, body, guest=known)


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

        ending.advice = lambda error: reaching_advice(access, error)
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

    def enter(self, path: str, body: Mapping[str, str], *, guest: str | None = None) -> None:
        """Sign in by a call that answers with a session; `guest` is the name of a kept one that becomes the account."""
        token = None if guest is None else self.file.find(self.url, guest)
        answer = self.call("POST", path, body=body, token=token)
        self._keep(_login_of(answer, answer["token"]), guest=guest)

    def enter_with(self, token: str) -> None:
        """Sign in with a token that is there already."""
        from ..credentials import GivenToken

        answer = self.call("GET", "/auth/me", token=GivenToken(token).value)
        self._keep(_login_of(answer, token, is_key=True))

    def forget(self) -> None:
        with self._writing():
            self.file.forget_login(self.url)

    def _keep(self, found: Login, *, guest: str | None = None) -> None:
        with self._writing():
            if guest is None:
                self.file.keep_login(self.url, found)
            else:
                self.file.keep_upgraded(self.url, guest, found)
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


def _advice_to_comer(error: Exception, door: _Door, entrance: str) -> str | None:
    """What somebody does who was not let in. The server's own words say why; who may get in it tells anybody."""
    from ..refusals import Refused, TalkError

    if isinstance(error, Refused) and error.status == _UNAUTHENTICATED:
        return "the guest is over: leave --upgrade out, and an account is made"
    if not isinstance(error, Refused) or error.status not in (_FORBIDDEN, _CONFLICT):
        return None
    try:
        about = door.call("GET", "/version")
    except TalkError:
        return None
    set_up = about.get("set_up", True)
    if entrance == "/setup":
        return _LINK_ADVICE[error.status] if set_up == (error.status == _CONFLICT) else None
    if error.status == _CONFLICT:  # the user name is taken
        return None
    if not set_up:
        return "give it with --setup LINK"
    return _SIGN_UP_ADVICE.get(about.get("sign_up"))


def _guest(door: _Door, name: str | None) -> str:
    """The name of the kept guest that is meant.

    Raises:
        TalkError: there is none, or it cannot be told which.
    """
    from ..refusals import TalkError

    known = door.file.guests(door.url)
    if name is None:
        name = login_name() if login_name() in known or len(known) != 1 else known[0]
    if name in known:
        return name
    if not known:
        raise TalkError(f"you are no guest at {door.url}: leave --upgrade out, and an account is made")
    raise TalkError(f"you are no guest {name!r} at {door.url}: say --guest and one of {', '.join(known)}")


def _access_of(link: str | None, access: Access) -> Access:
    """The access to the server of a link: its secret is for that server alone. Where only the secret was given, as it was."""
    base, found, _ = (link or "").partition("/setup#")
    if not found:
        return access
    if access.url is not None and access.url.rstrip("/") != base:
        raise click.UsageError(f"the link is of {base}, and --url or HUBBUB_URL names {access.url}")
    return attrs.evolve(access, url=base)
