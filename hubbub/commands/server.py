"""How a command asks a server: one client, one identity, one output; and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import attrs
import click

from .access import Access, credential_file, identity_of, url_of
from .exits import Ending, exit_codes

if TYPE_CHECKING:
    from ..client import Answer, Client
    from ..credentials import Identity
    from .output import Column, Output, Row

PAGE_ITEMS: Final = 100
"""Rows asked for at once; no list refuses so many."""
_UNAUTHENTICATED: Final = 401
_ANOTHER_KEY: Final = (
    "a key is given its scopes when it is made (`hubbub keys create --scope`); a login has all of its account's"
)
_Command = TypeVar("_Command", bound=Callable[..., object])


def path_of(*parts: str) -> str:
    """A path of the REST interface from parts that come from outside."""
    return "".join("/" + quote(part, safe="") for part in parts)


@attrs.frozen(kw_only=True)
class Paging:
    """How much of a list is wanted; `most` None for all of it."""

    most: int | None


def paging_options(command: _Command) -> _Command:
    """``--limit`` and ``--all``, as parameters `limit` and `everything` of `paging`."""
    limit = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.  [default: 50]")
    everything = click.option("--all", "everything", is_flag=True, help="All there are.")
    return limit(everything(command))


def paging(limit: int | None, everything: bool) -> Paging:
    """What the two options come to."""
    if limit is not None and everything:
        raise click.UsageError("--limit and --all both say how many: give one of them")
    return Paging(most=None if everything else limit or 50)


@attrs.frozen(kw_only=True)
class Server:
    """A server, asked as somebody, and where the answers go."""

    client: Client
    identity: Identity
    output: Output

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make a call; gives the JSON of the answer, None for no content.

        Raises:
            TalkError: refused, out of reach, or no JSON.
        """
        from ..client import decode

        answer = await self.exchange(method, path, body=body, query=query, headers=headers)
        return decode(answer.body, dict[str, Any]) if answer.body else None

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call; gives the answer with its headers. Raises as `ask`."""
        from ..refusals import Refused

        while True:
            token = await self.identity.token()
            try:
                return await self.client.exchange(method, path, token=token, body=body, query=query, headers=headers)
            except Refused as error:
                if error.status == _UNAUTHENTICATED and self.identity.replace():
                    continue
                raise

    async def each_page(
        self,
        path: str,
        name: str,
        wanted: Paging,
        take: Callable[[list[Row]], None],
        *,
        cursor: str = "after",
        query: Mapping[str, str | int] | None = None,
    ) -> bool:
        """Read a list page by page; `take` gets the rows of each. Whether more were there than wanted.

        Args:
            name: under which a page has its rows.
            cursor: under which the next page is asked for what ``next`` of this one says.
        """
        asked, seen = dict(query or {}), 0
        while True:
            size = PAGE_ITEMS if wanted.most is None else min(PAGE_ITEMS, wanted.most - seen)
            found = await self.ask("GET", path, query={**asked, "limit": size})
            rows = found[name]
            take(rows)
            seen += len(rows)
            if found["next"] is None or not rows:
                return False
            if wanted.most is not None and seen >= wanted.most:
                return True
            asked[cursor] = found["next"]

    async def show_list(
        self,
        path: str,
        name: str,
        columns: Sequence[Column],
        wanted: Paging,
        *,
        cursor: str = "after",
        query: Mapping[str, str | int] | None = None,
    ) -> None:
        """Read a list and print it: lines as they come, a table at the end."""
        kept: list[Row] = []
        seen = 0
        with self.output.progress(name) as progress:

            def take(rows: list[Row]) -> None:
                nonlocal seen
                seen += len(rows)
                progress(seen)
                if self.output.rich and not self.output.as_json:
                    kept.extend(rows)
                else:
                    self.output.rows(columns, rows)

            more = await self.each_page(path, name, wanted, take, cursor=cursor, query=query)
        if self.output.rich and not self.output.as_json:
            self.output.rows(columns, kept)
        if more:
            self.output.note(f"there are more {name}: --all shows them")


Work = Callable[[Server], Awaitable[None]]


def carry_out(access: Access, work: Work, *, as_json: bool = False) -> None:
    """Do what a command does with a server, and end the process with the exit code that it comes to."""
    with exit_codes() as ending:
        import trio

        trio.run(_with_server, access, work, output_of(as_json=as_json), ending)


async def _with_server(access: Access, work: Work, output: Output, ending: Ending) -> None:
    from ..client import open_client

    file = credential_file()
    url = url_of(access, file)
    async with open_client(url) as client:
        ending.advice = lambda error: reaching_advice(access, error)
        identity = identity_of(access, client, file, output.note)
        ending.advice = lambda error: advice(access, identity, error)
        await work(Server(client=client, identity=identity, output=output))


def advice(access: Access, identity: Identity, error: Exception) -> str | None:
    """What to do next after an error."""
    from ..refusals import Refused

    if not isinstance(error, Refused):
        return reaching_advice(access, error)
    return _ANOTHER_KEY if error.lacks_scope else identity.advice(error.status)


def reaching_advice(access: Access, error: Exception) -> str | None:
    """What to do where no server answers: it may be another one that was meant."""
    from ..refusals import Unreachable

    if isinstance(error, Unreachable) and access.url is None:
        return "start one with `hubbub serve`, or name another with --url"
    return None


def output_of(*, as_json: bool) -> Output:
    """The output of this process."""
    from ..terminal import Terminal
    from .output import Output

    tolerate_narrow_encodings()
    terminal = Terminal(out=sys.stdout, err=sys.stderr, as_json=as_json, chatty=sys.stderr.isatty())
    return Output(terminal, rich=sys.stdout.isatty())


def tolerate_narrow_encodings() -> None:
    """Show what the terminal's encoding lacks as escapes, and never fail on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def check(rule: Callable[[str], object], value: str) -> None:
    """Apply one of the server's own rules before anything is sent.

    Raises:
        TalkError: the value breaks it.
    """
    from ..engine.core.errors import EngineError
    from ..refusals import TalkError

    try:
        rule(value)
    except EngineError as error:
        raise TalkError(str(error)) from error


def check_conversation(name: str) -> None:
    """Refuse what cannot be a conversation, with `TalkError`."""
    from ..engine.core.ids import conversation_id

    check(conversation_id, name)
