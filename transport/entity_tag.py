"""Entity tags and the conditions on them (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2)."""

from __future__ import annotations

import re
from typing import Final

from ..engine import InvalidCommand

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG}){{0,31}}")
_EACH: Final = re.compile(_TAG)
_ANY: Final = "*"


def quoted(value: str) -> str:
    """A strong entity tag."""
    return f'"{value}"'


def required_versions(if_match: str | None) -> frozenset[str] | None:
    """What If-Match asks for: the values of its strong tags, of which one must be that of what is there.

    Args:
        if_match: the header's value; None without one.

    Returns:
        None where everything will do: there is no condition, or it is ``*``. Weak tags are left out: they match nothing here.

    Raises:
        InvalidCommand: it is no list of at most 32 entity tags.
    """
    if if_match is None or if_match.strip() == _ANY:
        return None
    return frozenset(tag[1:-1] for tag in _tags(if_match, "If-Match") if tag.startswith('"'))


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether a client has what a tag stands for, so that it need not be sent again; compared weakly.

    Args:
        if_none_match: the header's value; None without one.
        etag: a strong tag.

    Raises:
        InvalidCommand: it is no list of at most 32 entity tags.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip() == _ANY:
        return True
    return any(tag.removeprefix("W/") == etag for tag in _tags(if_none_match, "If-None-Match"))


def _tags(condition: str, header: str) -> list[str]:
    text = condition.strip()
    if _LIST.fullmatch(text) is None:
        raise InvalidCommand(f'{header} lists at most 32 entity tags such as "a1b2"')
    return _EACH.findall(text)
