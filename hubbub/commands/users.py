"""The command group `hubbub users`: accounts and invitations to sign up, for administrators and the operator.

An account is named by its id or its user name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from .access import Access, with_access
from .asking import password, password_option
from .catalogue import DefaultGroup
from .exports import lines_into
from .naming import USERS, account_id
from .output import Column, Row, json_option
from .server import Paging, Server, carry_out, paging, paging_options, path_of

_USERS: Final = (
    Column("id", "id"),
    Column("user name", "username"),
    Column("name", "name", free=True),
    Column("role", "role"),
    Column("made", "created_at", time=True),
    Column("disabled", "disabled_at", time=True),
)
_INVITATIONS: Final = (
    Column("id", "id"),
    Column("role", "role"),
    Column("label", "label", free=True),
    Column("made", "created_at", time=True),
    Column("until", "expires_at", time=True),
    Column("used by", "used_by"),
)
_ROLES: Final = click.Choice(["admin", "member"])
_INVITATION_PATH: Final = "/admin/invitations"
_ALL: Final = Paging(most=None)


@click.group(cls=DefaultGroup)
def users() -> None:
    """Accounts, and invitations to sign up. For administrators and the operator.

    \b
    Examples:
      hubbub users
      hubbub users create ada --role admin
      hubbub users change ada --disable
      hubbub users invite "for Grace"
      hubbub users export users.jsonl
    """


@users.command("list")
@with_access(operator=True)
@paging_options
@click.option("--guests", is_flag=True, help="Guests too.")
@click.option("--matching", metavar="TEXT", help="What either name holds.")
@json_option
def list_users(
    access: Access, limit: int | None, everything: bool, guests: bool, matching: str | None, as_json: bool
) -> None:
    """List accounts, by id."""
    wanted = paging(limit, everything)

    async def ask(server: Server) -> None:
        await server.show_list(USERS, "users", _USERS, wanted, query=_asked(guests, matching))

    carry_out(access, ask, as_json=as_json)


@users.command()
@with_access(operator=True)
@json_option
@click.argument("user")
def show(access: Access, as_json: bool, user: str) -> None:
    """Show an account."""

    async def ask(server: Server) -> None:
        server.output.thing(_USERS, await server.ask("GET", USERS + path_of(await account_id(server, user))))

    carry_out(access, ask, as_json=as_json)


@users.command()
@with_access(operator=True)
@password_option
@click.option("--name", help="The name that people see.  [default: the user name]")
@click.option("--role", type=_ROLES, default="member", show_default=True, help="What it may do on the server.")
@json_option
@click.argument("username")
def create(
    access: Access, password_file: Path | None, name: str | None, role: str, as_json: bool, username: str
) -> None:
    """Make an account for somebody else."""

    async def make(server: Server) -> None:
        body = {"username": username, "password": password(password_file, fresh=True), "role": role}
        if name is not None:
            body["name"] = name
        answer = await server.ask("POST", USERS, body=body)
        server.output.done(f"made {answer['username']} ({answer['role']}), {answer['id']}", answer)

    carry_out(access, make, as_json=as_json)


@users.command()
@with_access(operator=True)
@click.option("--role", type=_ROLES, help="What it may do on the server.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether it can get in.")
@click.option("--name", help="The name that people see.")
@click.option("--new-password", is_flag=True, help="Ask for another password; every session ends.")
@password_option
@json_option
@click.argument("user")
def change(
    access: Access,
    role: str | None,
    disabled: bool | None,
    name: str | None,
    new_password: bool,
    password_file: Path | None,
    as_json: bool,
    user: str,
) -> None:
    """Change an account: role, name or password; or disable it. It counts at once, for what is open too."""
    said: dict[str, object] = {"role": role, "disabled": disabled, "name": name}
    body = {field: value for field, value in said.items() if value is not None}
    if not body and not new_password and password_file is None:
        raise click.UsageError("nothing is to be changed: --role, --disable, --enable, --name or --new-password")

    async def patch(server: Server) -> None:
        user_id = await account_id(server, user)
        if new_password or password_file is not None:
            body["password"] = password(password_file, what="New password", fresh=True)
        server.output.thing(_USERS, await server.ask("PATCH", USERS + path_of(user_id), body=body))

    carry_out(access, patch, as_json=as_json)


@users.command()
@with_access(operator=True)
@click.option("--yes", is_flag=True, help="Do not ask again.")
@json_option
@click.argument("user")
def delete(access: Access, yes: bool, as_json: bool, user: str) -> None:
    """Delete an account, for ever. Names, password, sessions and keys go; what was written stays."""

    async def end(server: Server) -> None:
        user_id = await account_id(server, user)
        if not yes:
            click.confirm(f"Delete {user} ({user_id}) for ever?", abort=True, err=True)
        await server.ask("DELETE", USERS + path_of(user_id))
        server.output.done(f"deleted {user}", {"deleted": user_id})

    carry_out(access, end, as_json=as_json)


@users.command("sign-out")
@with_access(operator=True)
@json_option
@click.argument("user")
def sign_out(access: Access, as_json: bool, user: str) -> None:
    """End every session and every key of an account, with all that is open."""

    async def end(server: Server) -> None:
        user_id = await account_id(server, user)
        await server.ask("DELETE", USERS + path_of(user_id, "sessions"))
        server.output.done(f"signed {user} out everywhere", {"signed_out": user_id})

    carry_out(access, end, as_json=as_json)


@users.command()
@with_access(operator=True)
@click.option("--guests", is_flag=True, help="Guests too.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
def export(access: Access, guests: bool, file: Path) -> None:
    """Write all accounts as JSON, one a line, to standard output or a FILE that only you can read."""

    async def write(server: Server) -> None:
        seen = 0
        with lines_into(file, server.output) as write_line, server.output.progress("users") as progress:

            def take(rows: list[Row]) -> None:
                nonlocal seen
                seen += len(rows)
                progress(seen)
                for row in rows:
                    write_line(row)

            await server.each_page(USERS, "users", _ALL, take, query=_asked(guests, None))
        if str(file) != "-":
            server.output.note(f"wrote {seen:,} accounts to {file}")

    carry_out(access, write, as_json=True)


@users.command()
@with_access(operator=True)
@click.option("--role", type=_ROLES, default="member", show_default=True, help="What the account may do on the server.")
@json_option
@click.argument("label", default="")
def invite(access: Access, role: str, as_json: bool, label: str) -> None:
    """Invite somebody to sign up, and print the secret and its link, this once. LABEL is for the list."""

    async def make(server: Server) -> None:
        answer = await server.ask("POST", _INVITATION_PATH, body={"role": role, "label": label})
        server.output.done(answer["invitation"], answer)
        if not server.output.as_json:
            link = f"{server.client.url}/#signup={answer['invitation']}"
            server.output.note(
                f"good for one account until {answer['expires_at']}: {link}, or `hubbub signup --invitation -`"
            )
            await _say_of_use(server)

    carry_out(access, make, as_json=as_json)


async def _say_of_use(server: Server) -> None:
    """Say where an invitation opens nothing, or nobody needs one."""
    policy = (await server.ask("GET", "/version")).get("sign_up")
    if policy == "off":
        server.output.note("sign-up is off, with an invitation too, until `hubbub config set access.sign_up invite`")
    elif policy == "open":
        server.output.note("sign-up is open: anybody makes an account without an invitation, as a member")


@users.command()
@with_access(operator=True)
@json_option
def invitations(access: Access, as_json: bool) -> None:
    """List the newest invitations to sign up."""

    async def ask(server: Server) -> None:
        server.output.rows(_INVITATIONS, (await server.ask("GET", _INVITATION_PATH))["invitations"])

    carry_out(access, ask, as_json=as_json)


@users.command("withdraw")
@with_access(operator=True)
@json_option
@click.argument("invitation")
def withdraw(access: Access, as_json: bool, invitation: str) -> None:
    """Withdraw an invitation that was not used, named by its id."""

    async def end(server: Server) -> None:
        await server.ask("DELETE", _INVITATION_PATH + path_of(invitation))
        server.output.done(f"withdrew {invitation}", {"withdrawn": invitation})

    carry_out(access, end, as_json=as_json)


def _asked(guests: bool, matching: str | None) -> dict[str, str | int]:
    asked: dict[str, str | int] = {"guests": "true"} if guests else {}
    if matching is not None:
        asked["matching"] = matching
    return asked
