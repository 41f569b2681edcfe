"""The command group `hubbub invites`: ways into a room, each good once."""

from __future__ import annotations

from typing import Final

import click

from .access import Access, with_access
from .asking import hidden
from .catalogue import DefaultGroup
from .completion import complete_rooms
from .durations import duration
from .output import Column, json_option
from .server import Server, carry_out, check_conversation, paging, paging_options, path_of

_INVITES: Final = (
    Column("id", "id"),
    Column("role", "role"),
    Column("state", "state"),
    Column("made by", "made_by.name", free=True),
    Column("until", "expires_at", time=True),
    Column("for", "bound_to"),
    Column("accepted by", "accepted_by"),
)
_OFFER: Final = (
    Column("room", "title", free=True),
    Column("role", "role"),
    Column("invited by", "invited_by", free=True),
    Column("until", "expires_at", time=True),
)
_room = click.argument("room", shell_complete=complete_rooms)


@click.group(cls=DefaultGroup)
def invites() -> None:
    """Invites into a room. Each is good once.

    \b
    Examples:
      hubbub invites create ops --ttl 2d
      hubbub invites ops
      hubbub invites accept -                # asks for the invite
    """


@invites.command("list")
@with_access(guests=True)
@paging_options
@json_option
@_room
def list_invites(access: Access, limit: int | None, everything: bool, as_json: bool, room: str) -> None:
    """List the open invites of a room, and those that ended lately."""
    wanted = paging(limit, everything)

    async def ask(server: Server) -> None:
        check_conversation(room)
        await server.show_list(path_of("conversations", room, "invites"), "invites", _INVITES, wanted)

    carry_out(access, ask, as_json=as_json)


@invites.command()
@with_access(guests=True)
@click.option("--role", type=click.Choice(["moderator", "member", "viewer"]), help="What it makes.  [default: member]")
@click.option("--ttl", "ttl_s", type=duration, help="How long it is good: 12h, 7d.  [default: 7d]")
@click.option("--for", "bound_to", metavar="WHO", help="Only this user name or e-mail address may accept it.")
@json_option
@_room
def create(access: Access, role: str | None, ttl_s: int | None, bound_to: str | None, as_json: bool, room: str) -> None:
    """Make an invite and print its secret, this once."""

    async def make(server: Server) -> None:
        check_conversation(room)
        said = {"role": role, "ttl_s": ttl_s, "bound_to": bound_to and bound_to.removeprefix("@")}
        body = {field: value for field, value in said.items() if value is not None}
        answer = await server.ask("POST", path_of("conversations", room, "invites"), body=body)
        server.output.done(answer["token"], answer)
        if not server.output.as_json:
            server.output.note(f"good once until {answer['expires_at']}, for `hubbub invites accept`")

    carry_out(access, make, as_json=as_json)


@invites.command()
@with_access(guests=True)
@json_option
@_room
@click.argument("invite")
def revoke(access: Access, as_json: bool, room: str, invite: str) -> None:
    """Take an invite back, named by its id."""

    async def end(server: Server) -> None:
        check_conversation(room)
        await server.ask("DELETE", path_of("conversations", room, "invites", invite))
        server.output.done(f"revoked {invite}", {"revoked": invite})

    carry_out(access, end, as_json=as_json)


@invites.command()
@with_access(guests=True)
@json_option
@click.argument("secret")
def show(access: Access, as_json: bool, secret: str) -> None:
    """Show what an invite is for; "-" asks for its SECRET."""

    async def ask(server: Server) -> None:
        server.output.thing(_OFFER, await server.ask("GET", path_of("invites", _typed(secret))))

    carry_out(access, ask, as_json=as_json)


@invites.command()
@with_access(guests=True)
@json_option
@click.argument("secret")
def accept(access: Access, as_json: bool, secret: str) -> None:
    """Become a member by an invite; "-" asks for its SECRET."""

    async def enter(server: Server) -> None:
        answer = await server.ask("POST", path_of("invites", _typed(secret), "accept"), body={})
        server.output.done(f"joined {answer['conversation']} as {answer['member'].get('role', 'member')}", answer)

    carry_out(access, enter, as_json=as_json)


def _typed(secret: str) -> str:
    return hidden("Invite") if secret == "-" else secret  # noqa: S105  a dash, not a secret
