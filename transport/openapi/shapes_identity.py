"""Bodies of the calls about accounts, sessions, keys and invitations, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from .parameters import Timestamp, UserId
from .shapes import Name, one_of_these_at_least

Username = Annotated[
    str, Meta(min_length=1, max_length=32, description="a-z 0-9 . _ -, with a letter or digit at both ends.")
]
Password = Annotated[str, Meta(min_length=8, max_length=256)]
Label = Annotated[str, Meta(max_length=100, description="For people: what it is for, or which program logged in.")]
Role = Literal["admin", "member"]
Scope = Literal["read", "write", "manage", "account", "admin"]
Secret = Annotated[str, Meta(description="Shown this once.")]
Csrf = Annotated[str, Meta(description="For X-CSRF-Token, in calls by the cookie of this session.")]
TokenId = Annotated[str, Meta(min_length=1, max_length=64, description="A session, a key or an invitation.")]
IDS = {"id": TokenId}
USER_IDS = {"id": UserId}


class SetUp(Struct):
    """The first administrator."""

    token: Annotated[str, Meta(description="From the link that the server has printed.")]
    username: Username
    password: Password
    name: Name | UnsetType = UNSET


class SignUp(Struct):
    """An account to make."""

    username: Username
    password: Password
    name: Annotated[Name, Meta(description="The user name when left out.")] | UnsetType = UNSET
    invitation: Annotated[str, Meta(description="The secret of an invitation.")] | UnsetType = UNSET


class Login(Struct):
    """What one logs in with."""

    username: str
    password: str


class NewGuest(Struct):
    """Who wants in."""

    name: Name


class OwnUser(Struct):
    """A user as itself sees it."""

    id: UserId
    name: str
    kind: Literal["user", "guest", "bot", "assistant"]
    role: Literal["admin", "member", "guest"]
    username: Username | UnsetType = UNSET


class Issued(Struct):
    """A session, with its token, shown this once."""

    token: Secret
    user: OwnUser
    expires_at: Timestamp
    csrf_token: Csrf


class Me(Struct):
    """Whom the credential stands for, for what, and until when."""

    user: OwnUser
    scopes: list[Scope]
    expires_at: Timestamp | None
    csrf_token: Csrf | UnsetType = UNSET


class Present(Struct):
    """Whom the credential stands for, if there is a good one."""

    user: OwnUser | None
    scopes: list[Scope] | UnsetType = UNSET
    expires_at: Timestamp | UnsetType | None = UNSET
    csrf_token: Csrf | UnsetType = UNSET


class OwnChange(Struct):
    """Either another name, or another password."""

    name: Name | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    present_password: Annotated[str, Meta(description="Needed for another password.")] | UnsetType = UNSET


class Confirmation(Struct):
    """One's own password."""

    password: str


class Account(Struct):
    """A user as administrators see it."""

    id: UserId
    username: Username | None
    name: str
    role: Literal["admin", "member", "guest"]
    kind: Literal["user", "guest"]
    created_at: Timestamp
    disabled_at: Timestamp | None


class OwnAccount(Struct):
    """One's own account."""

    user: Account


class Session(Struct):
    """A login."""

    id: TokenId
    label: Label
    created_at: Timestamp
    last_used_at: Annotated[Timestamp, Meta(description="Some minutes coarse.")]
    expires_at: Timestamp | None
    current: Annotated[bool, Meta(description="It is the one that asks.")]


class Sessions(Struct):
    """One's own sessions, the newest first."""

    sessions: list[Session]


class NewKey(Struct):
    """A key to make."""

    label: Label | UnsetType = UNSET
    scopes: Annotated[list[Scope], Meta(min_length=1, description="read and write when left out.")] | UnsetType = UNSET
    expires_in_s: (
        Annotated[int, Meta(ge=60, le=315_360_000, description="It has no end when left out.")] | UnsetType
    ) = UNSET


class Key(Struct):
    """An API key, without its secret."""

    id: TokenId
    label: Label
    scopes: list[Scope]
    created_at: Timestamp
    last_used_at: Annotated[
        Timestamp | None, Meta(description="Some minutes coarse; null for one that was never used.")
    ]
    expires_at: Timestamp | None


class Keys(Struct):
    """One's own keys, the newest first."""

    keys: list[Key]


class FreshKey(Key, kw_only=True):
    """An API key with its secret."""

    key: Secret


class Rotation(Struct):
    """How a key is rotated."""

    overlap_s: (
        Annotated[int, Meta(ge=0, le=604_800, description="How long the former secret stays good; 0 when left out.")]
        | UnsetType
    ) = UNSET


class UserQuery(Struct):
    """Which users."""

    after: Annotated[UserId, Meta(description="The last id seen.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    guests: Annotated[bool, Meta(description="Guests too.")] | UnsetType = UNSET
    matching: Annotated[str, Meta(description="What either name holds.")] | UnsetType = UNSET


class Accounts(Struct):
    """A page of users."""

    users: list[Account]
    next: UserId | None


class NewAccount(Struct):
    """An account to make for somebody else."""

    username: Username
    password: Password
    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET


class AccountPatch(Struct):
    """What to change of somebody's account, one thing at least; what is left out stays as it is."""

    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    password: Password | UnsetType = UNSET


AccountChange = Annotated[AccountPatch, one_of_these_at_least(*AccountPatch.__struct_fields__)]


class NewInvitation(Struct):
    """An invitation to make."""

    role: Role | UnsetType = UNSET
    label: Label | UnsetType = UNSET


class Invitation(Struct):
    """An invitation to sign up, without its secret."""

    id: TokenId
    role: Role
    label: Label
    created_by: str
    created_at: Timestamp
    expires_at: Timestamp
    used_by: UserId | None


class Invitations(Struct):
    """Invitations, the newest first."""

    invitations: list[Invitation]


class FreshInvitation(Invitation, kw_only=True):
    """An invitation with its secret."""

    invitation: Secret
