"""Who may get a 2xx answer: judged by hand-written tables, so that a server whose own check is gone is caught.

Two judges. One knows what each caller is, and reads in the document what a call asks for (`x-access`, `x-scope`). The other is
`tests.permission_table`, for calls without a conversation and for conversations of which the caller's part is known.

Left out: refusals that are not due; the counts (`Counts`) show that everybody gets somewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from ..permission_table import ANNOUNCEMENT, CALLS, DIRECT, PRIVATE, PUBLIC, SERVER, read_block
from .callers import CALLERS, Caller

_ROOM: Final = "/api/v1/conversations/{id}"
_ACCESS: Final[Mapping[str, frozenset[str]]] = {
    "nobody": frozenset({"anyone"}),
    "guest": frozenset({"anyone", "principal"}),
    "member": frozenset({"anyone", "principal", "account"}),
    "cookie": frozenset({"anyone", "principal", "account"}),
    "read-key": frozenset({"anyone", "principal", "account"}),
    "admin": frozenset({"anyone", "principal", "account", "admin"}),
    "operator": frozenset({"anyone", "admin"}),
}
"""What each is let into, by `x-access`."""
_ALL: Final = frozenset({"read", "write", "manage", "account"})
_SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "nobody": frozenset(),
    "guest": _ALL,
    "member": _ALL,
    "cookie": _ALL,
    "read-key": frozenset({"read"}),
    "admin": _ALL | {"admin"},
    "operator": frozenset({"admin"}),
}
_COLUMNS: Final = {who: "stranger" if who in ("member", "cookie") else who for who in CALLERS}
"""Who each is in the table of calls without a conversation."""
_ROOM_TABLES: Final = {
    kind: read_block(block)
    for kind, block in {
        "public": PUBLIC,
        "private": PRIVATE,
        "direct": DIRECT,
        "announcement": ANNOUNCEMENT,
    }.items()
}
_ROW_OF: Final = {
    call.replace("outlaw", "{user}"): row
    for row, calls in CALLS.items()
    for call in calls
    if call.startswith(tuple("GPD"))
}
_SERVER_TABLE: Final = read_block(SERVER)
_REFUSED: Final = frozenset({"401", "403"})


def is_open_to(who: str, operation: Mapping[str, Any]) -> bool:
    """Whether a caller may call something at all, as far as `x-access` and `x-scope` say."""
    access = operation["x-access"]
    return access in _ACCESS[who] and (access == "anyone" or operation["x-scope"] in _SCOPES[who])


def may_have_it(caller: Caller, call: str, operation: Mapping[str, Any], names: Mapping[str, Any]) -> str | None:
    """Why an answer with 2xx would be wrong; None where it would be right.

    Args:
        caller: who asks.
        call: ``METHOD path`` with names in braces.
        operation: of the document.
        names: what stands in the path.
    """
    if not is_open_to(caller.who, operation):
        return f"it is for {operation['x-access']} with the scope {operation.get('x-scope')}"
    cell = _cell(caller, call, names)
    return None if cell in (None, "ok") else f"the table of permissions has {cell}"


def _cell(caller: Caller, call: str, names: Mapping[str, Any]) -> str | None:
    """What the table of permissions has; None where it knows nothing of this."""
    if _ROOM in call:
        known = caller.rooms.get(str(names.get("id")))
        row = _ROW_OF.get(call)
        if known is None or row is None:
            return None
        if names.get("user") == caller.id and call == f"DELETE {_ROOM}/members/{{user}}":
            row = "leave"
        kind, column = known
        return _ROOM_TABLES[kind][row][column]
    line = _SERVER_TABLE.get(call)
    if line is None or set(line.values()) <= _REFUSED:
        return None  # nobody gets further there: it refuses for want of something else
    cell = line[_COLUMNS[caller.who]]
    return cell if cell in _REFUSED else None


@attrs.define(eq=False)
class Counts:
    """How callers were answered."""

    _classes: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    _unknown: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    _calls: set[tuple[str, str]] = attrs.field(factory=set)
    _served: set[tuple[str, str]] = attrs.field(factory=set)

    def note(self, who: str, call: str, status: int) -> None:
        """One answer to a caller."""
        self._classes[who, f"{status // 100}xx"] += 1
        self._unknown[who, call] += status == 401
        self._calls.add((who, call))
        if 200 <= status < 300:
            self._served.add((who, call))

    def unknown(self, who: str) -> set[str]:
        """What has answered it with 401."""
        return {call for (each, call), number in self._unknown.items() if each == who and number}

    def called(self, who: str) -> set[str]:
        """What a caller has called."""
        return {call for each, call in self._calls if each == who}

    def served(self, who: str) -> set[str]:
        """What has answered it with 2xx at least once."""
        return {call for each, call in self._served if each == who}

    def lines(self) -> Iterator[str]:
        """A table for people to read."""
        classes = ("2xx", "3xx", "4xx", "5xx")
        yield "".join(["caller".ljust(10), *(each.rjust(7) for each in classes), "   calls with 2xx"])
        for who in CALLERS:
            if called := self.called(who):
                numbers = "".join(str(self._classes[who, each]).rjust(7) for each in classes)
                served = f"{len(self.served(who))} of {len(called)}"
                yield f"{who.ljust(10)}{numbers}   {served}"
