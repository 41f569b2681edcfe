"""Faults of wires, by the proxy before the clients or before Postgres."""

from __future__ import annotations

from .kinds import CannotInject, Effect
from .plan import Round
from .proxy import Proxy
from .stage import Stage


def _clients(stage: Stage, round_: Round) -> Proxy:
    return _seeded(stage.client_wires, round_)


def _database(stage: Stage, round_: Round) -> Proxy:
    return _seeded(stage.database_wires, round_)


def _seeded(proxy: Proxy | None, round_: Round) -> Proxy:
    if proxy is None:
        raise CannotInject("there is no proxy on this stage")
    proxy.seed(round_.random("blow"))
    return proxy


async def cut_clients(stage: Stage, round_: Round) -> Effect:
    """Reset every client."""
    return await _cut(_clients(stage, round_))


async def cut_postgres(stage: Stage, round_: Round) -> Effect:
    """Reset every connection to Postgres."""
    return await _cut(_database(stage, round_))


async def _cut(proxy: Proxy) -> Effect:
    links = await proxy.cut()
    return Effect(links > 0, f"{links} connections cut")


async def truncate_clients(stage: Stage, round_: Round) -> Effect:
    """End client connections after a few bytes."""
    return await _truncate(_clients(stage, round_), round_.lasts_s)


async def truncate_postgres(stage: Stage, round_: Round) -> Effect:
    """End connections to Postgres after a few bytes."""
    return await _truncate(_database(stage, round_), round_.lasts_s)


async def _truncate(proxy: Proxy, lasts_s: float) -> Effect:
    links = await proxy.truncate(lasts_s)
    return Effect(links > 0, f"{links} connections truncated in {lasts_s:.1f} s")


async def delay_clients(stage: Stage, round_: Round) -> Effect:
    """Hold up what clients and server say."""
    return await _delay(_clients(stage, round_), round_.lasts_s)


async def delay_postgres(stage: Stage, round_: Round) -> Effect:
    """Hold up what server and Postgres say."""
    return await _delay(_database(stage, round_), round_.lasts_s)


async def _delay(proxy: Proxy, lasts_s: float) -> Effect:
    chunks = await proxy.delay(lasts_s)
    return Effect(chunks > 0, f"{chunks} chunks held up in {lasts_s:.1f} s")


async def half_open_clients(stage: Stage, round_: Round) -> Effect:
    """Silence; then, every second time, the network heals; else clients give up and the server is not told."""
    proxy = _clients(stage, round_)
    links = await proxy.silence(round_.lasts_s)
    if round_.number % 2:
        proxy.give_up()
        return Effect(links > 0, f"{links} connections half open for ever")
    proxy.resume()
    return Effect(links > 0, f"{links} connections silent for {round_.lasts_s:.1f} s")


async def half_open_postgres(stage: Stage, round_: Round) -> Effect:
    """Silence; then, every second time, the network heals; else neither side is ever told."""
    proxy = _database(stage, round_)
    links = await proxy.silence(round_.lasts_s)
    if round_.number % 2:
        return Effect(links > 0, f"{links} connections half open for ever")
    proxy.resume()
    return Effect(links > 0, f"{links} connections silent for {round_.lasts_s:.1f} s")
