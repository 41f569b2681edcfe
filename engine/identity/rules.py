"""Which user names, passwords, labels and scopes are taken. Pure functions of what came from outside.

User names are ASCII and folded to lower case, so that no two look alike; what others see is the display name, which is free.
Passwords follow NIST SP 800-63B, 3.1.1: a least length, no rules of composition, and none of those that everybody tries first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ..core.errors import Forbidden, InvalidCommand, Unprocessable
from ..core.principals import Scope

MAX_USERNAME_CHARS: Final = 32
MAX_PASSWORD_CHARS: Final = 256  # what is hashed is bounded; a passphrase of fifty words fits
MAX_LABEL_CHARS: Final = 100

_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?", re.ASCII)
_RESERVED: Final = frozenset(
    {"all", "anyone", "channel", "deleted", "everyone", "guest", "here", "hubbub", "me", "operator", "system"}
)

# The head of every list of leaked passwords, of those that are long enough to pass otherwise.
_COMMON: Final = frozenset(
    [
        "00000000",
        "0987654321",
        "11111111",
        "1111111111",
        "12121212",
        "123123123",
        "12341234",
        "12345678",
        "123456789",
        "1234567890",
        "123456789a",
        "1234qwer",
        "147258369",
        "1q2w3e4r",
        "1q2w3e4r5t",
        "1qaz2wsx",
        "22222222",
        "55555555",
        "66666666",
        "77777777",
        "87654321",
        "88888888",
        "987654321",
        "99999999",
        "a1b2c3d4",
        "aa123456",
        "aa12345678",
        "abc12345",
        "abcd1234",
        "abcdefgh",
        "admin123",
        "administrator",
        "asdf1234",
        "asdfasdf",
        "asdfghjk",
        "asdfghjkl",
        "baseball",
        "basketball",
        "bismillah",
        "butterfly",
        "changeme",
        "changeme123",
        "charlie1",
        "chocolate",
        "computer",
        "consumer",
        "corvette",
        "dragon12",
        "elephant",
        "facebook",
        "football",
        "football1",
        "fuckyou1",
        "garfield",
        "hello123",
        "hellohello",
        "helloworld",
        "iloveyou",
        "iloveyou1",
        "internet",
        "jennifer",
        "jordan23",
        "killer12",
        "letmein1",
        "letmein123",
        "liverpool",
        "lovelove",
        "master12",
        "metallica",
        "michael1",
        "midnight",
        "mustang1",
        "myspace1",
        "nicholas",
        "p@ssw0rd",
        "p@ssword",
        "pa55word",
        "password",
        "password!",
        "password1",
        "password12",
        "password123",
        "password1234",
        "passw0rd",
        "passwort",
        "passport",
        "picture1",
        "pokemon1",
        "princess",
        "princess1",
        "q1w2e3r4",
        "q1w2e3r4t5",
        "qazwsxedc",
        "qqww1122",
        "qwer1234",
        "qwerasdf",
        "qwerty12",
        "qwerty123",
        "qwerty1234",
        "qwerty12345",
        "qwertyui",
        "qwertyuiop",
        "samantha",
        "scorpion",
        "secret123",
        "shadow12",
        "starwars",
        "steelers",
        "sunshine",
        "sunshine1",
        "superman",
        "superman1",
        "test1234",
        "testtest",
        "trustno1",
        "victoria",
        "welcome1",
        "welcome123",
        "whatever",
        "zaq12wsx",
        "zxcvbnm1",
        "zxcvbnm123",
    ]
)


def fold_username(text: str) -> str:
    """What a user name is compared by. Only ASCII is folded: the Kelvin sign must not become a k."""
    return text.strip(" ").lower() if text.isascii() else text


def may_be_username(text: str) -> bool:
    """Whether a folded user name could be anybody's."""
    return _USERNAME.fullmatch(text) is not None


def username(text: str) -> str:
    """Check and fold a user name: 1 to 32 of a-z 0-9 . _ -, beginning and ending with a letter or a digit.

    Raises:
        Unprocessable: it is something else, or is kept for the server.
    """
    name = fold_username(text)
    if not may_be_username(name):
        raise Unprocessable(
            f"a user name is 1 to {MAX_USERNAME_CHARS} characters of a-z 0-9 . _ -, with a letter or digit at both ends"
        )
    if name in _RESERVED:
        raise Unprocessable("this user name is reserved")
    return name


def password(text: str, *, username: str, min_chars: int) -> str:
    """Check a new password.

    Args:
        username: whose it will be, folded.
        min_chars: the least length, from the settings.

    Raises:
        Unprocessable: too short, too long, not to be typed, or among the first that anybody would try.
    """
    if not min_chars <= len(text) <= MAX_PASSWORD_CHARS:
        raise Unprocessable(f"a password has {min_chars} to {MAX_PASSWORD_CHARS} characters")
    if "\x00" in text or not _encodable(text):
        raise Unprocessable("a password may not hold NUL or lone surrogates")
    folded = text.lower()
    if folded in _COMMON or folded == username or len(set(folded)) == 1:
        raise Unprocessable("this password is among the first that anybody would try")
    return text


def may_be_password(text: str) -> bool:
    """Whether a text could be anybody's password at all: what could not is wrong without being hashed into."""
    return len(text) <= MAX_PASSWORD_CHARS and "\x00" not in text and _encodable(text)


def label(text: str) -> str:
    """Check and trim what a user calls a key or a session: at most 100 printable characters.

    Raises:
        Unprocessable: too long, or not printable.
    """
    trimmed = " ".join(text.split())
    if len(trimmed) > MAX_LABEL_CHARS or not trimmed.isprintable():
        raise Unprocessable(f"a label has at most {MAX_LABEL_CHARS} printable characters")
    return trimmed


def program_label(user_agent: str | None) -> str:
    """The program that logged in, as it says itself, cut and cleaned; never refused."""
    text = "".join(char if char.isprintable() else " " for char in user_agent or "")
    return " ".join(text.split())[:MAX_LABEL_CHARS]


def scopes(names: Iterable[object], *, within: frozenset[Scope]) -> frozenset[Scope]:
    """The scopes of a new key.

    Args:
        names: as they came from outside.
        within: what the credential that asks for it may be used for itself: no key opens more than that.

    Raises:
        InvalidCommand: an unknown scope, or none.
        Forbidden: one that the asking credential does not have.
    """
    known = {scope.value: scope for scope in Scope}
    asked = list(names)
    unknown = [name for name in asked if not isinstance(name, str) or name not in known]
    if unknown or not asked:
        raise InvalidCommand(f"'scopes' is a list of one or more of {', '.join(known)}")
    wanted = frozenset(known[name] for name in asked if isinstance(name, str))
    if not wanted <= within:
        raise Forbidden("a key cannot be given more than what its maker may do")
    return wanted


def _encodable(text: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)
