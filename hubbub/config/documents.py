"""The tree shown: effective values with their origins, an example file, the documentation's table. Secrets are hidden."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from ..engine.core.secret import HIDDEN
from .loader import Loaded
from .schema import Leaf, Section
from .tree import Config, schema
from .values import name_of, plain, toml

_WIDTH: Final = 110
_HEAD: Final = """\
# Configuration of hubbub: everything that can be set, with its default.
# Take the "#" off a line to set it. What is said later wins: this file, settings made by admins,
# environment (HUBBUB_SECTION__KEY), flags.
"""


def shown(leaf: Leaf, value: object) -> object:
    """A value for people and programs, hidden where it is a secret."""
    return HIDDEN if leaf.secret and value is not None else plain(value)


def tables_of(config: Config) -> dict[str, Any]:
    """All values as nested tables."""
    result: dict[str, Any] = {}
    for leaf in schema().leaves.values():
        table = result
        for name in leaf.path[:-1]:
            table = table.setdefault(name, {})
        table[leaf.path[-1]] = shown(leaf, config.value(leaf))
    return result


def origins_document(loaded: Loaded) -> dict[str, str]:
    """Where each setting was said that is not at its default."""
    return {".".join(path): str(origin) for path, origin in loaded.origins.items()}


def effective(loaded: Loaded) -> Iterator[tuple[Leaf, object, str]]:
    """Each setting with its value as shown and where it was said."""
    for leaf in schema().leaves.values():
        yield leaf, shown(leaf, loaded.config.value(leaf)), str(loaded.origin(leaf.path))


def example() -> str:
    """A TOML file that says everything there is and changes nothing."""
    lines = [_HEAD]
    for section in sections():
        leaves = [child for child in section.children.values() if isinstance(child, Leaf)]
        if not leaves:
            continue
        restart = "live: changes count at once" if section.live else "counts from the next start"
        lines += _comment(f"{section.help} ({restart})"), f"[{'.'.join(section.path)}]", ""
        for leaf in leaves:
            lines += _comment(f"{leaf.help} ({name_of(leaf.kind)})"), _example_line(leaf), ""
    return "\n".join(lines).rstrip() + "\n"


def sections() -> Iterator[Section]:
    """Every section, static ones first."""
    yield from schema().sections.values()


def _comment(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _example_line(leaf: Leaf) -> str:
    value = plain(leaf.default)
    if leaf.secret:
        return f'# no default: #{leaf.path[-1]} = "...", or #{leaf.file_path[-1]} = "/path/to/file"'
    if value is None:
        return f"# no default: #{leaf.path[-1]} = ..."
    return f"#{leaf.path[-1]} = {toml(value)}"


def markdown_table() -> str:
    """The table of all settings for the documentation."""
    lines = ["| key | default | takes | live | what it is |", "|---|---|---|---|---|"]
    for leaf in schema().leaves.values():
        value = plain(leaf.default)
        default = "" if value is None or leaf.secret else f"`{toml(value)}`"
        live = "yes" if leaf.live else ""
        row = (f"`{leaf.key}`", default, name_of(leaf.kind), live, leaf.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"
