"""The commands `hubbub post` and `hubbub follow`: talking from a terminal and from scripts.

What they need (httpx, trio) is imported when they run, not for `--help`.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import click

from .access import Access, with_access
from .completion import complete_rooms
from .server import Server, carry_out, check, check_conversation

_MAX_STDIN_BYTES: Final = 1024 * 1024


@click.command()
@with_access(guests=True)
@click.option(
    "--key",
    help="Idempotency key: the same author (kept guest or --token) posts once with one key.  [default: a fresh one]",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=30.0,
    show_default=True,
    help="Seconds to keep trying while the server is away or busy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the message as JSON.")
@click.argument("conversation", shell_complete=complete_rooms)
@click.argument("text", nargs=-1)
def post(
    access: Access,
    key: str | None,
    timeout_s: float,
    as_json: bool,
    conversation: str,
    text: tuple[str, ...],
) -> None:
    """Post a message and print its offset and id.

    The text is the rest of the command line, or standard input when there is none or it is "-". It is posted once, however
    often the connection breaks or the server restarts; when this command succeeds, it is committed.

    Without a login and without a token it talks as a guest, whose token is kept in ~/.config/hubbub/credentials.json. A --key
    holds for one author: with another name, another token, or without that file, the same key posts a second message.

    \b
    Examples:
      hubbub post lobby good morning
      hubbub post --name ada lobby "is anybody here?"
      uptime | hubbub post ops
      hubbub post --key deploy-421 ops "421 is out"   # a second run posts nothing new
    """

    async def talk(server: Server) -> None:
        from ..engine.core.ids import idempotency_key
        from ..poster import Poster

        check_conversation(conversation)
        check(idempotency_key, chosen := uuid.uuid4().hex if key is None else key)
        said, terminal = _text(text), server.output.terminal
        poster = Poster(
            server.client, server.identity, terminal, conversation=conversation, key=chosen, timeout_s=timeout_s
        )
        message = await poster.post(said)
        terminal.write(message.ascii_json() if as_json else f"{message.offset} {message.id}")

    carry_out(access, talk, as_json=as_json)


@click.command()
@with_access(guests=True)
@click.option("--since", type=click.IntRange(min=0), metavar="OFFSET", help="Begin after this offset.")
@click.option("--from-start", is_flag=True, help="Begin with the first message.")
@click.option("--all", "again", is_flag=True, help="After a restore of the server, print all of its history again.")
@click.option("--json", "as_json", is_flag=True, help="Print messages as JSON, one a line.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.argument("conversation", shell_complete=complete_rooms)
def follow(
    access: Access,
    since: int | None,
    from_start: bool,
    again: bool,
    as_json: bool,
    count: int | None,
    conversation: str,
) -> None:
    """Print messages as they come, until Ctrl-C or --count.

    It begins with what comes from now on, unless --since or --from-start say otherwise. Each message is printed once and in
    order, also when the network breaks or the server restarts: it reconnects and goes on where it was. It ends
    when the server refuses (unknown conversation, token not valid).

    Where the server was restored from a backup meanwhile, its history is another one: a line on standard error says so, and
    it goes on with what comes from then on. --all prints the whole history that is there now.

    Without a login and without a token it reads as a guest, whose token is kept in ~/.config/hubbub/credentials.json.

    \b
    Examples:
      hubbub follow lobby
      hubbub follow --since 1200 lobby               # what came after offset 1200, then live
      hubbub follow --from-start --json lobby | jq .text
      hubbub follow --count 1 ops                    # wait for one message
    """
    if from_start and since is not None:
        raise click.UsageError("--from-start and --since both say where to begin: give one of them")

    async def talk(server: Server) -> None:
        from ..follower import Follower

        check_conversation(conversation)
        after, terminal = 0 if from_start else since, server.output.terminal
        follower = Follower(
            server.client,
            server.identity,
            terminal,
            conversation=conversation,
            after=after,
            count=count,
            again=again,
        )
        await _while_read(follower.run)

    carry_out(access, talk, as_json=as_json)


async def _while_read(work: Callable[[], Awaitable[None]]) -> None:
    """Work until it is done, or until nobody reads standard output any more."""
    import trio

    from ..terminal import wait_reader_gone

    async def watch() -> None:
        await wait_reader_gone(sys.stdout.fileno())
        raise BrokenPipeError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await work()
        nursery.cancel_scope.cancel()


def _text(words: tuple[str, ...]) -> str:
    from ..refusals import TalkError

    if words and words != ("-",):
        text = " ".join(words)
    else:
        data = sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1)
        if len(data) > _MAX_STDIN_BYTES:
            raise TalkError(f"the text is longer than {_MAX_STDIN_BYTES} bytes")
        text = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not text:
        raise TalkError("there is no text to post")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise TalkError("the text is not UTF-8")
    return text
