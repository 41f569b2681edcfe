"""The schema: the tree that is found by walking the settings classes, and what is asked of every setting in it."""

from __future__ import annotations

import math
import re
from typing import Any, get_args

import attrs
import pytest
from attrs.validators import gt

from hubbub.config.errors import Problem
from hubbub.config.schema import Leaf, Schema, attribute_helps
from hubbub.config.tree import PostgresSettings, StaticSettings, schema
from hubbub.engine.core.secret import Secret
from hubbub.storage.embedded import EmbeddedSettings

LEAVES = list(schema().leaves.values())


@attrs.frozen(kw_only=True)
class Inner:
    """Inside.

    Attributes:
        size_bytes: how large
            it is.
        first, second: a pair.

    More text.
    """

    size_bytes: int = attrs.field(default=1, validator=gt(0))
    first: str = ""
    second: str = ""
    key: Secret | None = attrs.field(default=None, metadata={"help": "a key"})
    hidden: int = attrs.field(default=1, repr=False)
    counter: int = attrs.field(default=1, metadata={"internal": True})


@attrs.frozen(kw_only=True)
class Static:
    part: Inner = attrs.field(factory=Inner)


@attrs.frozen(kw_only=True)
class Running:
    other: Inner = attrs.field(factory=Inner)


@attrs.frozen(kw_only=True)
class Part:
    size: int
    width: int = 1


@attrs.frozen(kw_only=True)
class Outer:
    small: Part = Part(size=1)
    large: Part = Part(size=100, width=10)


@attrs.frozen(kw_only=True)
class Nothing:
    pass


SMALL = Schema.of(Static, Running)


def test_a_tree_is_found_by_walking() -> None:
    """Fields of settings classes are sections, all others settings; what is internal is neither."""
    found = [leaf.key for leaf in SMALL.leaves.values()]
    names = ["size_bytes", "first", "second", "key", "hidden"]
    assert found == [f"part.{name}" for name in names] + [f"other.{name}" for name in names]
    assert [leaf.live for leaf in SMALL.leaves.values()] == [False] * 5 + [True] * 5
    assert [leaf.secret for leaf in SMALL.leaves.values()][:5] == [False, False, False, True, True]


def test_help_is_in_metadata_or_in_the_docstring() -> None:
    """Lines of a docstring's attributes go on in the next; two names may share one."""
    assert attribute_helps(Inner) == {"size_bytes": "how large it is.", "first": "a pair.", "second": "a pair."}
    assert SMALL.leaves["part", "key"].help == "a key"


def test_a_section_may_give_its_parts_defaults_of_their_own() -> None:
    """What nobody says is as the outer section has it, not as the part's own class; a part need not have defaults at all."""

    known = Schema.of(Nothing, Outer)
    assert {leaf.key: leaf.default for leaf in known.leaves.values()}["large.width"] == 10
    problems: list[Problem] = []
    assert known.live.build({("large", "size"): 50}, {}, problems) == Outer(large=Part(size=50, width=10))
    assert problems == []


def test_two_sections_of_one_name_are_refused() -> None:
    """Static and live settings share one namespace."""
    with pytest.raises(TypeError, match="same name"):
        Schema.of(Static, Static)


def test_a_value_that_is_not_acceptable_is_told_with_its_bound() -> None:
    """The rest is taken, and every mistake is told."""
    problems: list[Problem] = []
    built = SMALL.static.build({("part", "size_bytes"): 0, ("part", "first"): "x"}, {}, problems)
    assert [(each.key, each.message) for each in problems] == [("part.size_bytes", "must be > 0: 0")]
    assert built == Static(part=Inner(first="x"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("part.size_byte", "part.size_bytes"),
        ("prat", "part"),
        ("part.key_flie", "part.key_file"),
        ("top.size_bytes", "part.size_bytes"),
        ("something.else", None),
    ],
)
def test_the_nearest_key(said: str, meant: str | None) -> None:
    """Beside it, of the same name elsewhere, or none at all."""
    assert SMALL.nearest_key(tuple(said.split("."))) == meant


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.key)
def test_every_setting_says_what_it_is(leaf: Leaf) -> None:
    """A help for people, a name for the environment, and a unit in the name of what has one."""
    assert len(leaf.help) > 4
    assert leaf.variable == "HUBBUB_" + leaf.key.upper().replace(".", "__")
    if leaf.kind is float:
        assert re.search(r"_(s|ms|per_s|ratio)$", leaf.path[-1]), "a number has a unit in its name"


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in LEAVES if {int, float} & {leaf.kind, *get_args(leaf.kind)}], ids=lambda x: x.key
)
def test_every_number_has_a_bound(leaf: Leaf) -> None:
    """None takes minus one, and none takes what is no number."""
    validator: Any = leaf.attribute.validator
    assert validator is not None
    for value in (-1, math.nan):
        with pytest.raises((ValueError, TypeError), match="must be"):
            validator(None, leaf.attribute, value)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.key)
def test_every_default_is_acceptable(leaf: Leaf) -> None:
    """Its own validator takes it."""
    if leaf.attribute.validator is not None:
        leaf.attribute.validator(None, leaf.attribute, leaf.default)


def test_the_embedded_postgres_has_no_settings_of_two_opinions() -> None:
    """What is configured of it has the names and defaults of what runs it."""
    runs = EmbeddedSettings("x")
    assert all(getattr(runs, name) == value for name, value in attrs.asdict(PostgresSettings()).items())


def test_the_tree_is_immutable() -> None:
    """Sections and settings cannot be assigned."""
    for section in schema().sections.values():
        name = next(iter(section.children))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(section.default, name, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        StaticSettings().serve = None  # type: ignore[misc, assignment]
