"""What an operator says of OpenID Connect: the providers that people may log in with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from attrs import validators

from .fetch import secure_url

PROVIDERS: Final = 16
SECRET_FILE_BYTES: Final = 4096
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,100}")  # RFC 6749, 3.3
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_URL_CHARS: Final = 255


class ProviderSignUp(StrEnum):
    """Whether a login by somebody unknown makes an account."""

    SERVER = "server"  # as `access.sign_up`: where that is open
    OPEN = "open"
    OFF = "off"


def _url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if len(value) > _URL_CHARS or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"a URL has at most {_URL_CHARS} ASCII characters and no blank")
    if urlsplit(secure_url(value)).query:
        raise ValueError("the URL may hold no query")


def _public_url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if value:
        _url(instance, attribute, value)
        if urlsplit(value).path not in ("", "/"):
            raise ValueError("give scheme, host and port only")


def _scopes(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if "openid" not in value:
        raise ValueError("'openid' must be among the scopes")
    if len(value) > PROVIDERS or not all(_SCOPE.fullmatch(scope) for scope in value):
        raise ValueError(f"at most {PROVIDERS} scopes, without blanks")


def _domains(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for domain in value:
        if _DOMAIN.fullmatch(domain) is None:
            raise ValueError("a domain is written in lower case, as in example.org")


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """One provider."""

    issuer: str = attrs.field(
        validator=_url, metadata={"help": "its issuer, letter by letter as it says it itself (https)"}
    )
    client_id: str = attrs.field(
        validator=validators.matches_re(r"[\x20-\x7e]{1,255}"), metadata={"help": "what it knows this server by"}
    )
    client_secret: str = attrs.field(
        default="", repr=False, validator=validators.max_len(1024),
        metadata={"help": "the secret that goes with it; empty for a client without one", "secret": True},
    )  # fmt: skip
    client_secret_file: Path | None = attrs.field(
        default=None, metadata={"help": "a file with that secret, read at each login"}
    )
    scopes: tuple[str, ...] = attrs.field(
        default=("openid", "profile", "email"), validator=_scopes, metadata={"help": "what is asked for"}
    )
    name: str = attrs.field(
        default="", validator=validators.max_len(64), metadata={"help": "what people know it by; empty: its key"}
    )
    email_domains: tuple[str, ...] = attrs.field(
        default=(), validator=_domains,
        metadata={"help": "only people with a verified e-mail address of one of these; empty: everybody whom it knows"},
    )  # fmt: skip
    sign_up: ProviderSignUp = attrs.field(
        default=ProviderSignUp.SERVER, converter=ProviderSignUp,
        metadata={"help": "whether a first login makes an account: server (as access.sign_up, where that is open), open, off"},
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        if self.client_secret and self.client_secret_file is not None:
            raise ValueError("give a secret or a file with it, not both")


def _providers(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, ProviderSettings]) -> None:
    if len(value) > PROVIDERS:
        raise ValueError(f"at most {PROVIDERS} providers")
    for key in value:
        if _KEY.fullmatch(key) is None:
            raise ValueError("a provider's key is a lower-case word of at most 32 characters: it stands in URLs")
    if len({provider.issuer for provider in value.values()}) != len(value):
        raise ValueError("two providers with one issuer: their people could not be told apart")


def _frozen(given: Mapping[str, ProviderSettings]) -> Mapping[str, ProviderSettings]:
    return MappingProxyType(dict(given))


def _seconds(least: float, most: float) -> Any:
    return validators.and_(validators.ge(least), validators.le(most))


@attrs.frozen(kw_only=True)
class OidcSettings:
    """Login with OpenID Connect. Without a provider there is none."""

    public_url: str = attrs.field(
        default="", validator=_public_url,
        metadata={"help": "where browsers reach this server, as in https://chat.example.org; providers send them back there"},
    )  # fmt: skip
    providers: Mapping[str, ProviderSettings] = attrs.field(
        factory=dict, validator=_providers, converter=_frozen,
        metadata={"help": "providers by the key that stands in URLs"},
    )  # fmt: skip
    flow_s: float = attrs.field(
        default=600.0, validator=_seconds(30.0, 3600.0), metadata={"help": "how long somebody may take to log in there"}
    )
    timeout_s: float = attrs.field(
        default=5.0, validator=_seconds(0.1, 9.0), metadata={"help": "how long one question to a provider may take"}
    )
    leeway_s: float = attrs.field(
        default=30.0, validator=_seconds(0.0, 300.0), metadata={"help": "by how much its clock may differ"}
    )

    def __attrs_post_init__(self) -> None:
        if self.providers and not self.public_url:
            raise ValueError("with a provider, 'public_url' must be given: it sends browsers back there")

    @property
    def base_url(self) -> str:
        """The public URL without a slash at the end."""
        return self.public_url.rstrip("/")
