"""Fan-out: one pass over a room's subscribers, the hottest loop of the program.

What was committed together is encoded once per wire format, joined once, and handed to each subscriber in one non-blocking
write. Nobody is awaited. Measured on 2 cores (loopback, 1,000 readers): 98 % of a delivery is the kernel's send, so the loop
does as little as it can: one comparison, one call, one assignment.

Who joins, leaves or falls behind between two steps of a pass only changes the set of cursors: a subscriber whose cursor is not
at the pass's start is not the pass's business (it was served by `Room.resume`, is blocked, reads pages, or is gone).

A format that cannot encode an event ends the subscriptions that are due it, resumable and told so: skipping the event would be a
gap, and waiting would not help. The other formats, and the conversation, go on.
"""

import trio

from ._answers import log_failure
from ._room import Room
from .core.errors import EngineBroken
from .core.subscriber import Stage, Subscriber
from .core.tail import Tail


async def resume_all(room: Room, pass_items: int) -> None:
    """Go on with every subscriber from its own cursor; yields every `pass_items`. For when they do not stand together."""
    for place, subscriber in enumerate(list(room.subscribers()), 1):
        room.resume(subscriber)
        if place % pass_items == 0:
            await trio.lowlevel.checkpoint()


async def run_pass(room: Room, tail: Tail, start: int, *, write_bytes: int, pass_items: int) -> None:
    """Serve everybody who stands at `start` with what was committed since; a long pass yields every `pass_items`.

    Cancellation between two steps leaves each subscriber with its own cursor; `Room.resume` goes on from there.
    """
    while start < tail.head:
        if not tail.covers(start):
            # So much was committed at once (or the tail shrank at a yield) that its beginning is out of the window again.
            await resume_all(room, pass_items)
            return
        upto = tail.reach(start, write_bytes)
        for group in list(room.groups.values()):
            if not group:
                continue
            if not tail.covers(start):
                break
            wire_format = next(iter(group)).format
            try:
                data = tail.join(wire_format, start, upto)
            except Exception as error:  # noqa: BLE001  a bug of one format must not crash the conversation
                log_failure("an event cannot be encoded", error, conversation=room.id, format=wire_format.name)
                await _cut_off(room, list(group), start, pass_items)
            else:
                await _serve(room, list(group), data, start, upto, pass_items)
        else:
            start = upto


async def _cut_off(room: Room, subscribers: list[Subscriber], start: int, pass_items: int) -> None:
    """End the subscriptions of those at `start`: what is due to them cannot be encoded."""
    for place, subscriber in enumerate(subscribers, 1):
        if subscriber.cursor == start and subscriber.stage is Stage.LIVE:
            room.cut(subscriber, EngineBroken())
        if place % pass_items == 0:
            await trio.lowlevel.checkpoint()


async def _serve(
    room: Room, subscribers: list[Subscriber], data: bytes, start: int, upto: int, pass_items: int
) -> None:
    """One write to each of those at `start`."""
    done = 0
    for subscriber in subscribers:
        if subscriber.cursor != start or subscriber.stage is not Stage.LIVE:
            continue
        try:
            if subscriber.push(data):
                subscriber.cursor = upto
            else:
                subscriber.outlet.fell_behind(subscriber)
        except Exception as error:  # noqa: BLE001  a broken outlet ends its own subscription, not the conversation
            room.drop_broken(subscriber, error)
        done += 1
        if done % pass_items == 0:
            await trio.lowlevel.checkpoint()
    room.meters.delivered += done * (upto - start)
