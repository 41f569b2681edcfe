"""What an operator says of signed tokens, and the keys that come of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import attrs

from .fetch import secure_url
from .jwks import JwksSettings
from .jwt_claims import Rules
from .jwt_keys import ALGORITHMS, VerificationKey, hmac_key, public_key
from .small_file import read_small

STATIC_KEYS: Final = 8
_KEY_FILE_BYTES: Final = 16 * 1024
_NAMESPACE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OWN_NAMESPACES: Final = frozenset({"guest", "user", "bot", "assistant", "operator", "system", "hubbub"})
_MAX_LIFETIME_S: Final = 366 * 86_400


def _few(instance: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if len(value) > STATIC_KEYS:
        raise ValueError(f"{attribute.name!r} takes at most {STATIC_KEYS}")


def _secrets(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _few(instance, attribute, value)
    for secret in value:
        hmac_key(secret)


def _public_keys(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _few(instance, attribute, value)
    for pem in value:
        public_key(pem)


def _url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if value:
        secure_url(value)


def _algorithms(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for name in value:
        if name not in ALGORITHMS:
            raise ValueError(f"no such algorithm; choose among {', '.join(sorted(ALGORITHMS))}")


def _namespace(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if _NAMESPACE.fullmatch(value) is None or value in _OWN_NAMESPACES:
        raise ValueError(
            "a namespace is a lower-case word of at most 32 characters that the server does not use itself"
        )


def _seconds(least: float, most: float) -> Any:
    return attrs.validators.and_(attrs.validators.ge(least), attrs.validators.le(most))


@attrs.frozen(kw_only=True)
class JwtSettings:
    """Signed tokens (JWT) of the program that embeds hubbub. Without a key of any kind there are none."""

    hmac_secrets: tuple[str, ...] = attrs.field(
        default=(), repr=False, validator=_secrets,
        metadata={
            "help": "secrets shared with who signs, each of 32 bytes or more (`openssl rand -hex 32` makes one);"
            " several while one replaces another",
            "secret": True,
        },
    )  # fmt: skip
    hmac_secret_files: tuple[Path, ...] = attrs.field(
        default=(), validator=_few, metadata={"help": "files with one such secret each"}
    )
    public_keys: tuple[str, ...] = attrs.field(
        default=(), validator=_public_keys, metadata={"help": "RSA (2048 bits or more) or EC public keys in PEM"}
    )
    public_key_files: tuple[Path, ...] = attrs.field(
        default=(), validator=_few, metadata={"help": "files with one such key each"}
    )
    jwks_url: str = attrs.field(
        default="", validator=_url, metadata={"help": "where the signer publishes its keys as a JWK set (https)"}
    )
    jwks_refresh_s: float = attrs.field(
        default=300.0, validator=_seconds(10.0, 86_400.0),
        metadata={"help": "how old the set may become before it is fetched again"},
    )  # fmt: skip
    jwks_keep_s: float = attrs.field(
        default=3600.0, validator=_seconds(10.0, 604_800.0),
        metadata={"help": "how old it may become while it cannot be fetched"},
    )  # fmt: skip
    jwks_min_refetch_s: float = attrs.field(
        default=15.0, validator=_seconds(1.0, 3600.0),
        metadata={"help": "least time between two fetches, also for key ids that are not known"},
    )  # fmt: skip
    jwks_timeout_s: float = attrs.field(
        default=5.0, validator=_seconds(0.1, 9.0), metadata={"help": "how long one fetch may take"}
    )
    algorithms: tuple[str, ...] = attrs.field(
        default=(), validator=_algorithms,
        metadata={"help": "only these; without any, all that fit the kind of each key"},
    )  # fmt: skip
    audiences: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "a token must be for one of them; without any, a token must name none"}
    )
    issuer: str = attrs.field(default="", metadata={"help": "a token must be from it; empty: from anyone with a key"})
    leeway_s: float = attrs.field(
        default=10.0, validator=_seconds(0.0, 300.0), metadata={"help": "by how much clocks may differ"}
    )
    max_lifetime_s: float = attrs.field(
        default=86_400.0, validator=_seconds(1.0, _MAX_LIFETIME_S),
        metadata={"help": "a token that is good for longer is refused"},
    )  # fmt: skip
    refresh_grace_s: float = attrs.field(
        default=25.0, validator=_seconds(0.0, 300.0),
        metadata={"help": "how long a connection or subscription whose token has ended waits for a new one"},
    )  # fmt: skip
    user_namespace: str = attrs.field(
        default="jwt", validator=_namespace, metadata={"help": "users of tokens have the id NAMESPACE:SUB"}
    )
    name_claim: str = attrs.field(
        default="", metadata={"help": "claim with the name that others see; empty: the subject is shown"}
    )
    role_claim: str = attrs.field(
        default="", metadata={"help": "claim with the server role; empty: everyone is a member"}
    )
    allow_admin: bool = attrs.field(
        default=False, metadata={"help": "whether that claim may say admin; else such a token is refused"}
    )

    loaded: tuple[VerificationKey, ...] | None = attrs.field(default=None, repr=False, metadata={"internal": True})
    """The keys, where who made these settings has read the files (`with_keys`): two readings differ when the keys do."""

    @property
    def enabled(self) -> bool:
        """Whether any token can be good."""
        files = self.hmac_secret_files or self.public_key_files
        return bool(self.hmac_secrets or self.public_keys or files or self.jwks_url)

    @property
    def rules(self) -> Rules:
        """What the claims of a good token are."""
        return Rules(
            audiences=frozenset(self.audiences),
            issuer=self.issuer,
            leeway_s=self.leeway_s,
            max_lifetime_s=self.max_lifetime_s,
        )

    @property
    def jwks(self) -> JwksSettings | None:
        """Pace and bounds of the key set, where there is one."""
        if not self.jwks_url:
            return None
        return JwksSettings(
            url=self.jwks_url,
            refresh_s=self.jwks_refresh_s,
            keep_s=max(self.jwks_keep_s, self.jwks_refresh_s),
            min_refetch_s=self.jwks_min_refetch_s,
            timeout_s=self.jwks_timeout_s,
        )


def with_keys(settings: JwtSettings) -> JwtSettings:
    """Settings with the keys that they name. Blocks as `load_keys`.

    Raises:
        ValueError: as `load_keys`.
    """
    return attrs.evolve(settings, loaded=load_keys(attrs.evolve(settings, loaded=None)) or None)


def load_keys(settings: JwtSettings) -> tuple[VerificationKey, ...]:
    """The keys that settings name, read from their files unless they were. Blocks for as long as reading a few small files takes.

    Raises:
        ValueError: a file cannot be read, or holds no key of its kind (the message shows nothing of it), or there are too many.
    """
    if settings.loaded is not None:
        return settings.loaded
    keys = [hmac_key(secret) for secret in settings.hmac_secrets]
    keys += [public_key(pem) for pem in settings.public_keys]
    keys += [_of_file(path, hmac_key) for path in settings.hmac_secret_files]
    keys += [_of_file(path, public_key) for path in settings.public_key_files]
    if len(keys) > STATIC_KEYS:
        raise ValueError(f"at most {STATIC_KEYS} keys: each may be tried on a token")
    return tuple(keys)


def _of_file(path: Path, make: Any) -> VerificationKey:
    try:
        data, _ = read_small(path, _KEY_FILE_BYTES)
        if len(data) > _KEY_FILE_BYTES:
            raise ValueError(f"over {_KEY_FILE_BYTES} bytes")
        key: VerificationKey = make(data.decode().strip())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no text") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return key
