"""The schema: every setting of the tree, found by walking the settings classes of the parts. Nothing is listed twice.

A part defines a frozen attrs class whose fields all have defaults, with `metadata={"help": ...}` or a line under ``Attributes:``
in its docstring, and validators. A field of another such class is a section of its own. Rules between fields belong into
``__attrs_post_init__``: a field's own validator is run alone, so that each mistake is told for its key.

`metadata` that counts here: `help`; `secret` (never shown; so is a field with ``repr=False`` and one of type `Secret`);
`internal` (no setting: neither read nor shown).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_type_hints

import attrs

from ..engine.core.secret import Secret
from .errors import DEFAULT, Origin, Problem
from .nearest import nearest
from .values import is_secret

Path = tuple[str, ...]

PREFIX: Final = "HUBBUB_"
FILE_SUFFIX: Final = "_file"
_ENTRY = re.compile(r"^(\s*)(\w+(?:, \w+)*): (.*)$")


@attrs.frozen
class Leaf:
    """One setting.

    Attributes:
        path: its place in the tree.
        kind: its type, resolved.
        live: it may change while the server runs.
        secret: its value is never shown, and may stand in a file of its own (`file_path`).
    """

    path: Path
    attribute: attrs.Attribute[Any]
    kind: Any
    default: object
    help: str
    live: bool
    secret: bool

    @property
    def key(self) -> str:
        """As TOML and people write it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return variable_of(self.path)

    @property
    def file_path(self) -> Path:
        """The key that names a file with this secret."""
        return (*self.path[:-1], self.path[-1] + FILE_SUFFIX)


@attrs.frozen
class Section:
    """A settings class in its place.

    Attributes:
        default: an instance with nothing but defaults: those that the section gives to this one, where it is in another.
        children: what its fields are, those that are settings.
    """

    path: Path
    cls: type[Any]
    default: Any
    help: str
    live: bool
    children: Mapping[str, Leaf | Section]

    def leaves(self) -> Iterator[Leaf]:
        """All settings in here, in the order of their definition."""
        for child in self.children.values():
            if isinstance(child, Leaf):
                yield child
            else:
                yield from child.leaves()

    def sections(self) -> Iterator[Section]:
        """This and all sections in here."""
        yield self
        for child in self.children.values():
            if isinstance(child, Section):
                yield from child.sections()

    def build(self, values: Mapping[Path, object], origins: Mapping[Path, Origin], problems: list[Problem]) -> Any:
        """The settings with `values` in place of defaults; what is not acceptable is added to `problems` and left out."""
        given: dict[str, Any] = {}
        for name, child in self.children.items():
            if isinstance(child, Section):
                given[name] = child.build(values, origins, problems)
            elif child.path in values:
                value = values[child.path]
                message = self._complaint(child, value)
                if message is None:
                    given[name] = value
                else:
                    problems.append(Problem(child.key, origins.get(child.path, DEFAULT), message))
        try:
            return attrs.evolve(self.default, **given)
        except (ValueError, TypeError) as error:
            problems.append(self._section_problem(error, values, origins))
            return self.default

    def _complaint(self, leaf: Leaf, value: object) -> str | None:
        validator = leaf.attribute.validator
        if validator is None:
            return None
        try:
            validator(self.default, leaf.attribute, value)
        except (ValueError, TypeError) as error:
            if leaf.secret:
                return f"is not acceptable: {leaf.help}"
            return _without_frame(error, leaf.path[-1])
        return None

    def _section_problem(
        self, error: Exception, values: Mapping[Path, object], origins: Mapping[Path, Origin]
    ) -> Problem:
        said = [leaf for leaf in self.leaves() if leaf.path in values]
        origin = origins.get(said[0].path, DEFAULT) if said else DEFAULT
        hidden = any(leaf.secret for leaf in said)
        return Problem(".".join(self.path), origin, "is not acceptable" if hidden else str(error))


@attrs.frozen
class Schema:
    """The tree of two classes whose fields are the top-level sections, in one namespace.

    Attributes:
        static: what needs a restart.
        live: what may change while the server runs.
    """

    static: Section
    live: Section
    leaves: Mapping[Path, Leaf] = attrs.field(init=False, repr=False)
    sections: Mapping[Path, Section] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        twice = set(self.static.children) & set(self.live.children)
        if twice:
            raise TypeError(f"sections of the same name: {sorted(twice)}")
        roots = (self.static, self.live)
        object.__setattr__(self, "leaves", {leaf.path: leaf for root in roots for leaf in root.leaves()})
        sections = {section.path: section for root in roots for section in root.sections() if section.path}
        object.__setattr__(self, "sections", sections)

    @classmethod
    def of(cls, static: type[Any], live: type[Any]) -> Schema:
        """The schema of two classes.

        Raises:
            TypeError: they cannot be a configuration: a name twice, a field without a default.
        """
        return cls(_section(static(), (), "", live=False), _section(live(), (), "", live=True))

    def paths(self) -> Iterator[Path]:
        """Every path that a source may say: settings, and the files of secrets."""
        for leaf in self.leaves.values():
            yield leaf.path
            if leaf.secret:
                yield leaf.file_path

    def nearest_key(self, path: Path) -> str | None:
        """The known key that an unknown one is most like: beside it, of the same name elsewhere, or by all its letters."""
        known = [*self.paths(), *self.sections]
        beside = {key[-1]: key for key in known if key[:-1] == path[:-1]}
        found = nearest(path[-1], beside)
        if found is not None:
            return ".".join(beside[found])
        namesakes = [key for key in known if key[-1] == path[-1]]
        return ".".join(namesakes[0]) if namesakes else nearest(".".join(path), (".".join(key) for key in known))


def variable_of(path: Path) -> str:
    """The environment variable of a key."""
    return PREFIX + "__".join(path).upper()


def _section(default: Any, path: Path, told: str, *, live: bool) -> Section:
    cls = type(default)
    hints = get_type_hints(cls)
    helps = attribute_helps(cls)
    children: dict[str, Leaf | Section] = {}
    for field in attrs.fields(cls):
        if not field.init or field.metadata.get("internal"):
            continue
        kind = hints[field.name]
        below = (*path, field.name)
        told_here = str(field.metadata.get("help") or helps.get(field.name, ""))
        if isinstance(kind, type) and attrs.has(kind):
            children[field.name] = _section(getattr(default, field.name), below, told_here, live=live)
        else:
            secret = is_secret(field) or kind is Secret or Secret in get_args(kind)
            children[field.name] = Leaf(below, field, kind, getattr(default, field.name), told_here, live, secret)
    return Section(path, cls, default, told or _first_sentence(cls), live, children)


def _first_sentence(cls: type[Any]) -> str:
    doc = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
    return " ".join(doc.split())


def attribute_helps(cls: type[Any]) -> dict[str, str]:
    """What the ``Attributes:`` of a docstring (Google form) say of each name."""
    lines = inspect.cleandoc(cls.__doc__ or "").split("\n")
    if "Attributes:" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    depth = None
    for line in lines[lines.index("Attributes:") + 1 :]:
        if line and not line.startswith(" "):
            break
        entry = _ENTRY.match(line)
        if entry is not None and (depth is None or len(entry[1]) == depth):
            depth = len(entry[1])
            names = entry[2].split(", ")
            found.update(dict.fromkeys(names, entry[3].strip()))
        elif line.strip():
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def _without_frame(error: Exception, name: str) -> str:
    """A validator's message without the name that attrs puts before it and the value that it puts behind."""
    message = str(error.args[0]) if error.args else "is not acceptable"
    return message.removeprefix(f"'{name}' ")
