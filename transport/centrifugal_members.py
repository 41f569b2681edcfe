"""The RPC methods on members: the operations of `member_calls`, for clients of the Centrifugal protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..engine.core import codec
from ..engine.core.codec import JsonObject
from . import member_calls as calls
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


MEMBER_METHODS: Final[dict[str, Method]] = {
    "members": _method(calls.list_members),
    "bans": _method(calls.list_bans),
    "member_put": _method(calls.put_member),
    "member_remove": _method(calls.remove_member),
    "join": _method(calls.join),
    "leave": _method(calls.leave),
    "mute": _method(calls.mute),
    "ban": _method(calls.ban),
    "unban": _method(calls.unban),
}
