"""Which server a command asks, and as whom: the options that all of them share, and what they come to.

The server: ``--url``, else ``HUBBUB_URL``, else the one that was signed in to last, else the default one on this machine.
The caller: what is typed (``--token``, ``--name``, ``--data``), else the token of the environment, else the login kept for the
server, else a guest where guests will do, or the operator of this machine where operators are asked for.

Rule: a credential that was found, not named, goes only to the server that it belongs to.
"""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from ..client import Client
    from ..credential_file import CredentialFile, Login
    from ..credentials import Identity

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_NO_NAME: Final = "guest"
_Command = TypeVar("_Command", bound=Callable[..., object])
_Option = Callable[[Any], Any]


@attrs.frozen(kw_only=True)
class Access:
    """What the options say.

    Attributes:
        url: the server; None where it was not named.
        token: None where there is none, or something typed beats it.
        name: of the guest to be, where one was typed.
        data: the data directory whose operator's token is meant, where one was typed.
        operator: the command is for administrators and the operator.
        guests: a guest will do, and is made where need be.
    """

    url: str | None
    token: str | None = attrs.field(default=None, repr=False)
    name: str | None = None
    data: Path | None = None
    operator: bool = False
    guests: bool = False


_URL: Final[_Option] = click.option(
    "--url",
    envvar="HUBBUB_URL",
    show_envvar=True,
    help=f"The server.  [default: signed in to last, else {DEFAULT_URL}]",
)
_NAME: Final = click.option("--name", help="Talk as a guest with this name.  [default: the login name]")
_DATA: Final = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The server's data directory, which holds the operator's token.  [default: as `hubbub serve`]",
)


def with_access(*, guests: bool = False, operator: bool = False, token: bool = True) -> Callable[[_Command], _Command]:
    """Give a command the shared options; it takes `access` instead of them.

    Args:
        guests: a guest will do (``--name``).
        operator: for administrators and the operator (``--data``, ``HUBBUB_OPERATOR_TOKEN``).
        token: whether ``--token`` makes sense; signing in and out is about none that is given.
    """
    options = {"url": _URL}
    if token:
        options["token"] = _token_option(operator=operator)
    if guests:
        options["name"] = _NAME
    if operator:
        options["data"] = _DATA

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def with_options(*args: Any, **given: Any) -> object:
            said = _typed_beats_environment({name: given.pop(name) for name in options})
            return command(*args, access=Access(operator=operator, guests=guests, **said), **given)

        found: Any = with_options
        for option in reversed(options.values()):
            found = option(found)
        return found  # type: ignore[no-any-return]

    return decorate


def _token_option(*, operator: bool) -> _Option:
    return click.option(
        "--token",
        envvar=["HUBBUB_OPERATOR_TOKEN", "HUBBUB_TOKEN"] if operator else ["HUBBUB_TOKEN"],
        show_envvar=True,
        help="Access token. The variable is better: other users can see a command line.",
    )


def _typed_beats_environment(said: dict[str, Any]) -> dict[str, Any]:
    """A guest's name and a data directory are typed, and say who one is as well as a token does."""
    other = next((f"--{name}" for name in ("name", "data") if said.get(name) is not None), None)
    if other is not None and said.get("token") is not None:
        if click.get_current_context().get_parameter_source("token") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--token says who you are already: give it or {other}")
        return {**said, "token": None}
    return said


def credential_file() -> CredentialFile:
    """The file of this user."""
    from ..credential_file import CredentialFile

    folder = Path(click.get_app_dir("hubbub"))
    if not folder.is_absolute():  # an empty or relative XDG_CONFIG_HOME counts as none
        folder = Path.home() / ".config" / "hubbub"
    return CredentialFile(folder / "credentials.json")


def url_of(access: Access, file: CredentialFile) -> str:
    """The server to ask.

    Raises:
        TalkError: it is not the URL of one, or the file cannot be read.
    """
    from ..client import server_url

    return server_url(access.url or file.last() or DEFAULT_URL)


def identity_of(access: Access, client: Client, file: CredentialFile, warn: Callable[[str], None]) -> Identity:
    """As whom to ask.

    Raises:
        NotSignedIn: nobody has signed in, and no guest will do.
        TalkError: what was given or kept cannot be used.
    """
    from ..credentials import GivenToken, Guest, SignedIn

    if access.data is not None:
        return _operator(access.data)
    if access.token is not None:
        return GivenToken(access.token, _ADVICE_TO_OPERATORS if access.operator else _ADVICE)
    if access.name is not None:
        return Guest(client, access.name, file, warn)
    login = file.login(client.url)
    if access.operator:
        return _administrator(client.url, login)
    if login is not None:
        return SignedIn(login)
    guest = Guest(client, login_name(), file, warn)
    if access.guests or guest.known:
        return guest
    raise _not_signed_in(client.url)


_ADVICE: Final = {401: "the token is of another server, is over, or was revoked"}
_ADVICE_TO_OPERATORS: Final = {
    401: "is the token of another server, or of another data directory?",
    403: "this is a guest's or a user's token; give an administrator's, or the operator's (--data)",
}


def _administrator(url: str, login: Login | None) -> Identity:
    """The login of an administrator, else the operator of this machine, else any login: the server will say no."""
    from ..client import is_this_machine
    from ..credentials import GivenToken, SignedIn
    from ..refusals import NotSignedIn, TalkError
    from ..storage.embedded import default_data_dir

    if login is not None and login.role == "admin":
        return SignedIn(login)
    if not is_this_machine(url):
        if login is None:
            raise NotSignedIn(
                f"{url} is another machine: sign in as an administrator with `hubbub login`, name its operator's token in"
                " HUBBUB_OPERATOR_TOKEN, or its directory with --data"
            )
        return GivenToken(login.token, _ADVICE_TO_OPERATORS)
    try:
        return _operator(default_data_dir())
    except TalkError:
        if login is None:
            raise
        return GivenToken(login.token, _ADVICE_TO_OPERATORS)


def _operator(data: Path) -> Identity:
    from ..credentials import GivenToken
    from ..operator_token import TokenFileError, load
    from ..refusals import NotSignedIn

    try:
        token = load(data.expanduser())
    except TokenFileError as error:
        raise NotSignedIn(f"{error}; or sign in as an administrator with `hubbub login`") from error
    return GivenToken(
        token, {401: f"the operator's token in {data} is of another server; --data names this one's data directory"}
    )


def _not_signed_in(url: str) -> Exception:
    from ..refusals import NotSignedIn

    return NotSignedIn(f"nobody has signed in to {url}: use `hubbub login`, or give a token in HUBBUB_TOKEN")


def login_name() -> str:
    """What the machine calls its user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id
        return _NO_NAME
