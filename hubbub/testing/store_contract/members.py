"""What a store keeps of members: with the conversation, in the transaction of the event that changed them."""

from __future__ import annotations

import attrs

from ...engine import ConversationKind, Member, Role, Store, Visibility
from ...engine.core.kinds import EventType
from ...engine.core.messages import ConversationChange
from ..rows import ADA, AT_MS, BOB, OTHER, ROOM, commit, membership, message, record, update

_BOB = Member(BOB, Role.MODERATOR, AT_MS + 1)


class MemberContract:
    """Members, mutes and bans; mixed into `StoreContract`."""

    async def test_a_conversation_is_kept_whole(self, store: Store) -> None:
        """Kind, slow mode and members, as it was made."""
        members = {ADA.id: Member(ADA, Role.OWNER, AT_MS), BOB.id: _BOB}
        made = attrs.evolve(record(), kind=ConversationKind.ANNOUNCEMENT, slow_s=7, members=members)
        await store.create(made)
        assert await store.load(ROOM) == made
        bare = attrs.evolve(record(OTHER), members={})
        await store.create(bare)
        assert await store.load(OTHER) == bare

    async def test_memberships_follow_their_events(self, store: Store) -> None:
        """Joined, changed, muted, left: the rows after each commit are those of the log, and the log gives them back."""
        await store.create(record())
        muted = attrs.evolve(_BOB, role=Role.VIEWER, muted_until_ms=AT_MS + 60_000)
        steps = [
            (EventType.MEMBER_JOINED, _BOB, _BOB),
            (EventType.MEMBER_CHANGED, muted, muted),
            (EventType.MEMBER_LEFT, attrs.evolve(muted, joined_at_ms=0), attrs.evolve(muted, joined_at_ms=0)),
            (EventType.MEMBER_CHANGED, attrs.evolve(muted, joined_at_ms=0, muted_until_ms=0), None),
            (EventType.MEMBER_JOINED, _BOB, _BOB),
            (EventType.MEMBER_LEFT, attrs.evolve(_BOB, joined_at_ms=0, banned=True), None),
        ]
        for kind, member, expected in steps[:-1]:
            await commit(store, message(), membership(kind=kind, member=member))
            loaded = await store.load(ROOM)
            assert loaded is not None
            assert loaded.members.get(BOB.id) == expected
            assert ADA.id in loaded.members
        await commit(store, membership(kind=EventType.MEMBER_LEFT, member=steps[-1][1]))
        loaded = await store.load(ROOM)
        assert loaded is not None
        assert loaded.members[BOB.id].banned
        events = await store.events(ROOM, after=0, limit=50, max_bytes=1 << 20)
        assert [(event.type, event.member) for event in events if event.member] == [
            (kind, member) for kind, member, _ in steps
        ]

    async def test_a_commit_changes_members_of_many_conversations(self, store: Store) -> None:
        """Each its own, together with changes of the conversations and with messages."""
        for name in (ROOM, OTHER):
            await store.create(record(name))
        await commit(store, membership(ROOM, member=_BOB))
        await commit(store, update(OTHER, change=ConversationChange(slow_s=30)), membership(OTHER, member=_BOB))
        room, other = await store.load(ROOM), await store.load(OTHER)
        assert room is not None
        assert other is not None
        assert room.members[BOB.id] == other.members[BOB.id] == _BOB
        assert (room.slow_s, other.slow_s) == (0, 30)

    async def test_a_hidden_conversation_comes_back_with_what_is_new(self, store: Store) -> None:
        """It is missing in one person's list alone, until the head is past where it was hidden; hiding again counts anew."""
        for name in (ROOM, OTHER):
            await store.create(record(name))

        async def listed(who: str | None = BOB.id) -> set[str]:
            return {each.id for each in await store.list_conversations(who, after=None, limit=10)}

        await commit(store, message())
        for upto, seen in ((1, {OTHER}), (0, {ROOM, OTHER}), (1, {OTHER}), (1, {OTHER})):
            await store.hide(ROOM, BOB.id, upto=upto)
            assert await listed() == seen
        assert await listed("eve") == await listed(None) == {ROOM, OTHER}
        await commit(store, message())
        assert await listed() == {ROOM, OTHER}
        await store.hide(ROOM, BOB.id, upto=2)
        assert await listed() == {OTHER}

    async def test_private_conversations_are_listed_to_members(self, store: Store) -> None:
        """To those who belong, and no longer when they do not; a mute or a ban is no membership."""
        await store.create(record(visibility=Visibility.PRIVATE))

        async def listed() -> list[str]:
            return [each.id for each in await store.list_conversations(BOB.id, after=None, limit=10)]

        assert await listed() == []
        await commit(store, membership(member=_BOB))
        assert await listed() == [ROOM]
        muted = attrs.evolve(_BOB, joined_at_ms=0, muted_until_ms=AT_MS + 1)
        for member in (muted, attrs.evolve(_BOB, joined_at_ms=0, banned=True)):
            await commit(store, membership(kind=EventType.MEMBER_LEFT, member=member))
            assert await listed() == []
