"""Who may do what: the one table, read by every transport and by the conversation itself.

Two questions are asked. `may_call`: may this principal use this route, RPC method or command at all? It is decided where the
request is decoded. `check`: may it do this in that conversation? It is decided by the conversation's actor, which alone knows the
members of the moment. To somebody who may not know of a conversation it does not exist.
"""

from enum import StrEnum, auto
from typing import Final

from .blocks import check_contact
from .errors import Conflict, EngineError, Forbidden, NotFound, Unauthenticated
from .kinds import ConversationKind, Visibility
from .members import Member, Role
from .messages import Record
from .principals import Principal, Scope, ServerRole

# -- routes -----------------------------------------------------------------------------------------------------------


class Access(StrEnum):
    """What a caller of a route must be."""

    ANYONE = "anyone"
    PRINCIPAL = "principal"
    """Any principal, guests too."""
    ACCOUNT = "account"
    """Somebody with an account: no guest."""
    ADMIN = "admin"


# Names of their own: in Python 3.11 each look at a member of an enum takes 60 ns, a seventh of `may_call`.
_ANYONE, _ADMIN, _ACCOUNT = Access.ANYONE, Access.ADMIN, Access.ACCOUNT
_SERVER_ADMIN, _GUEST = ServerRole.ADMIN, ServerRole.GUEST


def may_call(principal: Principal | None, access: Access, scope: Scope) -> EngineError | None:
    """Why a principal may not call a route; None when it may.

    Args:
        principal: None for nobody.
        access: what the route asks for.
        scope: what the credential must be good for; without meaning for `Access.ANYONE`.
    """
    if access is _ANYONE:
        return None
    if principal is None:
        return Unauthenticated("authenticate first")
    if scope not in principal.scopes:
        return Forbidden(f"this credential lacks the scope {scope.value!r}")
    if access is _ADMIN and principal.role is not _SERVER_ADMIN:
        return Forbidden("this is for admins")
    if access is _ACCOUNT and principal.role is _GUEST:
        return Forbidden("this needs an account")
    return None


# -- conversations ------------------------------------------------------------------------------------------------------


class Verb(StrEnum):
    """What can be done in a conversation."""

    READ = "read"
    POST = "post"
    SIGNAL = "signal"
    JOIN = "join"
    LEAVE = "leave"
    HIDE = "hide"
    """Leave a direct conversation out of one's own list until it goes on."""
    INVITE = "invite"
    """Bring people in: make members, make and revoke invites."""
    MODERATE = "moderate"
    """Remove, mute and ban."""
    MANAGE = "manage"
    """Change title, kind of access, slow mode, and archive."""


class Standing(StrEnum):
    """What a principal is to one conversation."""

    OWNER = auto()
    MODERATOR = auto()
    MEMBER = auto()
    VIEWER = auto()
    VISITOR = auto()
    """No member of a public conversation."""
    READER = auto()
    """No member, but its credential opens the conversation for reading."""
    BANNED = auto()
    STRANGER = auto()
    """May not know of it."""


_ALL: Final = frozenset({Standing.OWNER, Standing.MODERATOR, Standing.MEMBER, Standing.VIEWER})
_OFFICE: Final = frozenset({Standing.OWNER, Standing.MODERATOR})
_SPEAKERS: Final = _OFFICE | {Standing.MEMBER, Standing.VISITOR}

ALLOWED: Final = {
    Verb.READ: _ALL | {Standing.VISITOR, Standing.READER},
    Verb.POST: _SPEAKERS,
    Verb.SIGNAL: _SPEAKERS,
    Verb.JOIN: _ALL | {Standing.VISITOR},
    Verb.LEAVE: _ALL,
    Verb.HIDE: _ALL,
    Verb.INVITE: _OFFICE,
    Verb.MODERATE: _OFFICE,
    Verb.MANAGE: frozenset({Standing.OWNER}),
}
"""Which standing may do what. An announcement is for `_OFFICE` to speak in; a direct conversation has nobody in office."""

SCOPE_OF: Final = {
    Verb.READ: Scope.READ,
    Verb.POST: Scope.WRITE,
    Verb.SIGNAL: Scope.WRITE,
    Verb.JOIN: Scope.MANAGE,
    Verb.LEAVE: Scope.MANAGE,
    Verb.HIDE: Scope.MANAGE,
    Verb.INVITE: Scope.MANAGE,
    Verb.MODERATE: Scope.MANAGE,
    Verb.MANAGE: Scope.MANAGE,
}
"""What the credential must be good for besides."""

_SPEAKING: Final = frozenset({Verb.POST, Verb.SIGNAL})
_FIXED: Final = frozenset({Verb.JOIN, Verb.LEAVE, Verb.INVITE})
_REFUSALS: Final = {
    Verb.READ: "you may not read here",
    Verb.POST: "you may not post here",
    Verb.SIGNAL: "you may not post here",
    Verb.JOIN: "you may not join",
    Verb.LEAVE: "you are no member",
    Verb.HIDE: "you are no member",
    Verb.INVITE: "only owners and moderators bring people in",
    Verb.MODERATE: "only owners and moderators may do this",
    Verb.MANAGE: "only an owner may change a conversation",
}
_STANDINGS: Final = {
    Role.OWNER: Standing.OWNER,
    Role.MODERATOR: Standing.MODERATOR,
    Role.MEMBER: Standing.MEMBER,
    Role.VIEWER: Standing.VIEWER,
}
_ABOVE_OWNERS: Final = Role.OWNER.rank + 1

# As above: what every post and every step of a reader asks for.
_OWNER, _BANNED, _STRANGER = Standing.OWNER, Standing.BANNED, Standing.STRANGER
_VISITOR, _READER = Standing.VISITOR, Standing.READER
_PUBLIC: Final = Visibility.PUBLIC
_ROOM, _DIRECT, _ANNOUNCEMENT = ConversationKind.ROOM, ConversationKind.DIRECT, ConversationKind.ANNOUNCEMENT
_ADMIN_SCOPE: Final = Scope.ADMIN


def standing_of(principal: Principal, record: Record) -> Standing:
    """What a principal is to a conversation now."""
    if principal.all_powerful:
        return _OWNER
    if principal.role is _SERVER_ADMIN and _ADMIN_SCOPE in principal.scopes and record.kind is not _DIRECT:
        return _OWNER  # also who was made less here, or banned: no owner keeps an admin out
    member = record.members.get(principal.author.id)
    if member is not None:
        if member.banned:
            return _BANNED if record.visibility is _PUBLIC else _STRANGER
        if member.joined_at_ms:
            return _STANDINGS[member.role]
    if record.visibility is _PUBLIC:
        return _VISITOR
    return _READER if record.id in principal.grants else _STRANGER


def rank_of(principal: Principal, record: Record) -> int:
    """The rank with which a principal acts on members; 0 for those without an office."""
    if principal.all_powerful:
        return _ABOVE_OWNERS
    standing = standing_of(principal, record)
    if standing is _OWNER:
        member = record.members.get(principal.id)
        return Role.OWNER.rank if member is not None and member.role is Role.OWNER else _ABOVE_OWNERS
    return Role.MODERATOR.rank if standing is Standing.MODERATOR else 0


def check(principal: Principal, verb: Verb, record: Record, at_ms: int = 0) -> None:
    """Let it pass, or say why not.

    Args:
        at_ms: now, milliseconds since the epoch; for those who are muted until a time.

    Raises:
        NotFound: the principal may not know of the conversation.
        Forbidden: it may know, but not do this.
        Conflict: the conversation is archived and the verb would add to it.
    """
    standing = standing_of(principal, record)
    if standing is _STRANGER:
        raise NotFound("no such conversation")
    if standing not in ALLOWED[verb]:
        raise Forbidden("you are banned here" if standing is _BANNED else _REFUSALS[verb])
    if SCOPE_OF[verb] not in principal.scopes:
        raise Forbidden(f"this credential lacks the scope {SCOPE_OF[verb].value!r}")
    if record.kind is not _ROOM:
        _check_kind(principal, verb, standing, record)
    if verb in _SPEAKING:
        _check_speaking(principal, record, at_ms)


def _check_kind(principal: Principal, verb: Verb, standing: Standing, record: Record) -> None:
    if record.kind is _ANNOUNCEMENT:
        if verb in _SPEAKING and standing not in _OFFICE:
            raise Forbidden("only owners and moderators speak in an announcement")
    elif verb in _FIXED:
        raise Conflict("the two of a direct conversation are its members for ever")
    elif verb in _SPEAKING and not principal.all_powerful:
        check_contact(principal.author.id, record.blockers, _REFUSALS[verb])


def _check_speaking(principal: Principal, record: Record, at_ms: int) -> None:
    if record.archived:
        raise Conflict("the conversation is archived")
    member: Member | None = record.members.get(principal.author.id)
    if member is not None and at_ms < member.muted_until_ms and not principal.all_powerful:
        raise Forbidden("you are muted here")
