"""The rules of invites."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hubbub.engine import (
    SYSTEM,
    Author,
    Conflict,
    EngineError,
    Forbidden,
    InvalidCommand,
    Member,
    NoLongerValid,
    Principal,
    Record,
    Role,
    ServerRole,
    Unprocessable,
    Visibility,
)
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.invites import (
    BOUND_BYTES,
    CLAIM_S,
    DEFAULT_TTL_S,
    MAX_TTL_S,
    Invite,
    check_entry,
    check_maker,
    check_open,
    check_ttl,
    fold_bound,
    role_to_give,
)

AT_MS = 1_000_000
ROOM = ConversationId("room")
INVITE = Invite(
    id="i",
    digest=b"d" * 32,
    conversation=ROOM,
    role=Role.MEMBER,
    made_by=Author("max", "Max"),
    made_as=Role.MODERATOR,
    created_at_ms=AT_MS,
    expires_at_ms=AT_MS + 60_000,
)


def record(**roles: Role) -> Record:
    members = {name: Member(Author(name, name), role, 1) for name, role in roles.items()}
    return Record(ROOM, "Room", Visibility.PRIVATE, "ada", "e", 0, 1, members=members)


def principal(name: str, **changes: Any) -> Principal:
    return Principal(Author(name, name), **changes)


def test_roles_that_an_invite_can_give() -> None:
    """A member's by default; never an owner's."""
    assert role_to_give(None) is Role.MEMBER
    assert [role_to_give(text) for text in ("viewer", "member", "moderator")] == [
        Role.VIEWER,
        Role.MEMBER,
        Role.MODERATOR,
    ]
    for text in ("owner", "admin", "", "Member"):
        with pytest.raises(InvalidCommand):
            role_to_give(text)


def test_how_long_an_invite_lasts() -> None:
    """A week by default, from a minute to thirty days."""
    assert check_ttl(None) == DEFAULT_TTL_S == 604_800
    assert check_ttl(60) == 60
    assert check_ttl(MAX_TTL_S) == 2_592_000
    for ttl_s in (0, 59, MAX_TTL_S + 1, 2**62):
        with pytest.raises(Unprocessable):
            check_ttl(ttl_s)


def test_whom_an_invite_is_bound_to() -> None:
    """Trimmed and folded; what is no name is refused, a lone surrogate too."""
    assert fold_bound(None) is None
    assert fold_bound("  Ada@Example.ORG ") == "ada@example.org"
    assert fold_bound("a" * BOUND_BYTES) == "a" * BOUND_BYTES
    for text in ("", "  ", "a" * (BOUND_BYTES + 1), "ä" * BOUND_BYTES, "a\nb", "a\x00", "\ud800", "a\u202eb"):
        with pytest.raises(Unprocessable):
            fold_bound(text)


@pytest.mark.parametrize(
    ("maker", "role", "expected"),
    [
        (principal("ada"), Role.MODERATOR, Role.OWNER),
        (principal("max"), Role.MEMBER, Role.MODERATOR),
        (principal("max"), Role.MODERATOR, Forbidden),
        (principal("root", role=ServerRole.ADMIN), Role.MODERATOR, None),
        (principal("max", role=ServerRole.ADMIN), Role.MODERATOR, None),
        (SYSTEM, Role.MODERATOR, None),
        (principal("bob"), Role.VIEWER, Forbidden),
    ],
)
def test_who_makes_which_invites(maker: Principal, role: Role, expected: Role | type[EngineError] | None) -> None:
    """Roles below the maker's own; the office that it is made in is noted, an admin has none."""
    room = record(ada=Role.OWNER, max=Role.MODERATOR, bob=Role.MEMBER)
    if isinstance(expected, type):
        with pytest.raises(expected):
            check_maker(maker, room, role)
    else:
        assert check_maker(maker, room, role) is expected


def test_an_invite_is_open_until_it_is_used_revoked_or_over() -> None:
    """To the millisecond; the states that are listed say the same."""
    end = INVITE.expires_at_ms
    check_open(INVITE, "bob", end - 1)
    revoked = attrs.evolve(INVITE, revoked_at_ms=1)
    for invite, at_ms, state in ((INVITE, end, "expired"), (revoked, AT_MS, "revoked")):
        with pytest.raises(NoLongerValid, match=state):
            check_open(invite, "bob", at_ms)
        assert invite.state(at_ms) == state
    assert INVITE.state(end - 1) == "open"


def test_a_claimed_invite_is_open_to_who_claimed_it() -> None:
    """For ten minutes, also past its end; not once it is settled or revoked."""
    claimed = attrs.evolve(INVITE, accepted_by="bob", accepted_at_ms=AT_MS)
    last = AT_MS + 1000 * CLAIM_S - 1
    assert last > INVITE.expires_at_ms
    check_open(claimed, "bob", last)
    for invite, user, at_ms in (
        (claimed, "eve", AT_MS),
        (claimed, "bob", last + 1),
        (attrs.evolve(claimed, joined=True), "bob", AT_MS),
        (attrs.evolve(claimed, revoked_at_ms=AT_MS), "bob", AT_MS),
    ):
        with pytest.raises(NoLongerValid):
            check_open(invite, user, at_ms)
    assert claimed.state(AT_MS) == "accepted"


def test_whom_a_conversation_lets_in() -> None:
    """Nobody who is banned, nobody who belongs already unless the claim is its own."""
    room = record(ada=Role.OWNER, max=Role.MODERATOR, bob=Role.VIEWER)
    banned = attrs.evolve(room.members["bob"], joined_at_ms=0, banned=True)
    muted = attrs.evolve(room.members["bob"], joined_at_ms=0, muted_until_ms=9)
    check_entry(INVITE, room, "eve")
    check_entry(INVITE, attrs.evolve(room, members={**room.members, "bob": muted}), "bob")
    check_entry(attrs.evolve(INVITE, accepted_by="bob"), room, "bob")
    with pytest.raises(Conflict):
        check_entry(INVITE, room, "bob")
    with pytest.raises(Forbidden):
        check_entry(INVITE, attrs.evolve(room, members={**room.members, "bob": banned}), "bob")


def test_an_invite_falls_with_its_maker() -> None:
    """Who was demoted or has left could not make it any more; one of an admin stands."""
    for roles in ({"max": Role.MEMBER}, {"max": Role.VIEWER}, {}):
        room = record(ada=Role.OWNER, **roles)
        with pytest.raises(NoLongerValid):
            check_entry(INVITE, room, "eve")
        check_entry(attrs.evolve(INVITE, made_as=None), room, "eve")
    with pytest.raises(NoLongerValid):
        check_entry(attrs.evolve(INVITE, role=Role.MODERATOR), record(max=Role.MODERATOR), "eve")
    check_entry(INVITE, record(max=Role.OWNER), "eve")


def test_a_digest_is_not_shown() -> None:
    """Not even that."""
    assert "dddd" not in repr(INVITE)
