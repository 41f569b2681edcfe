"""Membership rules: examples for each refusal, and a machine that does everything in any order."""

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.errors import Conflict, EngineError, Forbidden, LimitExceeded, NotFound
from hubbub.engine.core.kinds import EventType
from hubbub.engine.core.members import (
    FOR_OFFICE,
    MAX_MEMBERS,
    Member,
    MemberAction,
    MemberChange,
    Members,
    Role,
    after,
    decide_member,
    member_table,
    owners_of,
)

NOW = 10_000
RANKS = {"app": 4, **{role.value: role.rank for role in Role}}


def user(name: str) -> Author:
    return Author(name, name.title())


def rows(**roles: Role) -> Members:
    """Members by name and role."""
    return {name: Member(user(name), role, 1) for name, role in roles.items()}


def decide(
    members: Members, by: str, action: MemberAction, whom: str, role: Role = Role.MEMBER, until_ms: int = 0
) -> tuple[EventType, Member] | None:
    """As the conversation asks; `app` is whom no rule restrains."""
    own = members.get(by)
    rank = 4 if by == "app" else own.role.rank if own is not None and own.belongs else 0
    wish = MemberChange(user=user(whom), action=action, role=role, until_ms=until_ms)
    return decide_member(members, wish, by_id=by, rank=rank, at_ms=NOW)


FOUR = rows(ann=Role.OWNER, mia=Role.MODERATOR, moe=Role.MODERATOR, bob=Role.MEMBER, vic=Role.VIEWER)
PUT, JOIN, REMOVE, MUTE, BAN, UNBAN = (MemberAction(name) for name in ("put", "join", "remove", "mute", "ban", "unban"))


@pytest.mark.parametrize(
    ("by", "action", "whom", "role", "error"),
    [
        ("mia", PUT, "new", Role.MODERATOR, Forbidden),
        ("mia", PUT, "new", Role.OWNER, Forbidden),
        ("mia", PUT, "mia", Role.OWNER, Forbidden),
        ("mia", PUT, "moe", Role.VIEWER, Forbidden),
        ("mia", REMOVE, "moe", Role.MEMBER, Forbidden),
        ("mia", BAN, "ann", Role.MEMBER, Forbidden),
        ("mia", MUTE, "ann", Role.MEMBER, Forbidden),
        ("ann", REMOVE, "ann", Role.MEMBER, Conflict),
        ("ann", PUT, "ann", Role.MEMBER, Conflict),
        ("app", REMOVE, "ann", Role.MEMBER, Conflict),
        ("app", BAN, "ann", Role.MEMBER, Conflict),
        ("ann", BAN, "ann", Role.MEMBER, Conflict),
        ("ann", REMOVE, "nobody", Role.MEMBER, NotFound),
        ("mia", MUTE, "mia", Role.MEMBER, Forbidden),
    ],
)
def test_refusals(by: str, action: MemberAction, whom: str, role: Role, error: type[EngineError]) -> None:
    """Nobody acts on the own rank or above, and the last owner stays."""
    with pytest.raises(error):
        decide(FOUR, by, action, whom, role, until_ms=NOW + 5)


@pytest.mark.parametrize(
    ("by", "action", "whom", "role"),
    [
        ("mia", PUT, "bob", Role.MEMBER),
        ("ann", PUT, "ann", Role.OWNER),
        ("bob", JOIN, "bob", Role.MEMBER),
        ("ann", UNBAN, "bob", Role.MEMBER),
        ("ann", MUTE, "bob", Role.MEMBER),
        ("ann", MUTE, "stranger", Role.MEMBER),
    ],
)
def test_what_is_so_already_makes_no_event(by: str, action: MemberAction, whom: str, role: Role) -> None:
    """The same request again changes nothing and is no error."""
    assert decide(FOUR, by, action, whom, role) is None


def test_a_moderator_brings_in_and_changes_those_below() -> None:
    """Members and viewers, in both directions."""
    assert decide(FOUR, "mia", PUT, "new", Role.VIEWER) == (
        EventType.MEMBER_JOINED,
        Member(user("new"), Role.VIEWER, NOW),
    )
    assert decide(FOUR, "mia", PUT, "bob", Role.VIEWER) == (
        EventType.MEMBER_CHANGED,
        Member(user("bob"), Role.VIEWER, 1),
    )
    assert decide(FOUR, "mia", PUT, "mia", Role.MEMBER) == (
        EventType.MEMBER_CHANGED,
        Member(user("mia"), Role.MEMBER, 1),
    )


def test_one_of_two_owners_may_go() -> None:
    """And then the other may not."""
    members = after(FOUR, attrs.evolve(FOUR["bob"], role=Role.OWNER))
    found = decide(members, "ann", REMOVE, "bob")
    assert found is not None
    assert found[0] is EventType.MEMBER_LEFT
    members = after(members, found[1])
    assert "bob" not in members
    with pytest.raises(Conflict):
        decide(members, "ann", REMOVE, "ann")


def test_leaving_does_not_end_a_mute() -> None:
    """Who leaves and comes back is still muted."""
    _, muted = decide(FOUR, "ann", MUTE, "bob", until_ms=NOW + 5) or (None, FOUR["bob"])
    members = after(FOUR, muted)
    _, left = decide(members, "bob", REMOVE, "bob") or (None, muted)
    members = after(members, left)
    assert not members["bob"].belongs
    kind, back = decide(members, "bob", JOIN, "bob") or (None, left)
    assert kind is EventType.MEMBER_JOINED
    assert (back.belongs, back.muted_until_ms) == (True, NOW + 5)


def test_a_moderator_who_is_muted_does_not_end_it() -> None:
    """An owner's mute holds against the office it was given to; owners end what binds themselves."""
    _, muted = decide(FOUR, "ann", MUTE, "mia", until_ms=NOW + 5) or (None, FOUR["mia"])
    members = after(FOUR, muted)
    with pytest.raises(Forbidden):
        decide(members, "mia", MUTE, "mia")
    with pytest.raises(Forbidden):
        decide(members, "moe", MUTE, "mia")
    assert decide(members, "ann", MUTE, "mia") is not None
    _, silent = decide(members, "app", MUTE, "ann", until_ms=NOW + 5) or (None, FOUR["ann"])
    assert decide(after(members, silent), "ann", MUTE, "ann") is not None


def test_a_ban_keeps_out_until_it_is_ended() -> None:
    """Neither joining nor being made a member gets past it; ended, it leaves nothing behind."""
    kind, banned = decide(FOUR, "mia", BAN, "bob") or (None, FOUR["bob"])
    assert (kind, banned.banned, banned.belongs) == (EventType.MEMBER_LEFT, True, False)
    members = after(FOUR, banned)
    for by, action in (("bob", JOIN), ("ann", PUT), ("app", PUT)):
        with pytest.raises(Conflict):
            decide(members, by, action, "bob")
    _, free = decide(members, "mia", UNBAN, "bob") or (None, banned)
    assert "bob" not in after(members, free)


def test_a_conversation_has_room_for_so_many() -> None:
    """Past the bound nobody new gets a row; those who have one may change it."""
    members = {f"u{number}": Member(user(f"u{number}"), Role.MEMBER, 1) for number in range(MAX_MEMBERS)}
    members["u0"] = Member(user("u0"), Role.OWNER, 1)
    for action, until_ms in ((PUT, 0), (MUTE, NOW + 1), (BAN, 0)):
        with pytest.raises(LimitExceeded):
            decide(members, "u0", action, "one more", until_ms=until_ms)
    assert decide(members, "u0", PUT, "u1", Role.VIEWER) is not None


def test_a_table_knows_its_members_in_order() -> None:
    """Those who belong and those who are banned, each by id; a change makes another table."""
    silent = Member(user("sue"), Role.MEMBER, 0, muted_until_ms=NOW + 5)
    out = Member(user("eve"), Role.MEMBER, 0, banned=True)
    table = member_table({**FOUR, "sue": silent, "eve": out})
    assert table.belonging == ["ann", "bob", "mia", "moe", "vic"]
    assert table.banned == ["eve"]
    assert member_table(table) is table
    later = member_table(after(table, attrs.evolve(out, banned=False)))
    assert (later.banned, table.banned) == ([], ["eve"])
    assert later == {**FOUR, "sue": silent}


def test_a_crowd_that_joins_leaves_room_for_bans() -> None:
    """Who joins by oneself stops before the bound; bans and mutes of newcomers go on."""
    members = {f"u{number}": Member(user(f"u{number}"), Role.MEMBER, 1) for number in range(MAX_MEMBERS - FOR_OFFICE)}
    members["u0"] = Member(user("u0"), Role.OWNER, 1)
    with pytest.raises(LimitExceeded):
        decide(members, "newcomer", JOIN, "newcomer")
    for action, until_ms in ((PUT, 0), (MUTE, NOW + 1), (BAN, 0)):
        assert decide(members, "u0", action, "newcomer", until_ms=until_ms) is not None


PEOPLE = ("ann", "bob", "cid", "dan")


class Memberships(RuleBasedStateMachine):
    """Anybody tries anything; the rules hold whatever comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.members: Members = rows(ann=Role.OWNER)
        self.banned: set[str] = set()
        self.muted: dict[str, int] = {}

    @rule(
        by=st.sampled_from((*PEOPLE, "app")),
        action=st.sampled_from(MemberAction),
        whom=st.sampled_from(PEOPLE),
        role=st.sampled_from(Role),
        until_ms=st.sampled_from((0, NOW - 1, NOW + 1, NOW + 2)),
    )
    def do(self, by: str, action: MemberAction, whom: str, role: Role, until_ms: int) -> None:
        """One wish; a refusal changes nothing, an acceptance changes one row."""
        if action is JOIN:
            by, role = whom, Role.MEMBER
        own, before = self.members.get(by), dict(self.members)
        rank = RANKS["app"] if by == "app" else own.role.rank if own is not None and own.belongs else 0
        try:
            found = decide(self.members, by, action, whom, role, until_ms)
        except EngineError:
            assert self.members == before
            return
        if found is None:
            return
        kind, row = found
        target = before.get(whom)
        assert row.user.id == whom
        assert by in (whom, "app") or rank == 3 or target is None or target.role.rank < rank or not target.belongs
        if action is PUT:
            assert role.rank < rank or rank >= 3
        assert kind is not EventType.MEMBER_JOINED or not (target is not None and target.belongs)
        self.members = after(self.members, row)
        self._follow(kind, action, row)

    def _follow(self, kind: EventType, action: MemberAction, row: Member) -> None:
        if action is BAN:
            self.banned.add(row.user.id)
            self.muted.pop(row.user.id, None)
        elif action is UNBAN:
            self.banned.discard(row.user.id)
        elif action is MUTE:
            self.muted[row.user.id] = row.muted_until_ms
        assert (kind is EventType.MEMBER_LEFT) == (action in (REMOVE, BAN))

    @invariant()
    def rules_hold(self) -> None:
        """An owner stays, who is banned is no member, mutes end only when they are ended, and no row says nothing."""
        assert owners_of(self.members) >= 1
        assert {name for name, row in self.members.items() if row.banned} == self.banned
        assert not any(row.banned and row.belongs for row in self.members.values())
        kept = {name: row.muted_until_ms for name, row in self.members.items() if row.muted_until_ms}
        assert kept == {name: until_ms for name, until_ms in self.muted.items() if until_ms}
        assert all(row.says_something for row in self.members.values())


TestMemberships = Memberships.TestCase
TestMemberships.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
