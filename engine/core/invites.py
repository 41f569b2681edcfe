"""Invites: ways into a conversation that somebody in office hands out, and the rules of them. Sans-I/O.

Invariants: an invite is good once, for a while, until it is revoked; it brings in nobody who is banned and changes nobody's
role; it gives a role below its maker's, and only while that maker could still give it. Its token is never in here, only the
SHA-256 digest.

Accepting has two steps, because the invite and the membership are kept apart: the invite is claimed for one user, then that user
becomes a member. A claim whose second step is not known to have happened may be completed by the same user for `CLAIM_S`.
"""

from typing import Final

import attrs

from .authors import Author
from .errors import Conflict, Forbidden, InvalidCommand, NoLongerValid, Unprocessable
from .ids import ConversationId
from .members import Role, check_inviter, office_of
from .messages import Record
from .permissions import rank_of
from .principals import Principal

MIN_TTL_S: Final = 60
MAX_TTL_S: Final = 30 * 86_400
DEFAULT_TTL_S: Final = 7 * 86_400
CLAIM_S: Final = 600
"""How long who has claimed an invite may try again to become a member by it, seconds."""
MAX_OPEN: Final = 500
"""Open invites of one conversation."""
BOUND_BYTES: Final = 320
"""Of a user name or e-mail address (RFC 5321: 64 + 1 + 255)."""


@attrs.frozen(kw_only=True)
class Invite:
    """One invite as it is stored.

    Attributes:
        id: its public name, for lists and for revoking it.
        digest: SHA-256 of its token, 32 bytes.
        made_as: the office that its maker held in the conversation; None for an admin, or the embedding program.
        bound_to: a user name or e-mail address, folded; None for whoever has the token.
        accepted_by: id of the user who claimed it, or None.
        joined: whether that user is known to have become a member by it.
        revoked_at_ms: 0 when it was not.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    conversation: ConversationId
    role: Role
    made_by: Author
    made_as: Role | None
    created_at_ms: int
    expires_at_ms: int
    bound_to: str | None = None
    accepted_by: str | None = None
    accepted_at_ms: int = 0
    joined: bool = False
    revoked_at_ms: int = 0

    def state(self, at_ms: int) -> str:
        """What has become of it: open, accepted, revoked or expired."""
        if self.accepted_by is not None:
            return "accepted"
        if self.revoked_at_ms:
            return "revoked"
        return "expired" if at_ms >= self.expires_at_ms else "open"


def role_to_give(text: str | None) -> Role:
    """Read the role of an invite: a member's unless said otherwise.

    Raises:
        InvalidCommand: no such role, or an owner's: whoever finds a link must not come to own the conversation.
    """
    if text is None:
        return Role.MEMBER
    if text not in (Role.MODERATOR, Role.MEMBER, Role.VIEWER):
        raise InvalidCommand("an invite's 'role' must be 'moderator', 'member' or 'viewer'")
    return Role(text)


def check_ttl(ttl_s: int | None) -> int:
    """Read how long an invite lasts, seconds; a week unless said otherwise.

    Raises:
        Unprocessable: out of bounds.
    """
    if ttl_s is None:
        return DEFAULT_TTL_S
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise Unprocessable(f"'ttl_s' must be from {MIN_TTL_S} to {MAX_TTL_S} seconds")
    return ttl_s


def fold_bound(text: str | None) -> str | None:
    """A user name or e-mail address as it is compared.

    Raises:
        Unprocessable: empty, too long, or with characters that neither has.
    """
    if text is None:
        return None
    folded = text.strip().casefold()
    if not folded or not folded.isprintable() or len(folded.encode("utf-8", "replace")) > BOUND_BYTES:
        raise Unprocessable(f"'bound_to' is a user name or an e-mail address of at most {BOUND_BYTES} bytes")
    return folded


def check_maker(principal: Principal, record: Record, role: Role) -> Role | None:
    """Let a maker pass who may bring people in (`Verb.INVITE` was checked), and give the office that it holds.

    Raises:
        Forbidden: the role is not below the maker's own.
    """
    rank = rank_of(principal, record)
    if role.rank >= rank:
        raise Forbidden("you can give roles below your own only")
    return office_of(record.members, principal.id) if rank <= Role.OWNER.rank else None


def check_open(invite: Invite, user_id: str, at_ms: int) -> None:
    """Let a user pass for whom an invite is still good, as far as the invite itself says.

    Raises:
        NoLongerValid: it is used, revoked or over.
    """
    if invite.revoked_at_ms:
        raise NoLongerValid("the invite was revoked")
    if invite.accepted_by is not None:
        if invite.joined or invite.accepted_by != user_id or at_ms >= invite.accepted_at_ms + 1000 * CLAIM_S:
            raise NoLongerValid("the invite was used")
    elif at_ms >= invite.expires_at_ms:
        raise NoLongerValid("the invite has expired")


def check_entry(invite: Invite, record: Record, user_id: str) -> None:
    """Let a user pass whom the conversation, as it is now, lets in by an invite.

    Raises:
        NoLongerValid: its maker could not make it any more.
        Forbidden: the user is banned there.
        Conflict: the user is a member already, and the invite is left for somebody else.
    """
    if invite.made_as is not None:
        check_inviter(record.members, invite.made_by.id, invite.role)
    known = record.members.get(user_id)
    if known is not None and known.banned:
        raise Forbidden("you are banned here")
    if known is not None and known.belongs and invite.accepted_by != user_id:
        raise Conflict("you are a member already")
