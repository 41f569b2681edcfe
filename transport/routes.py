"""The endpoint table: what one row says of a call, and how a request finds its row.

Left out: the rows (`endpoints` and the modules of each area), and what is done with a row (`api`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from .call import Call
from .http_message import READ_METHODS
from .http_route import Respond
from .limit_settings import Action
from .live import LiveSettings
from .openapi.doc import Doc

if TYPE_CHECKING:
    from .api import Api

Endpoint = Callable[["Api", Call, Respond], None]


def _action_of(route: Route) -> Action:
    if route.access is Access.ADMIN:
        return Action.ADMIN
    return Action.READ if route.method in READ_METHODS else Action.WRITE


@attrs.frozen(kw_only=True)
class Route:
    """One row of the endpoint table.

    Attributes:
        path: with ``{name}`` for a segment.
        access: what a caller must be; every route needs a principal unless this says otherwise.
        scope: what the credential must be good for.
        action: what limits count it as; by default the calls of admins, reads and writes are told apart.
        stream: it answers with an event stream, so that a lane must give its connection away.
        max_body_bytes: larger bodies are refused before they are read.
        there: says under which settings the route exists; under all of them when left out.
        doc: what the API's description says of it; a route of the server's own must have one (`openapi`).
        control: each call leaves a row in the audit log. By default all that may change something does; ordinary talk, coming and
            going say that they do not.
    """

    method: str
    path: str
    endpoint: Endpoint
    access: Access = Access.PRINCIPAL
    scope: Scope = Scope.READ
    action: Action = attrs.field(default=attrs.Factory(_action_of, takes_self=True))
    stream: bool = False
    max_body_bytes: int = 0
    there: Callable[[LiveSettings], bool] | None = None
    doc: Doc | None = None
    control: bool = attrs.field()
    pattern: re.Pattern[str] = attrs.field(init=False, repr=False)

    @control.default
    def _may_change_something(self) -> bool:
        return self.method not in READ_METHODS

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it serves."""
        return ("GET", "HEAD") if self.method == "GET" and not self.stream else (self.method,)


@attrs.frozen
class Matched:
    """A route with what the path named."""

    route: Route
    params: Mapping[str, str]


class Routes:
    """The endpoint table, looked up by path and method."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._exact: dict[str, list[Route]] = {}
        self._patterns: list[Route] = []
        for route in routes:
            if "{" in route.path:
                self._patterns.append(route)
            else:
                self._exact.setdefault(route.path, []).append(route)

    def match(self, method: str, path: str) -> Matched | frozenset[str]:
        """The route of a request, or the methods that the path allows (empty: there is no such path)."""
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for route in self._exact.get(path, ()):
            if route.method == wanted:
                return Matched(route, {})
            allowed.update(route.methods)
        for route in self._patterns:
            found = route.pattern.fullmatch(path)
            if found is not None:
                if route.method == wanted:
                    return Matched(route, found.groupdict())
                allowed.update(route.methods)
        return frozenset(allowed)
