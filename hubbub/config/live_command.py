"""`hubbub config get`, `set`, `unset` and `put`: the settings of a running server, for administrators and the operator.

A change is made under the tag of what was read before it, and shown as what was and what is: nobody's change between is lost.
Which settings may change while the server runs, and what they take, the server decides; here a VALUE on a command line becomes
what JSON has for it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from ..commands.access import Access, with_access
from ..commands.output import Column, Row, json_option
from ..commands.server import Server, carry_out

if TYPE_CHECKING:
    from ..client import Answer

_PATH: Final = "/admin/config"
_MAX_FILE_BYTES: Final = 64 * 1024
_DEFAULT: Final = "default"
_LIMITS: Final = "limits."
_BY_ADMIN: Final = "admin"
_SETTINGS: Final = (
    Column("setting", "key"),
    Column("value", "value", free=True),
    Column("said by", "origin", free=True),
)
_CHANGES: Final = (Column("setting", "key"), Column("was", "was", free=True), Column("is", "is", free=True))

_tag = click.option("--tag", metavar="TAG", help="Only if nothing has changed since `config get --json` gave this tag.")


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from .tree import schema

    leaves = (leaf for leaf in schema().leaves.values() if leaf.live and leaf.key.startswith(incomplete))
    return [CompletionItem(leaf.key, help=leaf.help) for leaf in leaves]


@click.command("get")
@with_access(operator=True)
@click.option("--all", "everything", is_flag=True, help="Also what is at its default.")
@json_option
@click.argument("key", required=False, shell_complete=_complete)
def get_settings(access: Access, everything: bool, as_json: bool, key: str | None) -> None:
    """Show the settings of a running server; of one KEY its value alone. Secrets are hidden."""

    async def ask(server: Server) -> None:
        found = await _fetch(server)
        document = _document(found)
        if as_json and key is None:
            server.output.document({**document, "tag": _tag_of(found)})
            return
        values = dict(_leaves(document["settings"]))
        if key in values:
            value = values[key]
            server.output.done(value if isinstance(value, str) else json.dumps(value), value)
            return
        origins = document["origins"]
        wanted = {name: value for name, value in values.items() if key is None or name.startswith(f"{key}.")}
        if key is not None and not wanted:
            raise _unknown(key, values)
        shown = {name: value for name, value in wanted.items() if everything or key is not None or name in origins}
        if as_json:
            server.output.document(shown)
            return
        server.output.rows(_SETTINGS, [_row(name, value, origins) for name, value in shown.items()])
        _say_of_reload(server, document["reload"])

    carry_out(access, ask, as_json=as_json)


@click.command("set")
@with_access(operator=True)
@_tag
@json_option
@click.argument("key", shell_complete=_complete)
@click.argument("value")
def set_setting(access: Access, tag: str | None, as_json: bool, key: str, value: str) -> None:
    """Set a live setting of a running server, for good. A list is parted by commas."""
    _change(access, lambda: {key: _value(key, value)}, tag, as_json=as_json)


@click.command("unset")
@with_access(operator=True)
@_tag
@json_option
@click.argument("key", shell_complete=_complete)
def unset_setting(access: Access, tag: str | None, as_json: bool, key: str) -> None:
    """Take back what an administrator has set: the file, or the default, says it again."""
    _change(access, lambda: {key: None}, tag, as_json=as_json)


@click.command("put")
@with_access(operator=True)
@_tag
@json_option
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def put_settings(access: Access, tag: str | None, as_json: bool, file: Path) -> None:
    """Set the live settings that a FILE names, all or none; "-" is standard input. It is TOML, or JSON in which null unsets."""
    _change(access, lambda: dict(_leaves(_read(file))), tag, as_json=as_json)


def _change(access: Access, wanted: Callable[[], Mapping[str, object]], tag: str | None, *, as_json: bool) -> None:
    """Make a change and say what it came to.

    Args:
        wanted: gives the settings by key, None for what is to be unset; raises TalkError.
    """

    async def change(server: Server) -> None:
        patch = wanted()
        before = await _fetch(server)
        condition = {"if-match": f'"{tag or _tag_of(before)}"'}
        after = await server.exchange("PUT", _PATH, body=_nested(patch), headers=condition)
        if as_json:
            server.output.document({**_document(after), "tag": _tag_of(after)})
            await _say_of_limits(server, patch)
            return
        was, now = (dict(_leaves(_document(answer)["settings"])) for answer in (before, after))
        rows = [{"key": key, "was": _text(was.get(key)), "is": _text(now.get(key))} for key in patch]
        server.output.rows(_CHANGES, rows)
        await _say_of_limits(server, patch)

    carry_out(access, change, as_json=as_json)


async def _fetch(server: Server) -> Answer:
    return await server.exchange("GET", _PATH)


def _document(answer: Answer) -> dict[str, Any]:
    from ..client import decode

    return decode(answer.body, dict[str, Any])


def _tag_of(answer: Answer) -> str:
    return answer.headers.get("etag", "").strip('"')


def _row(key: str, value: object, origins: Mapping[str, str]) -> Row:
    return {"key": key, "value": _text(value), "origin": origins.get(key, _DEFAULT)}


def _text(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted key. A table that is a setting itself is one, as far as this version knows it."""
    from .tree import schema

    known = {leaf.key for leaf in schema().leaves.values()}
    for name, value in table.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and key not in known:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of settings by dotted key.

    Raises:
        TalkError: one is a setting and a table of others at once.
    """
    from ..refusals import TalkError

    result: dict[str, Any] = {}
    for key, value in sorted(settings.items()):  # a name before those below it
        *sections, last = key.split(".")
        table = result
        for name in sections:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise TalkError(f"{key}: {name!r} is given a value, too, and cannot be both")
        table[last] = value
    return result


def _value(key: str, text: str) -> object:
    """What JSON has for a value on the command line, by the type of the setting; the server judges it.

    Raises:
        TalkError: the setting takes something else, or there is none.
    """
    from .errors import Mistake
    from .tree import schema
    from .values import convert, plain

    leaves = {leaf.key: leaf for leaf in schema().leaves.values()}
    leaf = leaves.get(key)
    if leaf is None:
        raise _unknown(key, leaves)
    try:
        return plain(convert(leaf.kind, text, textual=True, secret=leaf.secret))
    except Mistake as mistake:
        from ..refusals import TalkError

        raise TalkError(f"{key} {mistake}") from None


def _unknown(key: str, known: Mapping[str, object]) -> Exception:
    from ..refusals import TalkError
    from .nearest import hint

    return TalkError(f"there is no setting {key!r}{hint(key, known)}")


def _read(file: Path) -> Mapping[str, Any]:
    """A file of settings.

    Raises:
        TalkError: it cannot be read, or is neither TOML nor JSON.
    """
    from ..refusals import TalkError

    name = "standard input" if str(file) == "-" else str(file)
    try:
        with click.open_file(str(file), "rb") as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise TalkError(f"{name} is longer than {_MAX_FILE_BYTES} bytes")
        text = data.decode()
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except OSError as error:
        raise TalkError(f"cannot read {name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of text, of TOML and of JSON
        raise TalkError(f"{name} is neither TOML nor JSON: {error}") from error
    return {section: _plain(value) for section, value in found.items()}


def _plain(value: object) -> object:
    """TOML's values as JSON has them."""
    match value:
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return value.isoformat()
        case _:
            return value


async def _say_of_limits(server: Server, keys: Iterable[str]) -> None:
    """Say which of the limits that were configured are not in force, because an administrator has set them otherwise."""
    named = {key.split(".")[1] for key in keys if key.startswith(_LIMITS) and key.count(".") > 1}
    if not named:
        return
    answer = await server.ask("GET", "/admin/limits")
    for limit in answer["limits"]:
        if limit["name"] in named and limit["source"] == _BY_ADMIN:
            name = limit["name"]
            server.output.note(
                f"not in force: an administrator's `hubbub limits set {name}` stands above it, until `hubbub limits reset {name}`"
            )


def _say_of_reload(server: Server, reload: Mapping[str, Any]) -> None:
    if reload["result"] != "ok":
        server.output.note(f"the last reading of the configuration was refused: {'; '.join(reload['problems'])}")
    if reload["needs_restart"]:
        server.output.note(f"counts from the next start only: {', '.join(reload['needs_restart'])}")
