"""The signer's key set: fetched when needed, kept, rotated."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.transport.fetch import FetchFailed
from hubbub.transport.jwks import WAITERS, JwksSettings, KeySource, KeysUnavailable
from hubbub.transport.jwt import JwtAuthority
from hubbub.transport.jwt_claims import InvalidToken
from hubbub.transport.jwt_keys import keys_of_set
from hubbub.transport.jwt_settings import JwtSettings

from .tokens import SECRET, Signer, hs256, jwks

URL = "https://login.example/jwks"
NOW_S = 1_800_000_000
OLD, NEW = Signer.rsa("old"), Signer.ec("new")


@attrs.define(eq=False)
class Site:
    """Publishes a key set, slowly or not at all as told."""

    document: bytes
    fetched: int = 0
    away: bool = False
    takes_s: float = 0.0

    async def fetch(self, url: str, timeout_s: float) -> bytes:
        assert url == URL
        self.fetched += 1
        await trio.sleep(self.takes_s)
        if self.away:
            raise FetchFailed("away")
        return self.document


def source(site: Site) -> KeySource:
    return KeySource(JwksSettings(url=URL), site.fetch)


async def kids(there: KeySource, kid: str | None, algorithm: str = "RS256") -> list[str | None]:
    return [key.kid for key in await there.find(algorithm, kid)]


# -- pace -------------------------------------------------------------------------------------------------------------


async def test_fetched_once_for_many(autojump_clock: MockClock) -> None:
    """Those who come while the first fetch runs wait for it, and no more is fetched while the set is young."""
    site = Site(jwks(OLD), takes_s=1)
    there = source(site)
    found: list[list[str | None]] = []

    async def ask() -> None:
        found.append(await kids(there, "old"))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert (found, site.fetched) == ([["old"]] * 50, 1)


async def test_an_unknown_key_id_fetches_every_so_often(autojump_clock: MockClock) -> None:
    """A new key is found as soon as it is used; ids that do not exist cause one fetch per 15 s, however many come."""
    site = Site(jwks(OLD))
    there = source(site)
    await kids(there, "old")
    site.document = jwks(OLD, NEW)
    assert await kids(there, "new", "ES256") == [], "fetched a moment ago"
    await trio.sleep(15)
    assert await kids(there, "new", "ES256") == ["new"]
    for number in range(100):
        assert await kids(there, f"forged-{number}") == []
    assert site.fetched == 2
    await trio.sleep(15)
    assert await kids(there, "forged") == []
    assert site.fetched == 3


async def test_a_key_that_was_rotated_away_is_dropped(autojump_clock: MockClock) -> None:
    """When the set has become old it is fetched again, although the key is known."""
    site = Site(jwks(OLD, NEW))
    there = source(site)
    assert await kids(there, "old") == ["old"]
    site.document = jwks(NEW)
    await trio.sleep(299)
    assert await kids(there, "old") == ["old"]
    await trio.sleep(1)
    assert await kids(there, "old") == []


async def test_while_it_cannot_be_fetched_the_old_set_is_kept_for_a_while(autojump_clock: MockClock) -> None:
    """Known keys go on for an hour; then it is said that they are not available, which a client may try again."""
    site = Site(jwks(OLD))
    there = source(site)
    await kids(there, "old")
    site.away = True
    await trio.sleep(3_599)
    assert await kids(there, "old") == ["old"]
    await trio.sleep(1)
    with pytest.raises(KeysUnavailable):
        await kids(there, "old")
    site.away = False
    await trio.sleep(15)
    assert await kids(there, "old") == ["old"]


async def test_a_slow_refresh_delays_one(autojump_clock: MockClock) -> None:
    """Whoever can be served by the set at hand does not wait for the fetch."""
    site = Site(jwks(OLD))
    there = source(site)
    await kids(there, "old")
    await trio.sleep(300)
    site.takes_s = 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kids, there, "old")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        assert await kids(there, "old") == ["old"]
        assert trio.current_time() == began


async def test_few_wait_for_ids_that_may_not_exist(autojump_clock: MockClock) -> None:
    """The others may try again at once: a site that hangs must not hold up everybody's look-ups."""
    site = Site(jwks(OLD))
    there = source(site)
    await kids(there, "old")
    await trio.sleep(15)
    site.takes_s, site.document = 5, jwks(OLD, NEW)
    found: list[list[str | None]] = []

    async def ask() -> None:
        found.append(await kids(there, "new", "ES256"))

    async with trio.open_nursery() as nursery:
        for _ in range(1 + WAITERS):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(KeysUnavailable):
            await kids(there, "new", "ES256")
        assert trio.current_time() == began
        assert await kids(there, "old") == ["old"]
    assert found == [["new"]] * (1 + WAITERS)


async def test_a_fetch_that_is_cancelled_leaves_it_whole(autojump_clock: MockClock) -> None:
    """Those who wait are told, and the next one fetches."""
    site = Site(jwks(OLD), takes_s=60)
    there = source(site)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            nursery.start_soon(_unavailable, there)
            await kids(there, "old")
    site.takes_s = 0
    await trio.sleep(15)
    assert await kids(there, "old") == ["old"]


async def _unavailable(there: KeySource) -> None:
    await trio.sleep(0.5)
    with pytest.raises(KeysUnavailable):
        await kids(there, "old")


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b"\xff", b'{"keys":[1,null]}'])
async def test_a_set_that_is_none_keeps_the_one_before(document: bytes, autojump_clock: MockClock) -> None:
    """A broken page of the signer ends nobody's login at once."""
    site = Site(jwks(OLD))
    there = source(site)
    await kids(there, "old")
    site.document = document
    await trio.sleep(300)
    assert await kids(there, "old") == ["old"]


# -- what is in it ----------------------------------------------------------------------------------------------------


def test_what_is_not_for_us_is_left_out() -> None:
    """Secrets, private keys, keys to encrypt with, weak keys, other curves, other kinds; the good one among them is found."""
    weak = Signer.rsa("weak", bits=1024).jwk
    rows: list[Any] = [
        {"kty": "oct", "kid": "o", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {**OLD.jwk, "d": "AQAB"},
        {**OLD.jwk, "use": "enc"},
        {**OLD.jwk, "key_ops": ["encrypt"]},
        {**OLD.jwk, "alg": "RSA-OAEP"},
        {**OLD.jwk, "kid": 7},
        {**OLD.jwk, "n": "!"},
        {**NEW.jwk, "crv": "secp256k1"},
        {**NEW.jwk, "y": NEW.jwk["x"]},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        weak,
        "nonsense",
        {**NEW.jwk, "alg": "ES256", "x5c": ["..."], "custom": 1},
    ]
    assert [key.kid for key in keys_of_set(json.dumps({"keys": rows}).encode(), 64)] == ["new"]


def test_a_large_set_is_cut() -> None:
    """As many keys as are looked at, no more."""
    rows = [{**OLD.jwk, "kid": str(number)} for number in range(100)]
    assert len(keys_of_set(json.dumps({"keys": rows}).encode(), 64)) == 64


async def test_a_token_without_a_key_id(autojump_clock: MockClock) -> None:
    """Good where one key of its algorithm is published, refused where it would have to be tried on several."""
    one = KeySource(JwksSettings(url=URL), Site(jwks(OLD, NEW)).fetch)
    assert await kids(one, None) == ["old"]
    two = KeySource(JwksSettings(url=URL), Site(jwks(OLD, Signer.rsa("r2"))).fetch)
    assert await kids(two, None) == []


async def test_an_algorithm_is_bound_to_the_key(autojump_clock: MockClock) -> None:
    """A key that says RS256 verifies nothing else, and no key of the set verifies HS256."""
    row = {**OLD.jwk, "alg": "RS256"}
    there = source(Site(json.dumps({"keys": [row]}).encode()))
    assert await kids(there, "old", "RS256") == ["old"]
    for name in ("PS256", "RS512", "HS256", "ES256", "none"):
        assert await kids(there, "old", name) == []


# -- tokens -----------------------------------------------------------------------------------------------------------


def authority(site: Site, **settings: Any) -> JwtAuthority:
    return JwtAuthority(JwtSettings(jwks_url=URL, **settings), lambda: NOW_S * 1000, site.fetch)


def claims() -> dict[str, Any]:
    return {"sub": "42", "exp": NOW_S + 60}


async def test_tokens_of_a_published_key(autojump_clock: MockClock) -> None:
    """Good while the key is published; another key under the same id is not; a secret besides does not fetch."""
    site = Site(jwks(OLD))
    there = authority(site, hmac_secrets=(SECRET,))
    assert await there.resolve_jwt(hs256(claims(), kid="old")) is not None
    assert site.fetched == 0
    assert await there.resolve_jwt(OLD.sign(claims())) is not None
    with pytest.raises(InvalidToken):
        await there.resolve_jwt(Signer.rsa("old").sign(claims()))
    site.document = jwks(NEW)
    await trio.sleep(300)
    with pytest.raises(InvalidToken):
        await there.resolve_jwt(OLD.sign(claims()))
    assert await there.resolve_jwt(NEW.sign(claims())) is not None


async def test_new_settings_keep_the_set_of_the_same_url(autojump_clock: MockClock) -> None:
    """Another reload of the configuration is no reason to fetch; another URL is, and none ends it."""
    site = Site(jwks(OLD))
    there = authority(site)
    await there.resolve_jwt(OLD.sign(claims()))
    there.replace(JwtSettings(jwks_url=URL, leeway_s=1.0))
    await there.resolve_jwt(OLD.sign(claims()))
    assert site.fetched == 1
    there.replace(JwtSettings(hmac_secrets=(SECRET,)))
    with pytest.raises(InvalidToken):
        await there.resolve_jwt(OLD.sign(claims()))
