"""The commands `hubbub post` and `hubbub follow`: talking from a terminal and from scripts.

Exit codes: 0 done; 1 it could not be done (the message says why); 2 wrong usage; 130 interrupted; 141 nobody reads the output.
What they need (httpx, trio) is imported when they run, not for `--help`.
"""

from __future__ import annotations

import getpass
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from .client import Client
    from .credentials import Identity
    from .terminal import Terminal

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_NO_READER: Final = 141
_MAX_STDIN_BYTES: Final = 1024 * 1024
_NO_NAME: Final = "guest"
_Command = TypeVar("_Command", bound=Callable[..., object])


@attrs.frozen(kw_only=True)
class Access:
    """Which server, and as whom.

    Attributes:
        name: of the guest to be; None takes the login name.
        token_file: where guest tokens are kept.
    """

    url: str
    token: str | None
    name: str | None
    token_file: Path


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
                "--token",
                envvar="HUBBUB_TOKEN",
                show_envvar=True,
                help="Access token. The variable is better: other users can see a command line.",
            ),
            click.option("--name", help="Talk as a guest with this name.  [default: the login name]"),
        )
    ):
        command = option(command)
    return command


def _access(ctx: click.Context, url: str, token: str | None, name: str | None) -> Access:
    if name is not None and token is not None:
        if ctx.get_parameter_source("token") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--token says who you are already: give it or --name")
        token = None  # what is typed beats what is in the environment
    folder = Path(click.get_app_dir("hubbub"))
    if not folder.is_absolute():  # an empty or relative XDG_CONFIG_HOME counts as none
        folder = Path.home() / ".config" / "hubbub"
    return Access(url=url, token=token, name=name, token_file=folder / "credentials.json")


@click.command()
@_access_options
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
@click.argument("conversation")
@click.argument("text", nargs=-1)
@click.pass_context
def post(
    ctx: click.Context,
    url: str,
    token: str | None,
    name: str | None,
    key: str | None,
    timeout_s: float,
    as_json: bool,
    conversation: str,
    text: tuple[str, ...],
) -> None:
    """Post a message and print its offset and id.

    The text is the rest of the command line, or standard input when there is none or it is "-". It is posted once, however
    often the connection breaks or the server restarts; when this command succeeds, it is committed.

    Without a token it talks as a guest, whose token is kept in ~/.config/hubbub/credentials.json for the next time. A --key
    holds for one author: with another name, another token, or without that file, the same key posts a second message.

    \b
    Examples:
      hubbub post lobby good morning
      hubbub post --name ada lobby "is anybody here?"
      uptime | hubbub post ops
      hubbub post --key deploy-421 ops "421 is out"   # a second run posts nothing new
    """
    access = _access(ctx, url, token, name)
    with exit_codes():
        from .engine.core.ids import idempotency_key
        from .poster import Poster

        check_conversation(conversation)
        _check(idempotency_key, key := uuid.uuid4().hex if key is None else key)
        said = _text(text)

        async def talk(client: Client, identity: Identity, terminal: Terminal) -> None:
            poster = Poster(client, identity, terminal, conversation=conversation, key=key, timeout_s=timeout_s)
            message = await poster.post(said)
            terminal.write(message.ascii_json() if as_json else f"{message.offset} {message.id}")

        _talk(access, talk, as_json=as_json)


@click.command()
@_access_options
@click.option("--since", type=click.IntRange(min=0), metavar="OFFSET", help="Begin after this offset.")
@click.option("--from-start", is_flag=True, help="Begin with the first message.")
@click.option("--json", "as_json", is_flag=True, help="Print messages as JSON, one a line.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.argument("conversation")
@click.pass_context
def follow(
    ctx: click.Context,
    url: str,
    token: str | None,
    name: str | None,
    since: int | None,
    from_start: bool,
    as_json: bool,
    count: int | None,
    conversation: str,
) -> None:
    """Print messages as they come, until Ctrl-C or --count.

    It begins with what comes from now on, unless --since or --from-start say otherwise. Each message is printed once and in
    order, also when the network breaks or the server restarts: it reconnects and goes on where it was. It ends
    when the server refuses (unknown conversation, token not valid).

    Without a token it reads as a guest, whose token is kept in ~/.config/hubbub/credentials.json for the next time.

    \b
    Examples:
      hubbub follow lobby
      hubbub follow --since 1200 lobby               # what came after offset 1200, then live
      hubbub follow --from-start --json lobby | jq .text
      hubbub follow --count 1 ops                    # wait for one message
    """
    if from_start and since is not None:
        raise click.UsageError("--from-start and --since both say where to begin: give one of them")
    access = _access(ctx, url, token, name)
    with exit_codes():
        from .follower import Follower

        check_conversation(conversation)
        after = 0 if from_start else since

        async def talk(client: Client, identity: Identity, terminal: Terminal) -> None:
            follower = Follower(client, identity, terminal, conversation=conversation, after=after, count=count)
            await _while_read(follower.run)

        _talk(access, talk, as_json=as_json)


def _talk(access: Access, talk: Callable[[Client, Identity, Terminal], Awaitable[None]], *, as_json: bool) -> None:
    import trio

    from .client import open_client, server_url
    from .credentials import GivenToken, Guest, TokenFile
    from .terminal import Terminal

    tolerate_narrow_encodings()
    terminal = Terminal(out=sys.stdout, err=sys.stderr, as_json=as_json, chatty=sys.stderr.isatty())
    url = server_url(access.url)

    async def run() -> None:
        async with open_client(url) as client:
            identity: Identity
            if access.token is not None:
                identity = GivenToken(access.token)
            else:
                name = _login_name() if access.name is None else access.name
                identity = Guest(client, name, TokenFile(access.token_file), terminal.warn)
            await talk(client, identity, terminal)

    trio.run(run)


async def _while_read(work: Callable[[], Awaitable[None]]) -> None:
    """Work until it is done, or until nobody reads standard output any more."""
    import trio

    from .terminal import wait_reader_gone

    async def watch() -> None:
        await wait_reader_gone(sys.stdout.fileno())
        raise BrokenPipeError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await work()
        nursery.cancel_scope.cancel()


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn how a command ended into an exit code and, where it failed, one line on standard error."""
    from .client import TalkError

    code, texts = 0, list[str]()
    try:
        yield
    except* KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except* BrokenPipeError:
        code = EXIT_NO_READER
        # The interpreter flushes standard output at its end; what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except* TalkError as group:
        code = EXIT_FAILED
        texts.extend(str(error) for error in _leaves(group))
    if texts:
        from .terminal import harmless

        click.echo("hubbub: " + "; ".join(harmless(text) for text in texts), err=True)
    if code:
        sys.exit(code)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def check_conversation(name: str) -> None:
    """Refuse what cannot be a conversation, with `TalkError`."""
    from .engine.core.ids import conversation_id

    _check(conversation_id, name)


def _check(rule: Callable[[str], object], value: str) -> None:
    """Apply one of the server's own rules before anything is sent."""
    from .client import TalkError
    from .engine.core.errors import EngineError

    try:
        rule(value)
    except EngineError as error:
        raise TalkError(str(error)) from error


def _text(words: tuple[str, ...]) -> str:
    from .client import TalkError

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


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id
        return _NO_NAME


def tolerate_narrow_encodings() -> None:
    """Show what the terminal's encoding lacks as escapes, and never fail on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
