"""Bounds and pace of a connection of the Centrifugal protocol."""

from __future__ import annotations

import attrs
from attrs.validators import gt


@attrs.frozen(kw_only=True)
class SocketSettings:
    """Bounds and pace of one connection of the Centrifugal protocol.

    Attributes:
        max_frame_bytes: longer messages end the connection.
        handshake_s: how long a connection may take to authenticate.
        ping_s: a ping is sent this often.
        pong_s: how long the answer to a ping may take.
        commands_per_turn: commands of one connection carried out in a turn.
        unanswered_commands: commands of one connection that may wait for their replies; until then no more are read, so that one
            client cannot fill a conversation's mailbox.
        page_bytes: how much of what was missed the subscribe reply itself carries; the rest follows as pushes.
    """

    max_frame_bytes: int = attrs.field(default=128 * 1024, validator=gt(0))
    handshake_s: float = attrs.field(default=10.0, validator=gt(0))
    ping_s: float = attrs.field(default=25.0, validator=gt(0))
    pong_s: float = attrs.field(default=10.0, validator=gt(0))
    commands_per_turn: int = attrs.field(default=64, validator=gt(0))
    unanswered_commands: int = attrs.field(default=128, validator=gt(0))
    page_bytes: int = attrs.field(default=64 * 1024, validator=gt(0))
