"""The command `hubbub completion`, and what shells are offered for arguments that only a server knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from .access import Access, credential_file, identity_of, url_of

if TYPE_CHECKING:
    from .output import Row

_VARIABLE: Final = "_HUBBUB_COMPLETE"
_PATIENCE_S: Final = 1.0
_OFFERED: Final = 100


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a SHELL (bash, zsh, fish) complete the commands, options and rooms of hubbub.

    \b
    Examples:
      echo 'eval "$(hubbub completion bash)"' >> ~/.bashrc
      echo 'eval "$(hubbub completion zsh)"' >> ~/.zshrc
      hubbub completion fish > ~/.config/fish/completions/hubbub.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three"
    click.echo(kind(ctx.find_root().command, {}, "hubbub", _VARIABLE).source())


def complete_rooms(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The rooms that begin so, as somebody who is known at the server already; nothing where that takes long or fails."""
    return _complete(ctx, "conversations", incomplete, lambda row: CompletionItem(row["id"]))


def complete_blocked(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids of those whom one blocks, each with the name beside it where a shell shows that. Otherwise as `complete_rooms`."""
    from ..terminal import harmless

    def item(row: Row) -> CompletionItem:
        return CompletionItem(row["user"]["id"], help=harmless(row["user"]["name"]))

    return _complete(ctx, "blocks", incomplete, item)


def _complete(
    ctx: click.Context, name: str, incomplete: str, item: Callable[[Row], CompletionItem]
) -> list[CompletionItem]:
    import trio

    try:
        found = [item(row) for row in trio.run(_rows, _access(ctx), name, incomplete)]
        return [one for one in found if one.value.startswith(incomplete)]
    except Exception:  # noqa: BLE001  whatever goes wrong, a shell in the middle of a line is no place to say it
        return []


def _access(ctx: click.Context) -> Access:
    data = ctx.params.get("data")
    return Access(
        url=ctx.params.get("url"),
        token=ctx.params.get("token"),
        name=ctx.params.get("name"),
        data=None if data is None else Path(data),
    )


async def _rows(access: Access, name: str, incomplete: str) -> list[Row]:
    """The rows of a list that come after what was typed, for as long as there is patience."""
    import trio

    from ..client import open_client
    from .server import Server, output_of

    file = credential_file()
    found: list[Row] = []
    with trio.move_on_after(_PATIENCE_S):
        async with open_client(url_of(access, file)) as client:
            identity = identity_of(access, client, file, lambda _: None)
            server = Server(client=client, identity=identity, output=output_of(as_json=False))
            # Ids come in order, so that those which begin with what was typed come right after it.
            after: dict[str, str | int] = {"after": incomplete} if incomplete else {}
            found = (await server.ask("GET", f"/{name}", query={"limit": _OFFERED, **after}))[name]
    return found
