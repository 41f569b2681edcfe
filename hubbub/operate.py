"""The commands `hubbub tree` and `hubbub release`: looking into a running server, and ending a quarantine.

They show the operator's token, which the server keeps in its data directory. A token found in the default directory goes to this
machine only: a URL from the environment must not carry it elsewhere.

Exit codes as in `talk`. What they need (httpx, trio, rich) is imported when they run.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import click
from click.core import ParameterSource

from .operator_token import FILE_NAME
from .talk import check_conversation, exit_codes, tolerate_narrow_encodings

if TYPE_CHECKING:
    from .client import Client

_REFRESH_S: Final = 1.0
_PIPE_COLUMNS: Final = 400
_Command = TypeVar("_Command", bound=Callable[..., object])


@attrs.frozen(kw_only=True)
class Access:
    """Which server, and where its operator's token is."""

    url: str
    token: str | None
    data: Path | None


def _access_options(command: _Command) -> _Command:
    for option in reversed(
        (
            click.option(
                "--url",
                envvar="HUBBUB_URL",
                show_envvar=True,
                default="http://127.0.0.1:8000",
                show_default=True,
                help="The server.",
            ),
            click.option(
                "--data",
                type=click.Path(file_okay=False, path_type=Path),
                help="Its data directory, which holds the token.  [default: as `hubbub serve`]",
            ),
            click.option(
                "--token",
                envvar="HUBBUB_OPERATOR_TOKEN",
                show_envvar=True,
                help="The operator's token itself. The variable is better: other users can see a command line.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@_access_options
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, on one line.")
def tree(url: str, data: Path | None, token: str | None, watch: bool, as_json: bool) -> None:
    """Show the supervision tree of a running server: parts, rooms, restarts, what is quarantined and why.

    \b
    Examples:
      hubbub tree
      hubbub tree --watch --data /var/lib/hubbub
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs: give one of them")
    if watch and not sys.stdout.isatty():
        raise click.UsageError("--watch redraws a terminal, and the output is none: leave it out")
    access = Access(url=url, token=token, data=data)
    with exit_codes():
        _operate(access, _watch if watch else _print_json if as_json else _print)


@click.command()
@_access_options
@click.argument("conversation")
def release(url: str, data: Path | None, token: str | None, conversation: str) -> None:
    """End the quarantine of a conversation: it starts anew and takes posts again.

    It was quarantined because it crashed again and again; where the cause is still there it will be quarantined again.
    """
    access = Access(url=url, token=token, data=data)
    with exit_codes():
        check_conversation(conversation)

        async def let_go(client: Client, token: str) -> None:
            await client.release(conversation, token=token)
            click.echo(f"released {conversation}")

        _operate(access, let_go)


def _operate(access: Access, work: Callable[[Client, str], Awaitable[None]]) -> None:
    import trio

    from .client import Refused, TalkError, Unreachable, open_client, server_url

    tolerate_narrow_encodings()
    url = server_url(access.url)
    token = _token(access, url)
    guessed = click.get_current_context().get_parameter_source("url") is ParameterSource.DEFAULT

    async def run() -> None:
        async with open_client(url) as client:
            try:
                await work(client, token)
            except Refused as error:
                hint = _HINTS.get(error.status)
                raise TalkError(f"{error}: {hint}" if hint else str(error)) from error
            except Unreachable as error:
                raise TalkError(
                    f"{error}; a server elsewhere is named with --url" if guessed else str(error)
                ) from error

    trio.run(run)


_HINTS: Final = {
    401: "is the token of another server, or of another data directory?",
    403: f"this is a guest's or a user's token; the operator's is in the file {FILE_NAME} of the data directory",
}


def _token(access: Access, url: str) -> str:
    from .client import TalkError, is_this_machine
    from .operator_token import TokenFileError, load
    from .storage.embedded import default_data_dir

    if access.token is not None:
        return access.token
    if access.data is None and not is_this_machine(url):
        raise TalkError(
            f"{url} is another machine: name its operator's token with --token, or its directory with --data"
        )
    try:
        return load(default_data_dir() if access.data is None else access.data.expanduser())
    except TokenFileError as error:
        raise TalkError(str(error)) from error


async def _print_json(client: Client, token: str) -> None:
    import json

    click.echo(json.dumps(json.loads(await client.tree(token=token)), separators=(",", ":")))


async def _print(client: Client, token: str) -> None:
    from rich.console import Console

    from .client import decode
    from .tree_view import TreeAnswer, drawn

    # A pipe has no width: without one of its own rich would cut lines at 80 characters.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    console.print(drawn(decode(await client.tree(token=token), TreeAnswer).tree), soft_wrap=True)


async def _watch(client: Client, token: str) -> None:
    import trio
    from rich.live import Live
    from rich.text import Text

    from .client import Unreachable, decode
    from .tree_view import TreeAnswer, drawn

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(drawn(decode(await client.tree(token=token), TreeAnswer).tree), refresh=True)
            except Unreachable as error:
                live.update(Text(f"{error}; trying again", style="yellow"), refresh=True)
            await trio.sleep(_REFRESH_S)
