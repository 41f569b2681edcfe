"""Sources: what a file, the environment, flags and admins say, each as a layer of values by key. Types come later (`loader`).

Nothing is read twice and nothing is guessed. A key that nobody knows is a problem of its source, with the nearest known one.
Only this file looks at the environment.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from ..transport.small_file import read_small
from .errors import ConfigError, Origin, Problem
from .schema import PREFIX, Path, Schema
from .toml_lines import lines_of
from .values import withheld

MAX_FILE_BYTES: Final = 256 * 1024
"""Longest configuration file."""
MAX_SECRET_BYTES: Final = 64 * 1024
"""Longest file of a secret."""
CONFIG_VARIABLE: Final = "HUBBUB_CONFIG"
FILE_NAME: Final = "hubbub.toml"


@attrs.frozen
class Said:
    """One value, as its source said it.

    Attributes:
        value: of the types of TOML and JSON; never shown, it may be a secret.
        textual: it is text whatever is meant.
    """

    value: object = attrs.field(repr=False)
    origin: Origin
    textual: bool = False


@attrs.define
class Layer:
    """What one source says.

    Attributes:
        said: by key; also by the key that names the file of a secret.
        problems: what is wrong with it so far.
    """

    said: dict[Path, Said] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)


@attrs.frozen
class Flag:
    """A value from the command line.

    Attributes:
        name: with its dashes.
    """

    name: str
    value: object = attrs.field(repr=False)


def environment() -> dict[str, str]:
    """The variables of this process that are ours."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}  # noqa: TID251  the one place


def default_file() -> FilePath:
    """Where the file is looked for when none is named: ./hubbub.toml, as root /etc/hubbub/hubbub.toml."""
    return FilePath("/etc/hubbub", FILE_NAME) if os.geteuid() == 0 else FilePath(FILE_NAME).absolute()


def read_file(path: FilePath) -> str:
    """A configuration file's text.

    Raises:
        ConfigError: it cannot be read, is too long, or is not UTF-8.
    """
    origin = Origin("file", str(path))
    try:
        content, _ = read_small(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigError((Problem("", origin, f"cannot be read: {error.strerror}"),)) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError((Problem("", origin, f"is longer than {MAX_FILE_BYTES} bytes"),))
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ConfigError((Problem("", origin, "is not UTF-8"),)) from None


def toml_layer(text: str, name: str, schema: Schema) -> Layer:
    """What a TOML file says.

    Args:
        name: of the file, for messages.
    """
    layer = Layer()
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        layer.problems.append(Problem("", Origin("file", name), f"is not TOML: {error}"))
        return layer
    except RecursionError:
        layer.problems.append(Problem("", Origin("file", name), "is nested too deeply"))
        return layer
    lines = lines_of(text)

    def origin(path: Path) -> Origin:
        while path and path not in lines:
            path = path[:-1]
        return Origin("file", f"{name}:{lines[path]}" if path else name)

    _walk(table, (), schema, layer, origin)
    return layer


def admin_layer(table: Mapping[str, Any], place: str, schema: Schema) -> Layer:
    """What admins have said: live settings only, no secrets, and no names of files."""
    layer = Layer()
    origin = Origin("admin", place)
    _walk(table, (), schema, layer, lambda _: origin)
    for path in list(layer.said):
        leaf = schema.leaves.get(path)
        why = "is a secret" if leaf is None or leaf.secret else withheld(leaf.kind, layer.said[path].value)
        if leaf is None or why is not None:
            reason = f"{why}: it belongs into a file or the environment, not into an admin's call"
        elif not leaf.live:
            reason = "needs a restart: it belongs into the file"
        else:
            continue
        del layer.said[path]
        layer.problems.append(Problem(".".join(path), origin, reason))
    return layer


def environment_layer(variables: Mapping[str, str], schema: Schema) -> Layer:
    """What ``HUBBUB_SECTION__KEY`` say. Names without ``__`` are no settings: Kubernetes makes such for a service `hubbub`."""
    layer = Layer()
    known = {f"{PREFIX}{'__'.join(path)}".upper(): path for path in schema.paths()}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        origin = Origin("environment", name)
        if name in known and not _is_text(value):
            layer.problems.append(Problem(".".join(known[name]), origin, "is not UTF-8"))
        elif name in known:
            layer.said[known[name]] = Said(value, origin, textual=True)
        else:
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            nearest = schema.nearest_key(path)
            variable = f"; did you mean {PREFIX}{nearest.replace('.', '__').upper()}?" if nearest else ""
            layer.problems.append(Problem("", origin, f"there is no such setting{variable}"))
    return layer


def _is_text(value: str) -> bool:
    """Whether a variable's bytes were UTF-8; the others stand in it as lone surrogates, which nothing could write again."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def flag_layer(flags: Mapping[Path, Flag]) -> Layer:
    """What the command line says; its values have their types already."""
    return Layer({path: Said(flag.value, Origin("flag", flag.name)) for path, flag in flags.items()})


def read_secret(path: FilePath) -> tuple[str, str | None]:
    """A secret from its file, without the line end at its end, and a warning where others can read it, too.

    It is a warning only: mounted secrets of containers are often 0644 in a directory of their own.

    Raises:
        ValueError: it cannot be read, is empty, too long, or no text. The message never shows the content.
    """
    try:
        content, status = read_small(path, MAX_SECRET_BYTES)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} is longer than {MAX_SECRET_BYTES} bytes")
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not text:
        raise ValueError(f"{path} is empty")
    mode = stat.S_IMODE(status.st_mode)
    warning = f"{path} can be read by others (mode {mode:04o}): chmod 600" if mode & 0o077 else None
    return text, warning


def _walk(table: Mapping[str, Any], prefix: Path, schema: Schema, layer: Layer, origin: Any) -> None:
    """Take the settings out of nested tables."""
    files = {leaf.file_path for leaf in schema.leaves.values() if leaf.secret}
    for name, value in table.items():
        path = (*prefix, str(name))
        if path in schema.sections:
            if isinstance(value, dict):
                _walk(value, path, schema, layer, origin)
            else:
                layer.problems.append(Problem(".".join(path), origin(path), "is a section, not a setting"))
        elif path in schema.leaves or path in files:
            layer.said[path] = Said(value, origin(path))
        else:
            nearest = schema.nearest_key(path)
            meant = f"; did you mean {nearest}?" if nearest else ""
            layer.problems.append(Problem(".".join(path), origin(path), f"there is no such setting{meant}"))
