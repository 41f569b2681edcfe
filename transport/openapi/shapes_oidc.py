"""Bodies and queries of the calls about logins with OpenID Connect, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from .parameters import Timestamp

ProviderKey = Annotated[
    str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$", description="A provider, as the settings call it.")
]
IDS = {"id": Annotated[str, Meta(min_length=1, max_length=64, description="An identity.")]}


class ProviderInfo(Struct):
    """A provider."""

    id: ProviderKey
    name: Annotated[str, Meta(description="What people know it by.")]
    login_url: Annotated[str, Meta(description="Where a browser begins a login.")]


class Providers(Struct):
    """Where one can log in from."""

    providers: list[ProviderInfo]


class LoginQuery(Struct):
    """How a login begins."""

    return_to: (
        Annotated[
            str,
            Meta(
                max_length=512,
                pattern=r"^/(?![/\\])[!#-\[\]-~]*$",
                description="A path of this server to come back to; / when left out.",
                examples=["/"],
            ),
        ]
        | UnsetType
    ) = UNSET
    link: (
        Annotated[Literal["true", "false"], Meta(description="Link the identity to one's own account; no login.")]
        | UnsetType
    ) = UNSET


class CallbackQuery(Struct):
    """What a provider sends a browser back with."""

    state: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    iss: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Identity(Struct):
    """An identity that opens one's account."""

    id: str
    provider: Annotated[ProviderKey | None, Meta(description="None where the settings have it no more.")]
    issuer: str
    created_at: Timestamp


class Identities(Struct):
    """What opens one's account, the oldest first."""

    identities: list[Identity]
