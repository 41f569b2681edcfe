"""Values: from what a source says to what a setting takes, and back to TOML. Pure functions of types.

What is taken: bool, int, float, str, Path, Secret, aware datetime, enums and literals by value, ``X | None``,
``tuple[X, ...]``, ``frozenset[X]``, ``Mapping[str, X]``, and attrs classes as tables. Text (of the environment, of a flag) is
read by the type that is wanted: lists are separated by commas, or are TOML as tables are. Nothing is guessed: a number in quotes
is no number.
"""

from __future__ import annotations

import math
import tomllib
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from ..engine.core.secret import HIDDEN, Secret
from .errors import Mistake
from .nearest import hint

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_SHOWN_CHARS: Final = 60
_NAMES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Secret: "text",
    datetime: "a time with its zone (2027-01-31T00:00:00Z)",
}
_GIVEN: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
    type(None): "null",
}


def convert(kind: Any, raw: object, *, textual: bool, secret: bool = False) -> object:
    """What a setting of type `kind` takes for what a source said.

    Args:
        raw: of the types that TOML and JSON have.
        textual: `raw` is text whatever is meant: it comes from the environment or a flag.
        secret: say nothing of the value in a mistake.

    Raises:
        Mistake: it is not one.
    """
    inner, optional = _unwrap(kind)
    if optional and (raw is None or (textual and raw == "")):
        return None
    origin = get_origin(inner)
    if origin in (tuple, frozenset):
        return _many(
            origin, get_args(inner)[0], _listed(raw) if textual else raw, textual and not _is_toml(raw), secret
        )
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return _mapping(get_args(inner)[1], _toml_of(raw) if textual else raw, secret)
    if isinstance(inner, type) and attrs.has(inner):
        return _table(inner, _toml_of(raw) if textual else raw, secret)
    return _scalar(inner, raw, textual=textual, secret=secret)


def choices(kind: Any) -> tuple[str, ...]:
    """The values of an enum or of a literal; empty for what has no list of them."""
    inner, _ = _unwrap(kind)
    if get_origin(inner) is Literal:
        return tuple(str(value) for value in get_args(inner))
    if isinstance(inner, type) and issubclass(inner, Enum):
        return tuple(str(value.value) for value in inner)
    return ()


def name_of(kind: Any) -> str:
    """A type in words, for messages and for the table of settings."""
    inner, optional = _unwrap(kind)
    found = choices(inner)
    origin = get_origin(inner)
    if found:
        name = " or ".join(found)
    elif origin in (tuple, frozenset):
        name = f"a list of {name_of(get_args(inner)[0])}"
    elif origin is not None and issubclass(origin, Mapping):
        name = f"a table of {name_of(get_args(inner)[1])}"
    elif attrs.has(inner):
        name = "a table"
    else:
        name = _NAMES.get(inner, inner.__name__)
    return f"{name}, or nothing" if optional else name


def plain(value: object) -> object:
    """A value as JSON and TOML have it; a secret is hidden."""
    match value:
        case Secret():
            return HIDDEN
        case Path():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Enum():
            return plain(value.value)
        case tuple():
            return [plain(each) for each in value]
        case frozenset():
            return sorted((plain(each) for each in value), key=str)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case _ if attrs.has(type(value)):  # an item of a list of tables
            return _plain_table(value)
        case _:
            return value


def _plain_table(value: Any) -> dict[str, object]:
    fields = {field.name: field for field in attrs.fields(type(value))}
    found = {name: getattr(value, name) for name in fields}
    return {n: HIDDEN if is_secret(fields[n]) and each is not None else plain(each) for n, each in found.items()}


def is_secret(field: attrs.Attribute[Any]) -> bool:
    """Whether a field's value is never shown: it says so, or its repr does not show it either."""
    return field.repr is False or bool(field.metadata.get("secret"))


def withheld(kind: Any, raw: object) -> str | None:
    """Why a value is not for admins to say by a call; None for one that is. Nothing is said of its type: `convert` does that.

    A secret would be kept in clear. A path would have the server read whatever file of its machine, and use, or send to
    somebody, what stands in it.
    """
    inner, _ = _unwrap(kind)
    origin = get_origin(inner)
    if inner is Secret:
        return "is a secret"
    if inner is Path:
        return "names a file of the server's machine"
    if origin in (tuple, frozenset):
        return withheld(get_args(inner)[0], None)
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        parts = raw.values() if isinstance(raw, dict) else ()
        return next((why for part in parts if (why := withheld(get_args(inner)[1], part))), None)
    if isinstance(inner, type) and attrs.has(inner) and isinstance(raw, dict):
        hints = get_type_hints(inner)
        for field in attrs.fields(inner):
            if field.name in raw and (
                why := "is a secret" if is_secret(field) else withheld(hints[field.name], raw[field.name])
            ):
                return f"{field.name!r} {why}"
    return None


def toml(value: object) -> str:
    """A plain value as TOML; what TOML has no word for (None) is left to the caller."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case list():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case dict():
            fields = (f"{_quoted(str(key))} = {toml(each)}" for key, each in value.items() if each is not None)
            return "{" + ", ".join(fields) + "}"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _unwrap(kind: Any) -> tuple[Any, bool]:
    """A type without its ``| None``, and whether it had one."""
    if get_origin(kind) in (Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
        raise TypeError(f"a setting has one type: {kind}")
    return kind, False


def _refuse(kind: Any, raw: object, *, secret: bool) -> Mistake:
    given = _GIVEN.get(type(raw), type(raw).__name__)
    if isinstance(raw, str) and not secret:
        shown = raw if len(raw) <= _SHOWN_CHARS else raw[:_SHOWN_CHARS] + "..."
        given = f"the text {shown!r}"
    return Mistake(f"takes {name_of(kind)}, not {given}")


def _scalar(kind: Any, raw: object, *, textual: bool, secret: bool) -> object:
    if choices(kind):
        return _choice(kind, raw, secret=secret)
    text = raw if isinstance(raw, str) else None
    try:
        if kind is bool and (isinstance(raw, bool) or (textual and text is not None)):
            return raw if isinstance(raw, bool) else _boolean(text or "")
        if kind is int and (type(raw) is int or (textual and text is not None)):
            return raw if type(raw) is int else int(text or "")
        if kind is float and (type(raw) in (int, float) or (textual and text is not None)):
            return _finite(float(raw))  # type: ignore[arg-type]  # one of int, float and str
        if kind is datetime and (isinstance(raw, datetime) or text is not None):
            return _zoned(raw if isinstance(raw, datetime) else datetime.fromisoformat(text or ""))
    except (ValueError, OverflowError):
        raise _refuse(kind, raw, secret=secret) from None
    if text is not None and kind in (str, Path, Secret):
        if "\0" in text:
            raise Mistake("takes text without NUL")
        return text if kind is str else Path(text).expanduser() if kind is Path else Secret(text)
    if kind not in _NAMES:
        raise TypeError(f"no setting can be {kind!r}")
    raise _refuse(kind, raw, secret=secret)


def _choice(kind: Any, raw: object, *, secret: bool) -> object:
    values = list(get_args(kind)) if get_origin(kind) is Literal else list(kind)
    for value in values:
        if raw == (value.value if isinstance(value, Enum) else value) and type(raw) is not bool:
            return value
    mistake = _refuse(kind, raw, secret=secret)
    raise Mistake(str(mistake) + (hint(raw, choices(kind)) if isinstance(raw, str) and not secret else ""))


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _zoned(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(at)
    return at


def _many(make: Callable[[Any], object], kind: Any, raw: object, textual: bool, secret: bool) -> object:
    if not isinstance(raw, list):
        raise Mistake(f"takes a list of {name_of(kind)}, not {_GIVEN.get(type(raw), type(raw).__name__)}")
    found = []
    for number, each in enumerate(raw, 1):
        try:
            found.append(convert(kind, each, textual=textual, secret=secret))
        except Mistake as mistake:
            raise Mistake(f"item {number} {mistake}") from None
    return make(found)


def _mapping(kind: Any, raw: object, secret: bool) -> object:
    if not isinstance(raw, dict):
        raise Mistake(f"takes a table, not {_GIVEN.get(type(raw), type(raw).__name__)}")
    found = {}
    for name, each in raw.items():
        try:
            found[name] = convert(kind, each, textual=False, secret=secret)
        except Mistake as mistake:
            raise Mistake(f"{name!r} {mistake}") from None
    return types.MappingProxyType(found)


def _table(kind: type[Any], raw: object, secret: bool) -> object:
    """An attrs class of a table: of a list of them, or of a part that may be left out."""
    if not isinstance(raw, dict):
        raise Mistake(f"takes a table, not {_GIVEN.get(type(raw), type(raw).__name__)}")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in attrs.fields(kind) if field.init}
    for name in raw:
        if name not in fields:
            raise Mistake(f"has no {name!r}{hint(name, fields)}")
    given = {}
    hidden = secret
    for name, each in raw.items():
        hidden = hidden or is_secret(fields[name])
        try:
            given[name] = convert(hints[name], each, textual=False, secret=secret or is_secret(fields[name]))
        except Mistake as mistake:
            raise Mistake(f"{name!r} {mistake}") from None
    missing = [n for n, f in fields.items() if f.default is attrs.NOTHING and n not in given]
    if missing:
        raise Mistake(f"needs {' and '.join(repr(name) for name in missing)}")
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise Mistake("is not acceptable" if hidden else str(error.args[0] if error.args else error)) from None


def _is_toml(raw: object) -> bool:
    return isinstance(raw, str) and raw.lstrip().startswith(("[", "{"))


def _listed(raw: object) -> object:
    if not isinstance(raw, str) or _is_toml(raw):
        return _toml_of(raw)
    return [part.strip() for part in raw.split(",") if part.strip()]


def _toml_of(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, KeyError):
        raise Mistake("takes TOML here: [...] for a list, {...} for a table") from None
