"""Members: who belongs to a conversation, in which role, and the rules of changing that. Sans-I/O.

A public conversation may be used without belonging to it, so its members are those with a role, a mute or a ban of their own; a
private one is seen by its members alone. Invariants: a conversation that had an owner keeps one; nobody acts on somebody of the
own rank or above (owners may); a direct conversation has the two members that it was made with, for ever.

Source of the words: owner, moderator, member and viewer as in `docs/glossary.md`; a ban is kept as a row of somebody who is no
member, so that it outlives the membership.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs

from .authors import Author
from .blocks import Blockers, check_contact
from .errors import Conflict, Forbidden, LimitExceeded, NoLongerValid, NotFound
from .kinds import EventType

MAX_MEMBERS: Final = 10_000
"""Rows of one conversation; it keeps them in memory while it is live."""
FOR_OFFICE: Final = 1_000
"""Of these so many are left to those in office: a crowd that joins a public conversation must not keep them from banning."""


class Role(StrEnum):
    """What a member is in one conversation."""

    OWNER = "owner"
    """Changes the conversation and everybody's role."""
    MODERATOR = "moderator"
    """Brings people in, and removes, mutes and bans members."""
    MEMBER = "member"
    VIEWER = "viewer"
    """Reads, and does not speak."""

    @property
    def rank(self) -> int:
        """Higher may act on lower."""
        return _RANKS[self]


_RANKS: Final = {Role.VIEWER: 0, Role.MEMBER: 1, Role.MODERATOR: 2, Role.OWNER: 3}


@attrs.frozen
class Member:
    """One row.

    Attributes:
        user: who; the name as it was when the row was last changed.
        role: without meaning while banned.
        joined_at_ms: milliseconds since the epoch; 0 for no membership.
        muted_until_ms: may not speak before this; 0 when not muted.
        banned: is no member, and may not become one, read or speak.
    """

    user: Author
    role: Role
    joined_at_ms: int
    muted_until_ms: int = 0
    banned: bool = False

    @property
    def belongs(self) -> bool:
        """Whether this is a membership, and not only a mute or a ban."""
        return self.joined_at_ms > 0

    @property
    def says_something(self) -> bool:
        """Whether the row has to be kept."""
        return self.banned or self.joined_at_ms > 0 or self.muted_until_ms > 0


class MemberAction(StrEnum):
    """What is done to one person's membership."""

    PUT = "put"
    """Make a member, or give a member another role."""
    JOIN = "join"
    """Become a member of a public conversation oneself."""
    REMOVE = "remove"
    """End a membership, one's own or another's."""
    MUTE = "mute"
    """Keep from speaking until a time; 0 ends it."""
    BAN = "ban"
    """End a membership and keep it ended."""
    UNBAN = "unban"
    """Forget a ban; it gives no membership."""


@attrs.frozen(kw_only=True)
class MemberChange:
    """A wish to change one membership.

    Attributes:
        user: whose.
        action: what.
        role: of `PUT` and `JOIN`.
        until_ms: of `MUTE`, milliseconds since the epoch.
        invited_by: of `JOIN`, who must be in an office here that gives this role; None where nobody's office counts.
        blockers: of `PUT`, those of the user and who asks who block the other: neither brings the other in.
    """

    user: Author
    action: MemberAction
    role: Role = Role.MEMBER
    until_ms: int = 0
    invited_by: str | None = None
    blockers: Blockers = frozenset()


Members = Mapping[str, Member]
"""By user id. Never changed in place: a change makes a new one."""


class MemberTable(dict[str, Member]):
    """The members of a conversation, which also knows them in order: a page of ten thousand costs no look at each of them."""

    __slots__ = ("_banned", "_belonging")

    def __init__(self, members: Members = MappingProxyType({})) -> None:
        super().__init__(members)
        self._belonging: list[str] | None = None
        self._banned: list[str] | None = None

    @property
    def belonging(self) -> Sequence[str]:
        """Ids of those who belong, in order. Made when it is first asked for, so the table must not change any more."""
        if self._belonging is None:
            self._belonging = sorted(user for user, member in self.items() if member.joined_at_ms > 0)
        return self._belonging

    @property
    def banned(self) -> Sequence[str]:
        """Ids of those who are banned, as `belonging`."""
        if self._banned is None:
            self._banned = sorted(user for user, member in self.items() if member.banned)
        return self._banned


def member_table(members: Members) -> MemberTable:
    """The members as a table; themselves, when they are one."""
    return members if isinstance(members, MemberTable) else MemberTable(members)


def owners_of(members: Members) -> int:
    """How many owners there are."""
    return sum(member.role is Role.OWNER and member.belongs for member in members.values())


def office_of(members: Members, user_id: str) -> Role | None:
    """The office that somebody holds; None for whoever holds none."""
    member = members.get(user_id)
    if member is None or not member.belongs or member.role not in (Role.OWNER, Role.MODERATOR):
        return None
    return member.role


def check_inviter(members: Members, user_id: str, role: Role) -> None:
    """Let an invite pass whose maker could still make it.

    Raises:
        NoLongerValid: it could not.
    """
    office = office_of(members, user_id)
    if office is None or role.rank >= office.rank:
        raise NoLongerValid("whoever made the invite may not bring people in any more")


def decide_member(
    members: Members, change: MemberChange, *, by_id: str, rank: int, at_ms: int
) -> tuple[EventType, Member] | None:
    """What a change comes to: the event's type and the row as it will be, or None when it already is so.

    Args:
        members: as they are now.
        change: the wish; that `by_id` may do such things at all was checked (`permissions`).
        by_id, rank: who asks, and the rank of its role here (one above the owners' for those whom no rule restrains).
        at_ms: now, milliseconds since the epoch.

    Raises:
        Forbidden: the other's rank, or the role asked for, is out of reach, or one of the two has blocked the other.
        Conflict: it would leave no owner, or the person is banned.
        NotFound: no such member.
        LimitExceeded: the conversation is full.
        NoLongerValid: who invited is not in office any more.
    """
    known = members.get(change.user.id)
    itself = by_id == change.user.id
    if known is not None and not itself and known.role.rank >= rank and rank < Role.OWNER.rank:
        raise Forbidden("this person's role here is not below your own")
    if known is None or not known.belongs:
        check_contact(by_id, change.blockers, "you may not bring this person in")
    match change.action:
        case MemberAction.PUT | MemberAction.JOIN:
            return _put(members, known, change, itself=itself, rank=rank, at_ms=at_ms)
        case MemberAction.REMOVE:
            return _remove(members, _belonging(known))
        case MemberAction.MUTE:
            if itself and rank < Role.OWNER.rank:
                raise Forbidden("one's own mute is for others to end")
            return _mute(members, known, change, at_ms)
        case MemberAction.BAN:
            return _ban(members, known, change, itself=itself)
        case MemberAction.UNBAN:
            if known is None or not known.banned:
                return None
            return EventType.MEMBER_CHANGED, attrs.evolve(known, banned=False, role=Role.MEMBER)


def _put(
    members: Members, known: Member | None, change: MemberChange, *, itself: bool, rank: int, at_ms: int
) -> tuple[EventType, Member] | None:
    if known is not None and known.banned:
        raise Conflict("this person is banned: end the ban first")
    joining = change.action is MemberAction.JOIN
    if joining and known is not None and known.belongs:
        return None
    if change.invited_by is not None:
        check_inviter(members, change.invited_by, change.role)
    if not joining and (change.role.rank > rank or (change.role.rank == rank and rank < Role.OWNER.rank)):
        raise Forbidden("you can give roles below your own only")
    if known is None:
        _room_for_one(members, MAX_MEMBERS - FOR_OFFICE if itself and joining else MAX_MEMBERS)
        return EventType.MEMBER_JOINED, Member(change.user, change.role, at_ms)
    if not known.belongs:  # a mute without a membership
        return EventType.MEMBER_JOINED, attrs.evolve(known, user=change.user, role=change.role, joined_at_ms=at_ms)
    if known.role is change.role:
        return None
    if known.role is Role.OWNER:
        _keep_an_owner(members)
    return EventType.MEMBER_CHANGED, attrs.evolve(known, user=change.user, role=change.role)


def _remove(members: Members, known: Member) -> tuple[EventType, Member]:
    if known.role is Role.OWNER:
        _keep_an_owner(members)
    return EventType.MEMBER_LEFT, attrs.evolve(known, role=Role.MEMBER, joined_at_ms=0)  # a mute outlives leaving


def _mute(members: Members, known: Member | None, change: MemberChange, at_ms: int) -> tuple[EventType, Member] | None:
    until_ms = change.until_ms if change.until_ms > at_ms else 0
    if known is None:
        if not until_ms:
            return None
        _room_for_one(members)
        return EventType.MEMBER_CHANGED, Member(change.user, Role.MEMBER, 0, until_ms)
    if known.muted_until_ms == until_ms:
        return None
    return EventType.MEMBER_CHANGED, attrs.evolve(known, muted_until_ms=until_ms)


def _ban(
    members: Members, known: Member | None, change: MemberChange, *, itself: bool
) -> tuple[EventType, Member] | None:
    if itself:
        raise Conflict("nobody bans oneself")
    if known is None:
        _room_for_one(members)
        return EventType.MEMBER_LEFT, Member(change.user, Role.MEMBER, 0, banned=True)
    if known.banned:
        return None
    if known.role is Role.OWNER:
        _keep_an_owner(members)
    return EventType.MEMBER_LEFT, attrs.evolve(known, role=Role.MEMBER, joined_at_ms=0, muted_until_ms=0, banned=True)


def _belonging(known: Member | None) -> Member:
    if known is None or not known.belongs:
        raise NotFound("no such member")
    return known


def _keep_an_owner(members: Members) -> None:
    if owners_of(members) <= 1:
        raise Conflict("the last owner stays: make somebody else an owner first")


def _room_for_one(members: Members, most: int = MAX_MEMBERS) -> None:
    if len(members) >= most:
        raise LimitExceeded(f"a conversation has at most {most} members, mutes and bans")


def after(members: Members, member: Member) -> Members:
    """The members when one row has become this one."""
    known = MemberTable(members)
    if member.says_something:
        known[member.user.id] = member
    else:
        known.pop(member.user.id, None)
    return known
