"""security.txt (RFC 9116): whom to tell of a weakness: the settings, and the file made of them. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import attrs
from attrs.validators import deep_iterable, max_len

_MAX_CHARS: Final = 500
_MAX_LINES: Final = 10


def _is_line(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """A value is one line: another one in it would be a field that the operator did not write."""
    if not value or len(value) > _MAX_CHARS or not value.isprintable():
        raise ValueError(f"must be one line of 1 to {_MAX_CHARS} characters")


def _is_uri(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    _is_line(instance, attribute, value)
    if not value.startswith(("https://", "mailto:", "tel:", "dns:", "openpgp4fpr:")):
        raise ValueError("must be a URI: https:, mailto: or tel: (for encryption also dns: or openpgp4fpr:)")


def _uris(help_text: str) -> tuple[str, ...]:
    return attrs.field(
        factory=tuple,
        validator=(max_len(_MAX_LINES), deep_iterable(_is_uri)),
        metadata={"help": help_text},
    )


@attrs.frozen(kw_only=True)
class SecurityTxtSettings:
    """`/.well-known/security.txt` (RFC 9116); there is none without a contact."""

    contact: tuple[str, ...] = _uris("whom to tell of a weakness: URIs, the preferred one first")
    expires: datetime | None = attrs.field(
        default=None,
        metadata={"help": "until when this may be believed; needed with a contact, at most a year ahead is good"},
    )
    encryption: tuple[str, ...] = _uris("where keys are for writing in secret")
    acknowledgments: tuple[str, ...] = _uris("where people are thanked")
    policy: tuple[str, ...] = _uris("where it is said how reports are handled")
    hiring: tuple[str, ...] = _uris("where security work is offered")
    canonical: tuple[str, ...] = _uris("where this file is found")
    preferred_languages: tuple[str, ...] = attrs.field(
        factory=tuple,
        validator=(max_len(_MAX_LINES), deep_iterable(_is_line)),
        metadata={"help": "languages that are read, as in RFC 5646: en, de"},
    )

    def __attrs_post_init__(self) -> None:
        if self.contact and self.expires is None:
            raise ValueError("a contact needs 'expires' beside it (RFC 9116)")


def security_txt(settings: SecurityTxtSettings) -> str | None:
    """The file, or None where there is no contact."""
    if not settings.contact or settings.expires is None:
        return None
    lines = [f"Contact: {uri}" for uri in settings.contact]
    lines.append(f"Expires: {settings.expires.astimezone(UTC).isoformat(timespec='seconds').replace('+00:00', 'Z')}")
    fields = (
        ("Encryption", settings.encryption),
        ("Acknowledgments", settings.acknowledgments),
        ("Policy", settings.policy),
        ("Hiring", settings.hiring),
        ("Canonical", settings.canonical),
    )
    lines += [f"{name}: {uri}" for name, uris in fields for uri in uris]
    if settings.preferred_languages:
        lines.append(f"Preferred-Languages: {', '.join(settings.preferred_languages)}")
    return "\n".join(lines) + "\n"
