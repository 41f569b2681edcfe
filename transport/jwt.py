"""Signed tokens of the program that embeds hubbub: whom they stand for, and what they open (docs/jwt.md).

The embedder logs its users in itself and signs a token for each; the claims are those of the Centrifugal protocol, so that the
token flows of its stock SDKs work. The same token is good as a bearer of the REST API.

Invariants: the id of a token's user is ``NAMESPACE:SUB``, and no id that the server makes has a colon, so no token can name, or
pass for, a local account or a guest; a token that opens a channel (claim `channel`) authenticates nobody, and one that
authenticates opens no other channel than it names; a role is believed only where the settings name the claim for it.

Left out: the protocol's commands (`centrifugal_tokens`), where settings come from, how the signer's keys are fetched (`jwks`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from ..engine.core import codec
from ..engine.core.authors import Author
from ..engine.core.errors import EngineError, Forbidden, Unprocessable
from ..engine.core.ids import ConversationId, conversation_id, display_name
from ..engine.core.principals import Principal, Scope, ServerRole
from .auth import Credential, TokenResolver
from .fetch import Fetch, fetch_document
from .jwks import KeySource
from .jwt_claims import (
    Claims,
    Header,
    InvalidToken,
    check,
    list_claim,
    looks_signed,
    object_claim,
    read_header,
    text_claim,
    verify,
)
from .jwt_keys import ASYMMETRIC
from .jwt_settings import JwtSettings, load_keys

SUBJECT_CHARS: Final = 128
CHANNELS: Final = 64
INFO_BYTES: Final = 1024
_NAME_CHARS: Final = 64
_SCOPES: Final = frozenset({Scope.READ, Scope.WRITE, Scope.MANAGE})


@attrs.frozen
class JwtPrincipal(Principal):
    """A token's user.

    Attributes:
        info: the claim of that name, encoded: what the embedder tells others of this connection. None without one.
        channel_info: the same of the subscription's own token.
    """

    info: bytes | None = attrs.field(default=None, kw_only=True)
    channel_info: bytes | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class JwtCredential(Credential):
    """What a signed token was resolved to. `expires_at_ms` is when it is accepted no more: the leeway is in it.

    Attributes:
        ends_at_ms: its `exp`, milliseconds since the epoch.
        channels: where its connection is subscribed by the server, each with the claim's `data` (encoded JSON) or None.
    """

    ends_at_ms: int = attrs.field(kw_only=True)
    channels: Mapping[ConversationId, bytes | None] = attrs.field(kw_only=True)


@attrs.frozen(kw_only=True)
class ChannelPass:
    """What a subscription token was resolved to.

    Attributes:
        channel: the conversation that it opens.
        ends_at_ms: its `exp`.
        info: the claim of that name, encoded.
    """

    channel: ConversationId
    ends_at_ms: int
    info: bytes | None


class JwtAuthority:
    """Checks signed tokens by the settings of now.

    Args:
        settings: of the start.
        now_ms: the wall clock.
        fetch: fetches the signer's key set.

    Raises:
        ValueError: a key that the settings name cannot be had.
    """

    def __init__(self, settings: JwtSettings, now_ms: Callable[[], int], fetch: Fetch = fetch_document) -> None:
        self.lookups = 0  # subscription tokens that are being checked; who checks them counts
        self._now_ms = now_ms
        self._fetch = fetch
        self._source: KeySource | None = None
        self.replace(settings)

    def replace(self, settings: JwtSettings) -> None:
        """Go on with other settings; a key set at the same URL is kept.

        Raises:
            ValueError: a key cannot be had; the settings before stay in force.
        """
        keys, jwks = load_keys(settings), settings.jwks
        if jwks is None:
            self._source = None
        elif self._source is None or self._source.settings.url != jwks.url:
            self._source = KeySource(jwks, self._fetch)
        else:
            self._source.settings = jwks
        self.settings, self._keys, self._rules = settings, keys, settings.rules

    async def resolve_jwt(self, token: str) -> JwtCredential | None:
        """Whom a connection token stands for; None for what is no signed token, or where none is accepted.

        Raises:
            TokenExpired, InvalidToken: it is one, and not good.
            KeysUnavailable: the signer's keys cannot be had now.
        """
        if not self.settings.enabled or not looks_signed(token):
            return None
        claims, ends_at_ms = await self._checked(token)
        if "channel" in claims:
            raise InvalidToken("a subscription token authenticates nobody")
        channels = _channels(claims)
        principal = JwtPrincipal(
            Author(self._user(claims), self._name(claims), "user"),
            role=self._role(claims),
            scopes=self._scopes(claims),
            grants=frozenset(channels),
            info=_encoded(claims, "info"),
        )
        accepted_until_ms = ends_at_ms + round(self._rules.leeway_s * 1000)
        return JwtCredential(principal, accepted_until_ms, ends_at_ms=ends_at_ms, channels=channels)

    async def resolve_channel(self, token: str, user: str, channel: ConversationId) -> ChannelPass:
        """What a subscription token opens for this user.

        Args:
            user: id of the connection's principal.
            channel: the one that is asked for.

        Raises:
            TokenExpired: it was good once; the stock SDKs fetch another.
            Forbidden: it is not good, or for another user or channel.
            KeysUnavailable: the signer's keys cannot be had now.
        """
        if not self.settings.enabled:
            raise Forbidden("subscription tokens are not accepted here")
        try:
            claims, ends_at_ms = await self._checked(token)
            if claims.get("channel") != channel or self._user(claims) != user:
                raise Forbidden("the token is for another channel or user")
            return ChannelPass(channel=channel, ends_at_ms=ends_at_ms, info=_encoded(claims, "info"))
        except InvalidToken as error:
            raise Forbidden(str(error)) from None

    async def _checked(self, token: str) -> tuple[Claims, int]:
        header = read_header(token)
        allowed = self.settings.algorithms
        if allowed and header.algorithm not in allowed:
            raise InvalidToken("the token is signed in a way that is not accepted")
        claims = await self._verified(token, header)
        return claims, check(claims, self._rules, self._now_ms())

    async def _verified(self, token: str, header: Header) -> Claims:
        try:
            return verify(token, header, self._keys)
        except InvalidToken:
            if self._source is None or header.algorithm not in ASYMMETRIC:
                raise
        return verify(token, header, await self._source.find(header.algorithm, header.kid))

    def _user(self, claims: Claims) -> str:
        subject = text_claim(claims, "sub")
        if not subject or len(subject) > SUBJECT_CHARS or not subject.isprintable() or " " in subject:
            raise InvalidToken(f"the token's 'sub' is not 1 to {SUBJECT_CHARS} visible characters")
        return f"{self.settings.user_namespace}:{subject}"

    def _name(self, claims: Claims) -> str:
        given = claims.get(self.settings.name_claim) if self.settings.name_claim else None
        if isinstance(given, str):
            try:
                return display_name(given)
            except Unprocessable:  # a name is a courtesy: an odd one keeps nobody out, and is not shown
                pass
        return str(claims["sub"])[:_NAME_CHARS]

    def _role(self, claims: Claims) -> ServerRole:
        said = text_claim(claims, self.settings.role_claim) if self.settings.role_claim else None
        if said is None:
            return ServerRole.MEMBER
        if said not in set(ServerRole) or (said == ServerRole.ADMIN and not self.settings.allow_admin):
            raise InvalidToken("the token's role is not accepted")
        return ServerRole(said)

    def _scopes(self, claims: Claims) -> frozenset[Scope]:
        return _SCOPES | {Scope.ADMIN} if self._role(claims) is ServerRole.ADMIN else _SCOPES


def first_of(own: TokenResolver | None, signed: TokenResolver) -> TokenResolver:
    """Asks the embedding program's own resolver first: what it knows is not looked at any further."""
    if own is None:
        return signed

    async def resolve(token: str) -> Credential | None:
        return await own(token) or await signed(token)

    return resolve


def _channels(claims: Claims) -> Mapping[ConversationId, bytes | None]:
    found: dict[ConversationId, bytes | None] = {}
    for name in list_claim(claims, "channels", CHANNELS):
        found[_channel(name)] = None
    for name, options in object_claim(claims, "subs", CHANNELS).items():
        if not isinstance(options, dict):
            raise InvalidToken("the token's 'subs' is malformed")
        found[_channel(name)] = _encoded(options, "data")
    return found


def _channel(name: Any) -> ConversationId:
    try:
        return conversation_id(name if isinstance(name, str) else "")
    except EngineError:
        raise InvalidToken("the token names a channel that cannot be") from None


def _encoded(claims: Mapping[str, Any], name: str) -> bytes | None:
    value = claims.get(name)
    if value is None:
        return None
    try:
        data = codec.encode_json(value)
    except (TypeError, ValueError, RecursionError):
        raise InvalidToken(f"the token's {name!r} cannot be read") from None
    if len(data) > INFO_BYTES:
        raise InvalidToken(f"the token's {name!r} is over {INFO_BYTES} bytes")
    return data
