"""What the router may answer to a request head: where the request is served.

A route is chosen from the head alone, before any byte of a body is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import msgspec

from .http_message import Request, RequestHead, Response
from .ports import Connection, Machine

Respond = Callable[[Response], None]
"""Answers one request, now or later, exactly once; ignored when the connection has gone."""
Handler = Callable[[Request, Respond], None]
MakeMachine = Callable[[Connection, RequestHead], Machine]
MakePosted = Callable[[Connection, Request], Machine]


class Hot(msgspec.Struct, frozen=True):
    """Served here: the body is collected, then the handler is called."""

    handler: Handler
    max_body_bytes: int = 0


@attrs.frozen
class Cold:
    """The connection goes elsewhere, with every byte from the head on; `leave` owns it from then."""

    leave: Callable[[Connection, bytes], None]


@attrs.frozen
class Upgrade:
    """The connection gets another machine, which answers the head itself and is fed the bytes behind it."""

    make_machine: MakeMachine


@attrs.frozen
class Stream:
    """As `Upgrade`, for an event stream; input behind the head has no meaning there."""

    make_machine: MakeMachine


@attrs.frozen
class Posted:
    """As `Stream`, for a stream that a body opens: that is collected first."""

    make_machine: MakePosted
    max_body_bytes: int


Served = Hot | Upgrade | Stream | Posted
"""In the connection table."""
Route = Served | Cold
