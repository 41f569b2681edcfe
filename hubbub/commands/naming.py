"""Whom a command is about: an id, a user name, or the name that somebody has in a room.

An id goes to the server as it is: what ends in a UUID (``guest-0193...``), has a colon in it (``jwt:ada``), or follows ``id:``.
``@ada`` is a user name and nothing else. A bare word is a user name first, and then whoever in the room has it as id or, but for
being given a role, as name. Who is to be kept out or silent may also be one of those who wrote the newest messages there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .server import Paging, Server, path_of

if TYPE_CHECKING:
    from .output import Row

USERS: Final = "/admin/users"
BLOCKS: Final = "/blocks"
_ALL: Final = Paging(most=None)
_ID: Final = "id:"
_UUID_AT_END: Final = re.compile(r"(?:^|-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_NEWEST: Final = 100
"""Messages whose authors are looked at; one page."""


async def person_id(
    server: Server, user: str, *, room: str | None = None, speakers: bool = False, trusts_names: bool = True
) -> str:
    """The id of somebody, as whoever asks may find it out.

    Args:
        room: where the person is looked for, too.
        speakers: and there also among the authors of the newest messages, who need not be members.
        trusts_names: a name that somebody has in the room will do. It must not where a role is given: guests call themselves what
            they like, also like somebody who has no account any more.

    Raises:
        TalkError: nobody is called so, or several are.
    """
    from ..refusals import TalkError

    given = _given_id(user)
    if given is not None:
        return given
    found, guest = await _by_user_name(server, user)
    if found is not None:
        return found
    there = [] if room is None or user.startswith("@") else await _in_room(server, room, speakers=speakers)
    matching = _called(there, user)
    if user in matching:
        return user
    if matching and not trusts_names:
        ids = ", ".join(matching)
        raise TalkError(
            f"{user!r} is no user name, and what somebody there is called, which anybody chooses: give the id, {ids}"
        )
    if len(matching) > 1:
        raise TalkError(_several(user, matching, "there"))
    if matching:
        return str(*matching)
    raise TalkError(_nobody(user, room, guest=guest, speakers=speakers))


async def blocked_id(server: Server, user: str) -> str:
    """The id of somebody whom one blocks.

    A bare word is a user name and a name in one's list of blocks alike; where these are two people, none is taken. Somebody who
    is not blocked is found by user name.

    Raises:
        TalkError: nobody is called so, or several are.
    """
    from ..refusals import TalkError

    given = _given_id(user)
    if given is not None:
        return given
    found, guest = await _by_user_name(server, user)
    if user.startswith("@") and found is not None:
        return found
    people: list[Row] = []
    if not user.startswith("@"):
        await server.each_page(BLOCKS, "blocks", _ALL, people.extend)
    blocked = [row["user"] for row in people]
    matching = _called(blocked, user)
    if found in {row["id"] for row in blocked}:
        matching.add(str(found))
    if len(matching) > 1:
        raise TalkError(_several(user, matching, "in your list of blocks"))
    if matching:
        return str(*matching)
    if found is not None:
        return found
    raise TalkError(f"you block nobody who is called {user!r}" if guest else _nobody(user, None, guest=False))


async def _by_user_name(server: Server, user: str) -> tuple[str | None, bool]:
    """The id of who signs in as `user`, if there is one; and whether a guest asks, who may not know."""
    from ..refusals import Refused

    try:
        found = await server.ask("GET", "/users" + path_of(user.removeprefix("@")))
    except Refused as error:
        if error.status not in (_FORBIDDEN, _NOT_FOUND):
            raise
        return None, error.status == _FORBIDDEN
    return str(found["id"]), False


def _called(people: list[Row], user: str) -> set[str]:
    return {row["id"] for row in people if user in (row["id"], row["name"])}


def _several(user: str, ids: set[str], where: str) -> str:
    return f"{user!r} is the name of {len(ids)} people {where}, say which: {', '.join(sorted(ids))}"


def _nobody(user: str, room: str | None, *, guest: bool, speakers: bool = False) -> str:
    named = user if user.startswith("@") else repr(user)
    if guest:
        return f"cannot look {named} up: guests may not; give an id, or sign in with `hubbub login`"
    if room is None or user.startswith("@"):
        return f"there is no user {named}"
    looked = f", nor wrote one of its newest {_NEWEST} messages" if speakers else ""
    return f"there is no user {named}, and nobody in {room} is called so{looked}: `hubbub members {room}` lists who is there"


async def account_id(server: Server, user: str) -> str:
    """The id of an account that is named by id or by user name, as administrators see accounts: the disabled, too.

    Raises:
        TalkError: there is none.
    """
    from ..refusals import TalkError

    given = _given_id(user)
    if given is not None:
        return given
    name = user.removeprefix("@").lower()
    found: list[Row] = []
    await server.each_page(USERS, "users", _ALL, found.extend, query={"matching": name})
    for row in found:
        if row["username"] == name:
            return str(row["id"])
    raise TalkError(f"there is no user {user!r}: `hubbub users --matching {name}` looks for others")


def _given_id(user: str) -> str | None:
    if user.startswith(_ID):
        return user.removeprefix(_ID)
    if ":" in user:
        return user
    folded = user.lower()  # what the server makes is in lower case
    return folded if _UUID_AT_END.search(folded) is not None else None


async def _in_room(server: Server, room: str, *, speakers: bool) -> list[Row]:
    """Who belongs to a room, is banned there or (`speakers`) wrote lately, as far as whoever asks may see it."""
    from ..refusals import Refused

    found: list[Row] = []
    for name in ("members", "bans"):
        try:
            await server.each_page(path_of("conversations", room, name), name, _ALL, found.extend)
        except Refused as error:
            if error.status not in (_FORBIDDEN, _NOT_FOUND):
                raise
    people = [row["user"] for row in found]
    return [*people, *await _authors(server, room)] if speakers else people


async def _authors(server: Server, room: str) -> list[Row]:
    from ..refusals import Refused

    try:
        page = await server.ask("GET", path_of("conversations", room, "messages"), query={"limit": _NEWEST})
    except Refused as error:
        if error.status not in (_FORBIDDEN, _NOT_FOUND):
            raise
        return []
    return [message["author"] for message in page["messages"] if message.get("author") is not None]
