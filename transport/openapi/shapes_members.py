"""Bodies of the calls on members, invites and blocks, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from .parameters import ConversationId, ServerId, Timestamp, UserId
from .shapes import Author, Limit

InviteToken = Annotated[str, Meta(min_length=1, max_length=100, description="The secret of an invite.")]
Role = Annotated[
    Literal["owner", "moderator", "member", "viewer"],
    Meta(
        description="viewer: reads only. moderator: brings people in, removes, mutes and bans. owner: changes everything."
    ),
]
Given = Annotated[Literal["moderator", "member", "viewer"], Meta(description="Below the role of who gives it.")]


class Member(Struct):
    """A member, a mute or a ban of a conversation. Without `role` it is no membership."""

    user: Author
    role: Role | UnsetType = UNSET
    joined_at: Timestamp | UnsetType = UNSET
    muted_until: Timestamp | UnsetType = UNSET
    banned: bool | UnsetType = UNSET


class MemberPage(Struct):
    """Members by user id, and the id to ask `after` for the rest."""

    members: list[Member]
    next: UserId | None


class BanPage(Struct):
    """Bans by user id, and the id to ask `after` for the rest."""

    bans: list[Member]
    next: UserId | None


class Block(Struct):
    """Somebody whom one blocks."""

    user: Author
    blocked_at: Timestamp


class BlockPage(Struct):
    """Blocks by user id, and the id to ask `after` for the rest."""

    blocks: list[Block]
    next: UserId | None


class MemberQuery(Struct):
    """Which members."""

    after: Annotated[UserId, Meta(description="The last user id of the page before.")] | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class NewRole(Struct):
    """What somebody becomes."""

    role: Role


class NewMute(Struct):
    """How long somebody may not speak: one of the two, at most 366 days."""

    seconds: Annotated[int, Meta(ge=0, description="From now; 0 ends the mute.")] | UnsetType = UNSET
    until: Annotated[str, Meta(description="A time (RFC 3339, with its offset from UTC).")] | UnsetType = UNSET


class NewInvite(Struct):
    """An invite to make."""

    role: Annotated[Given, Meta(description="member when left out")] | UnsetType = UNSET
    ttl_s: (
        Annotated[int, Meta(ge=60, le=2_592_000, description="Seconds that it is good for; a week when left out.")]
        | UnsetType
    ) = UNSET
    bound_to: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=320,
                description="User name or e-mail address of the one account that may accept it.",
            ),
        ]
        | UnsetType
    ) = UNSET


class Invite(Struct):
    """An invite, without its secret."""

    id: ServerId
    role: Given
    state: Literal["open", "accepted", "revoked", "expired"]
    made_by: Author
    created_at: Timestamp
    expires_at: Timestamp
    bound_to: str | UnsetType = UNSET
    accepted_by: UserId | UnsetType = UNSET
    accepted_at: Timestamp | UnsetType = UNSET


class MadeInvite(Invite, kw_only=True):
    """A fresh invite with its secret, shown this once."""

    token: InviteToken


class InvitePage(Struct):
    """Invites by age, and the id to ask `after` for the rest."""

    invites: list[Invite]
    next: ServerId | None


class InviteQuery(Struct):
    """Which invites."""

    after: Annotated[ServerId, Meta(description="The last id of the page before.")] | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class Offer(Struct):
    """What an invite is for."""

    title: str
    role: Given
    invited_by: Annotated[str, Meta(description="The name of who made it.")]
    expires_at: Timestamp


class Accepted(Struct):
    """What came of an invite."""

    conversation: ConversationId
    member: Member
