"""The commands `hubbub tree` and `hubbub release`: looking into a running server, and ending a quarantine.

What they need (httpx, trio, rich) is imported when they run.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Final

import click

from .access import Access, with_access
from .output import json_option
from .server import Server, carry_out, check_conversation, path_of

if TYPE_CHECKING:
    from rich.tree import Tree

_REFRESH_S: Final = 1.0
_PIPE_COLUMNS: Final = 400
_TREE: Final = "/admin/tree"


@click.command()
@with_access(operator=True)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@json_option
def tree(access: Access, watch: bool, as_json: bool) -> None:
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
    carry_out(access, _watch if watch else _print, as_json=as_json)


@click.command()
@with_access(operator=True)
@json_option
@click.argument("conversation")
def release(access: Access, as_json: bool, conversation: str) -> None:
    """End the quarantine of a conversation: it starts anew and takes posts again.

    It was quarantined because it crashed again and again; where the cause is still there it will be quarantined again.
    """

    async def let_go(server: Server) -> None:
        check_conversation(conversation)
        await server.ask("DELETE", "/admin/quarantined" + path_of(conversation))
        server.output.done(f"released {conversation}", {"released": conversation})

    carry_out(access, let_go, as_json=as_json)


async def _print(server: Server) -> None:
    from rich.console import Console

    answer = await server.ask("GET", _TREE)
    if server.output.as_json:
        server.output.document(answer)
        return
    # A pipe has no width: without one of its own rich would cut lines at 80 characters.
    width = None if server.output.rich else _PIPE_COLUMNS
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=server.output.rich)
    console.print(_drawn(answer), soft_wrap=True)
    server.output.terminal.write(text.getvalue().rstrip("\n"))


async def _watch(server: Server) -> None:
    import trio
    from rich.live import Live
    from rich.text import Text

    from ..refusals import Unreachable

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(_drawn(await server.ask("GET", _TREE)), refresh=True)
            except Unreachable as error:
                live.update(Text(f"{error}; trying again", style="yellow"), refresh=True)
            await trio.sleep(_REFRESH_S)


def _drawn(answer: object) -> Tree:
    import msgspec

    from ..refusals import TalkError
    from ..tree_view import TreeAnswer, drawn

    try:
        return drawn(msgspec.convert(answer, TreeAnswer).tree)
    except msgspec.ValidationError as error:
        raise TalkError(f"the answer is not one of a hubbub server: {error}") from error
