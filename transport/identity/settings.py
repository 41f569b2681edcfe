"""The section `identity` of what may change while the server runs."""

from __future__ import annotations

from enum import StrEnum

import attrs
from attrs import validators

_DAY_S = 86_400.0
_LONGEST_S = 3_660 * _DAY_S  # ten years; more is a slip, and times have to fit what the store keeps


def _help(text: str) -> dict[str, str]:
    return {"help": text}


class SignUp(StrEnum):
    """Who may make an account; administrators and the first of them aside."""

    OPEN = "open"
    INVITE = "invite"
    OFF = "off"


@attrs.frozen(kw_only=True)
class IdentitySettings:
    """Passwords, sessions and keys.

    What a token's end was set to when it was made stays; the idle time counts from the next look-up.
    """

    password_min_chars: int = attrs.field(
        default=8,
        validator=[validators.ge(8), validators.le(64)],
        metadata=_help("Least length of a new password, characters."),
    )
    session_idle_s: float = attrs.field(
        default=14 * _DAY_S,
        validator=[validators.ge(600), validators.le(_LONGEST_S)],
        metadata=_help("A session that was not used for so long is over, seconds."),
    )
    session_s: float = attrs.field(
        default=90 * _DAY_S,
        validator=[validators.ge(60), validators.le(_LONGEST_S)],
        metadata=_help("A session is over so long after its login, however much it is used, seconds."),
    )
    guest_s: float = attrs.field(
        default=30 * _DAY_S,
        validator=[validators.ge(60), validators.le(_LONGEST_S)],
        metadata=_help("How long a guest's token is good, seconds."),
    )
    sessions_per_user: int = attrs.field(
        default=5,
        validator=[validators.ge(1), validators.le(1000)],
        metadata=_help("Sessions of one user; another login ends the oldest."),
    )
    keys_per_user: int = attrs.field(
        default=20,
        validator=[validators.ge(0), validators.le(1000)],
        metadata=_help("API keys of one user; one more is refused."),
    )
    invitation_s: float = attrs.field(
        default=7 * _DAY_S,
        validator=[validators.ge(60), validators.le(_LONGEST_S)],
        metadata=_help("How long an invitation to sign up is good, seconds."),
    )
