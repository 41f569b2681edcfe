"""Calls on the members of a conversation. Each is one operation, behind a REST route in `member_routes` and an RPC method in
`centrifugal_members`: same fields, same answers.

What is allowed the conversation decides (`engine.core.permissions`); here fields are read, and users are looked up who are not
known to the conversation yet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from ..engine import (
    Author,
    InvalidCommand,
    Members,
    Membership,
    NotFound,
    Principal,
    Record,
    Role,
    Unprocessable,
)
from ..engine.core import codec
from ..engine.core.permissions import Verb
from ..engine.core.principals import ServerRole
from ..engine.core.session import page_limit
from ..engine.identity import rules
from .api import Api
from .openapi.parameters import USER_ID_CHARS

MUTE_S: Final = 366 * 86_400
"""Longest mute, seconds; who shall never speak is banned, or made a viewer."""

_TIME_CHARS: Final = 40
_ROLES: Final = tuple(role.value for role in Role)


@attrs.frozen
class Ask:
    """One call, decoded and authenticated, whichever way it came.

    Attributes:
        conversation: the id, from outside.
        fields: what path, query and body say, or the data of an RPC.
        request_id: of the call; of an RPC, of the request that opened its connection.
    """

    api: Api
    principal: Principal
    conversation: str
    fields: Mapping[str, Any]
    request_id: str

    @property
    def members(self) -> Membership:
        """The conversation's members.

        Raises:
            InvalidCommand: not a conversation id.
        """
        return attrs.evolve(self.api.engine.conversation(self.conversation).members, request_id=self.request_id)

    def user(self) -> str:
        """The id of the user whom it is about; raises as `user_id_of`."""
        return user_id_of(self.fields)

    async def record(self, verb: Verb) -> Record:
        """The conversation, for one who is allowed the verb there."""
        return await self.api.engine.conversation(self.conversation).describe(by=self.principal, verb=verb)


def user_id_of(fields: Mapping[str, Any]) -> str:
    """The id of the user whom a call is about.

    Raises:
        InvalidCommand: it is missing, or longer than ids are.
    """
    user_id = codec.require_text(fields, "user")
    if not 1 <= len(user_id) <= USER_ID_CHARS:
        raise InvalidCommand(f"'user' is an id of 1 to {USER_ID_CHARS} characters")
    return user_id


Operation = Callable[[Ask], Awaitable[bytes]]
"""Carries a call out and gives the answer's JSON, or nothing where there is nothing to say."""


# -- operations -------------------------------------------------------------------------------------------------------


async def list_members(ask: Ask) -> bytes:
    """Those who belong, by id."""
    record = await ask.record(Verb.READ)
    return _page(ask, record.members, b"members", record.members.belonging)


async def list_bans(ask: Ask) -> bytes:
    """Those who are banned, by id."""
    record = await ask.record(Verb.MODERATE)
    return _page(ask, record.members, b"bans", record.members.banned)


def page_start(after: str | None) -> str | None:
    """Behind whom a page of users begins.

    Raises:
        InvalidCommand: no user has such an id.
    """
    if after is not None and not 1 <= len(after) <= USER_ID_CHARS:
        raise InvalidCommand(f"'after' is a user id of 1 to {USER_ID_CHARS} characters")
    return after


def _page(ask: Ask, members: Members, name: bytes, ids: Sequence[str]) -> bytes:
    after, asked = page_start(codec.get_text(ask.fields, "after")), codec.get_int(ask.fields, "limit")
    settings = ask.api.engine.settings
    limit = page_limit(asked, settings.page_default_items, settings.page_items)
    start = 0 if after is None else bisect_right(ids, after)
    page = ids[start : start + limit]
    following = codec.encode_json(page[-1] if len(page) == limit else None)
    return b'{"%b":[%b],"next":%b}' % (name, b",".join(codec.member_json(members[user]) for user in page), following)


async def show_member(ask: Ask) -> bytes:
    """One row: who belongs, or is muted; a ban is shown in the list of bans."""
    record, user_id = await ask.record(Verb.READ), ask.user()
    member = record.members.get(user_id)
    if member is None or member.banned:
        raise NotFound("no such member")
    return codec.member_json(member)


async def put_member(ask: Ask) -> bytes:
    """Make a member, or give a member another role."""
    role = _role(codec.require_text(ask.fields, "role"))
    user_id = ask.user()
    user = await _known(ask, await ask.record(Verb.INVITE), user_id)
    if user is None:
        raise NotFound("no such user")
    return _row(await ask.members.put(user, role, by=ask.principal), user_id)


async def remove_member(ask: Ask) -> bytes:
    """End a membership, one's own or another's."""
    user_id = ask.user()
    await ask.members.remove(_named(user_id), by=ask.principal)
    return b""


async def join(ask: Ask) -> bytes:
    """Become a member of a public conversation."""
    return _row(await ask.members.join(ask.principal), ask.principal.id)


async def leave(ask: Ask) -> bytes:
    """End one's own membership."""
    await ask.members.remove(ask.principal.author, by=ask.principal)
    return b""


async def hide(ask: Ask) -> bytes:
    """Leave a direct conversation out of one's own list until it goes on."""
    await ask.api.engine.conversation(ask.conversation).hide(by=ask.principal)
    return b""


async def mute(ask: Ask) -> bytes:
    """Keep somebody from speaking for some seconds, or until a time."""
    user_id, until_ms = ask.user(), _until_ms(ask)
    user = await _known(ask, await ask.record(Verb.MODERATE), user_id) or await unknown(ask.api, ask.principal, user_id)
    members = await ask.members.mute(user, until_ms=until_ms, by=ask.principal)
    return _row(members, user_id) if until_ms else b""


async def unmute(ask: Ask) -> bytes:
    """End a mute."""
    await ask.members.mute(_named(ask.user()), until_ms=0, by=ask.principal)
    return b""


async def ban(ask: Ask) -> bytes:
    """Keep somebody out: an id that nobody knows, too, since a ban is about an id."""
    user_id = ask.user()
    user = await _known(ask, await ask.record(Verb.MODERATE), user_id) or await unknown(ask.api, ask.principal, user_id)
    return _row(await ask.members.ban(user, by=ask.principal), user_id)


async def unban(ask: Ask) -> bytes:
    """Forget a ban; it gives no membership."""
    await ask.members.unban(_named(ask.user()), by=ask.principal)
    return b""


async def _known(ask: Ask, record: Record, user_id: str) -> Author | None:
    """Somebody by id: as accounts know the user today, else as the conversation does."""
    found = await ask.api.people.find(user_id)
    if found is not None:
        return found
    member = record.members.get(user_id)
    return None if member is None else member.user


async def unknown(api: Api, by: Principal, user_id: str) -> Author:
    """Somebody whom nobody here knows by this id, which is fine, unless it is a user name and meant somebody else's id.

    Guests, who cannot look user names up, are not told.

    Raises:
        Unprocessable: an account has this user name.
    """
    if by.role is not ServerRole.GUEST and rules.may_be_username(rules.fold_username(user_id)):
        user = await api.accounts.store.find_username(rules.fold_username(user_id))
        if user is not None and user.active:
            raise Unprocessable("this is a user name, and an id is wanted: GET /api/v1/users/{username} tells it")
    return _named(user_id)


def told(fields: Mapping[str, Any]) -> str:
    """What a change of a member gives, in words for the audit log; nothing of what was not understood."""
    role, seconds, until = fields.get("role"), fields.get("seconds"), fields.get("until")
    words = [f"role={role}"] if role in _ROLES else []
    words += [f"seconds={seconds}"] if isinstance(seconds, int) and 0 <= seconds <= MUTE_S else []
    words += [f"until={until}"] if isinstance(until, str) and len(until) <= _TIME_CHARS else []
    return " ".join(words)


def _named(user_id: str) -> Author:
    return Author(user_id, user_id)


def _row(members: Members, user_id: str) -> bytes:
    member = members.get(user_id)
    return b"{}" if member is None else codec.member_json(member)  # gone again, by the time the answer was made


def _role(text: str) -> Role:
    if text not in _ROLES:
        raise InvalidCommand(f"'role' must be one of {', '.join(_ROLES)}")
    return Role(text)


def _until_ms(ask: Ask) -> int:
    """``seconds`` from now, or ``until`` a time (RFC 3339); 0 for no mute."""
    seconds, until = codec.get_int(ask.fields, "seconds"), codec.get_text(ask.fields, "until")
    if (seconds is None) == (until is None):
        raise InvalidCommand("give 'seconds' or 'until'")
    now_ms = ask.api.engine.now_ms()
    if until is not None:
        end_ms = _instant_ms(until)
    else:
        assert seconds is not None
        end_ms = now_ms + 1000 * seconds
    if end_ms - now_ms > 1000 * MUTE_S:
        raise Unprocessable(f"a mute lasts at most {MUTE_S} seconds")
    return end_ms if end_ms > now_ms else 0


def _instant_ms(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidCommand("'until' must be a time as in RFC 3339") from None
    if found.tzinfo is None:
        raise InvalidCommand("'until' must name its offset from UTC, as in RFC 3339")
    return round(found.timestamp() * 1000)
