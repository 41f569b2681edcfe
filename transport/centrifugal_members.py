"""The RPC methods on members and blocks, for clients of the Centrifugal protocol: the operations of `member_calls` and
`block_calls`.

Those that change somebody else leave a row in the audit log, as their routes do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..engine import EngineError, Principal
from ..engine.core import codec
from ..engine.core.codec import JsonObject
from . import block_calls
from . import member_calls as calls
from .api import Api
from .member_calls import Ask, Operation

if TYPE_CHECKING:
    from .centrifugal import CentrifugalConnection
    from .centrifugal_verbs import Method


def _method(operation: Operation) -> Method:
    """A method whose data are the operation's fields and its conversation; what has nothing to say answers ``{}``."""

    def method(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
        conversation = codec.require_text(data, "conversation")
        ask = Ask(peer.api, peer.session.require(), conversation, data, peer.request_id)
        done = peer.replying(command_id, b"rpc", lambda found: b'{"data":%b}' % (found or b"{}"))
        peer.api.eventually(lambda: operation(ask), done)

    method.__doc__ = operation.__doc__
    return method


def _control(name: str, operation: Operation) -> Method:
    """A method that is answered when its row is in the audit log."""

    def method(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
        principal = peer.session.require()
        named = [
            each for each in (data.get("conversation"), data.get("user"), calls.told(data)) if isinstance(each, str)
        ]
        seen = peer.api.watch.command(f"rpc {name}", " ".join(named).rstrip(), principal, peer.address, peer.request_id)
        reply = peer.replying(command_id, b"rpc", lambda found: b'{"data":%b}' % (found or b"{}"))

        def done(found: Any) -> None:
            seen.answer(found if isinstance(found, EngineError) else None, partial(reply, found))

        try:
            ask = Ask(peer.api, principal, codec.require_text(data, "conversation"), data, peer.request_id)
            seen.carries_out()
        except EngineError as error:
            done(error)
        else:
            peer.api.eventually(lambda: operation(ask), done)

    method.__doc__ = operation.__doc__
    return method


def _own(operation: Callable[[Api, Principal, Mapping[str, Any]], Awaitable[bytes]]) -> Method:
    """A method on what is one's own and in no conversation."""

    def method(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
        principal = peer.session.require()
        refusal = block_calls.may_block(principal)
        if refusal is not None:
            raise refusal
        done = peer.replying(command_id, b"rpc", lambda found: b'{"data":%b}' % (found or b"{}"))
        peer.api.eventually(lambda: operation(peer.api, principal, data), done)

    method.__doc__ = operation.__doc__
    return method


MEMBER_METHODS: Final[dict[str, Method]] = {
    "members": _method(calls.list_members),
    "bans": _method(calls.list_bans),
    "member_put": _control("member_put", calls.put_member),
    "member_remove": _control("member_remove", calls.remove_member),
    "join": _method(calls.join),
    "leave": _method(calls.leave),
    "hide": _method(calls.hide),
    "mute": _control("mute", calls.mute),
    "ban": _control("ban", calls.ban),
    "unban": _control("unban", calls.unban),
    "blocks": _own(block_calls.list_of),
    "block": _own(block_calls.block),
    "unblock": _own(block_calls.unblock),
}
