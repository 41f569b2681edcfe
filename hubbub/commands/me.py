"""The command group `hubbub me`: who one is at a server, one's name, password and sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from .access import Access, with_access
from .asking import SECRET_FILE, password, password_option
from .catalogue import DefaultGroup
from .output import Column, json_option
from .server import Server, carry_out, path_of

_WHO: Final = (
    Column("name", "user.name", free=True),
    Column("user name", "user.username"),
    Column("id", "user.id"),
    Column("role", "user.role"),
    Column("may", "scopes"),
    Column("until", "expires_at", time=True),
    Column("server", "url"),
)
_SESSIONS: Final = (
    Column("id", "id"),
    Column("program", "label", free=True),
    Column("since", "created_at", time=True),
    Column("last used", "last_used_at", time=True),
    Column("until", "expires_at", time=True),
    Column("this one", "current"),
)


@click.group(cls=DefaultGroup, default="show")
def me() -> None:
    """Who you are at a server, and your sessions.

    \b
    Examples:
      hubbub me
      hubbub me sessions
      hubbub me rename "Ada L."
    """


@me.command()
@with_access()
@json_option
def show(access: Access, as_json: bool) -> None:
    """Show who you are at a server, and until when."""

    async def ask(server: Server) -> None:
        answer = await server.ask("GET", "/auth/me")
        server.output.thing(_WHO, {**answer, "url": server.client.url})

    carry_out(access, ask, as_json=as_json)


@me.command()
@with_access()
@json_option
@click.argument("name")
def rename(access: Access, as_json: bool, name: str) -> None:
    """Take another name for people to see. The user name stays."""

    async def change(server: Server) -> None:
        answer = await server.ask("PATCH", "/auth/me", body={"name": name})
        server.output.done(f"you are {answer['user']['name']} now", answer)

    carry_out(access, change, as_json=as_json)


@me.command("password")
@with_access()
@password_option
@click.option("--present-file", type=SECRET_FILE, help="Read the present password from this file.")
@json_option
def change_password(access: Access, password_file: Path | None, present_file: Path | None, as_json: bool) -> None:
    """Change your password. Every other session ends; API keys stay."""

    async def change(server: Server) -> None:
        body = {
            "present_password": password(present_file, what="Present password"),
            "password": password(password_file, what="New password", fresh=True),
        }
        answer = await server.ask("PATCH", "/auth/me", body=body)
        server.output.done("the password is changed, and every other session has ended", answer)

    carry_out(access, change, as_json=as_json)


@me.command()
@with_access()
@json_option
def sessions(access: Access, as_json: bool) -> None:
    """List your sessions, the newest first."""

    async def ask(server: Server) -> None:
        server.output.rows(_SESSIONS, (await server.ask("GET", "/auth/sessions"))["sessions"])

    carry_out(access, ask, as_json=as_json)


@me.command("end-session")
@with_access()
@click.option("--others", is_flag=True, help="All of them but this one.")
@json_option
@click.argument("session", required=False)
def end_session(access: Access, others: bool, as_json: bool, session: str | None) -> None:
    """End a session, with all that is open under it."""
    if (session is None) != others:
        raise click.UsageError("name a session, or say --others")

    async def end(server: Server) -> None:
        await server.ask("DELETE", "/auth/sessions" + ("" if session is None else path_of(session)))
        server.output.done("every other session has ended" if others else f"ended {session}", {"ended": session})

    carry_out(access, end, as_json=as_json)
