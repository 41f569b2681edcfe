"""The loader: defaults < file < admins' settings < environment < flags, as one frozen tree that knows where each value came from.

All that is wrong is told at once (`ConfigError`). What admins set while a server ran stands between file and environment: it
outlives a restart, and whoever starts the server has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, get_origin

import attrs

from ..transport.jwt_settings import with_keys
from ..transport.live import LiveSettings
from .errors import DEFAULT, ConfigError, Mistake, Origin, Problem
from .schema import Leaf, Path, Schema
from .sources import (
    Flag,
    Layer,
    Said,
    admin_layer,
    environment_layer,
    flag_layer,
    read_file,
    read_secret,
    toml_layer,
)
from .tree import Config, schema
from .values import convert


@attrs.frozen(kw_only=True)
class Sources:
    """Where settings come from, besides the defaults.

    Attributes:
        file: the TOML file, or None for none.
        file_may_lack: it is no error that there is no such file: nobody named it.
        environment: variables; those of other programs are passed over.
        flags: by key.
    """

    file: FilePath | None = None
    file_may_lack: bool = False
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    flags: Mapping[Path, Flag] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Loaded:
    """What was read.

    Attributes:
        origins: where each setting was said, those with their defaults left out.
        warnings: what works and should not stay.
        secret_files: the files whose content is in here.
    """

    config: Config
    origins: Mapping[Path, Origin]
    warnings: tuple[str, ...] = ()
    secret_files: tuple[FilePath, ...] = ()

    def origin(self, path: Path) -> Origin:
        """Where a setting was said."""
        return self.origins.get(path, DEFAULT)


def load(sources: Sources, admin: Mapping[str, Any] | None = None, admin_place: str = "") -> Loaded:
    """Read everything and check all of it.

    Args:
        admin: settings made by admins, as nested tables.
        admin_place: where they are kept, for messages.

    Raises:
        ConfigError: with every problem that was found.
    """
    known = schema()
    layers = [
        _file_layer(sources, known),
        admin_layer(admin or {}, admin_place, known),
        environment_layer(sources.environment, known),
        flag_layer(sources.flags),
    ]
    problems = [problem for layer in layers for problem in layer.problems]
    merged = _merge(layers, known, problems)
    reading = _Reading(known, problems)
    for path, said in merged.items():
        reading.take(known.leaves[path], said)
    static = known.static.build(reading.values, reading.origins, problems)
    live = known.live.build(reading.values, reading.origins, problems)
    if not problems:
        live = _with_keys(live, reading)
    if problems:
        raise ConfigError(tuple(problems), tuple(reading.secret_files))
    return Loaded(
        config=Config(static=static, live=live),
        origins=reading.origins,
        warnings=tuple(reading.warnings),
        secret_files=tuple(reading.secret_files),
    )


@attrs.frozen
class _File:
    """Stands for the content of a file."""

    path: FilePath


@attrs.define
class _Reading:
    """Values of the right types, and what came up on the way."""

    known: Schema
    problems: list[Problem]
    values: dict[Path, object] = attrs.field(factory=dict, repr=False)
    origins: dict[Path, Origin] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    secret_files: list[FilePath] = attrs.field(factory=list)

    def take(self, leaf: Leaf, said: Said) -> None:
        value, textual = said.value, said.textual
        try:
            if isinstance(value, _File):
                self.secret_files.append(value.path)
                content = self._content(value.path)
                several = get_origin(leaf.kind) is tuple  # one on each line: a secret may hold a comma
                value, textual = (content.split(), False) if several else (content, True)
            self.values[leaf.path] = convert(leaf.kind, value, textual=textual, secret=leaf.secret)
            self.origins[leaf.path] = said.origin
        except (Mistake, ValueError) as mistake:
            self.problems.append(Problem(leaf.key, said.origin, str(mistake)))

    def _content(self, path: FilePath) -> str:
        text, warning = read_secret(path)
        if warning is not None:
            self.warnings.append(warning)
        return text


def _with_keys(live: LiveSettings, reading: _Reading) -> LiveSettings:
    """The keys that signed tokens are checked with stand in files, too: without them the settings cannot be used."""
    jwt = live.jwt
    reading.secret_files += [*jwt.hmac_secret_files, *jwt.public_key_files]
    try:
        return attrs.evolve(live, jwt=with_keys(jwt))
    except ValueError as error:
        said = next((origin for path, origin in reading.origins.items() if path[0] == "jwt"), DEFAULT)
        reading.problems.append(Problem("jwt", said, str(error)))
        return live


def _lacks(file: FilePath) -> bool:
    """Whether there is no such file. One that cannot be looked at is there: whoever reads it is told why, instead of getting
    the defaults."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _file_layer(sources: Sources, known: Schema) -> Layer:
    if sources.file is None or (sources.file_may_lack and _lacks(sources.file)):
        return Layer()
    try:
        text = read_file(sources.file)
    except ConfigError as error:
        return Layer(problems=list(error.problems))
    return toml_layer(text, str(sources.file), known)


def _merge(layers: Sequence[Layer], known: Schema, problems: list[Problem]) -> dict[Path, Said]:
    """The last word on each setting. A secret and its file are one setting: the later layer wins, one layer says one of them."""
    merged: dict[Path, Said] = {}
    for layer in layers:
        for leaf in known.leaves.values():
            said = layer.said.get(leaf.path)
            named = layer.said.get(leaf.file_path) if leaf.secret else None
            if said is not None and named is not None:
                problems.append(Problem(leaf.key, said.origin, f"is also said by {'.'.join(leaf.file_path)}: keep one"))
            elif named is not None:
                _merge_file(leaf, named, merged, problems)
            elif said is not None:
                merged[leaf.path] = said
    return merged


def _merge_file(leaf: Leaf, named: Said, merged: dict[Path, Said], problems: list[Problem]) -> None:
    try:
        path = convert(FilePath, named.value, textual=named.textual)
    except Mistake as mistake:
        problems.append(Problem(".".join(leaf.file_path), named.origin, str(mistake)))
        return
    assert isinstance(path, FilePath)
    merged[leaf.path] = Said(_File(path.absolute()), named.origin)
