"""What is asked of a provider: how often, with what, and what its answers are taken for."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.transport.fetch import Answer
from hubbub.transport.oidc import LoginRefused, Reason
from hubbub.transport.oidc_claims import Tokens
from hubbub.transport.oidc_provider import KEEP_S, REFRESH_S, RETRY_S, Provider, Providers
from hubbub.transport.oidc_settings import OidcSettings, ProviderSettings

from .oidc_world import CLIENT, ISSUER, METADATA, SIGNER, FakeProvider, claims, discovery, flow
from .tokens import Signer, encoded, hs256, jwks, unsigned

GRANTED = Answer(200, b'{"id_token":"i","access_token":"a"}')


def settings(**other: Any) -> ProviderSettings:
    return ProviderSettings(issuer=ISSUER, client_id=CLIENT, **other)


async def refused(work: Any) -> Reason:
    with pytest.raises(LoginRefused) as found:
        await work
    return found.value.reason


# -- metadata ---------------------------------------------------------------------------------------------------------


async def test_metadata_is_fetched_once_for_many(autojump_clock: MockClock) -> None:
    """Those who come while it is fetched wait for the one that is."""
    fake = FakeProvider(takes_s=1.0)
    provider = Provider(ISSUER, fake.ask)
    found = []

    async def one() -> None:
        found.append(await provider.metadata(5.0))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)
    assert found == [METADATA] * 10
    assert fake.asked_for("openid-configuration") == 1
    assert fake.asked[0][0] == ISSUER + "/.well-known/openid-configuration"


async def test_a_provider_that_is_away_is_not_asked_by_everybody(autojump_clock: MockClock) -> None:
    """One question in a few seconds; then it may be back."""
    fake = FakeProvider(away=True)
    provider = Provider(ISSUER, fake.ask)
    for _ in range(10):
        assert await refused(provider.metadata(5.0)) is Reason.PROVIDER_UNAVAILABLE
    assert fake.asked_for("openid-configuration") == 1
    fake.away = False
    await trio.sleep(RETRY_S)
    assert await provider.metadata(5.0) == METADATA


async def test_metadata_outlives_an_outage_for_a_day(autojump_clock: MockClock) -> None:
    """Known endpoints are used while the document cannot be had, and taken anew when it can."""
    fake = FakeProvider()
    provider = Provider(ISSUER, fake.ask)
    await provider.metadata(5.0)
    fake.away = True
    await trio.sleep(REFRESH_S)
    assert await provider.metadata(5.0) == METADATA
    fake.away, fake.metadata = False, discovery(token_endpoint=ISSUER + "/other")
    await trio.sleep(RETRY_S)
    assert (await provider.metadata(5.0)).token_endpoint == ISSUER + "/other"
    fake.away = True
    await trio.sleep(KEEP_S)
    assert await refused(provider.metadata(5.0)) is Reason.PROVIDER_UNAVAILABLE


async def test_metadata_of_another_issuer(autojump_clock: MockClock) -> None:
    """Is none; nor is what a status of no success carries."""
    fake = FakeProvider(metadata=discovery("https://evil.example"))
    assert await refused(Provider(ISSUER, fake.ask).metadata(5.0)) is Reason.PROVIDER_UNAVAILABLE


def test_providers_that_the_settings_forget_are_forgotten() -> None:
    """And known ones stay what they are."""
    there = Providers(FakeProvider().ask)
    one = OidcSettings(public_url="https://chat.example", providers={"a": settings()})
    known = there.get(ISSUER, one)
    assert there.get(ISSUER, one) is known
    other = attrs.evolve(one, providers={"b": attrs.evolve(settings(), issuer="https://other.example")})
    there.get("https://other.example", other)
    assert there.get(ISSUER, one) is not known


# -- a code -----------------------------------------------------------------------------------------------------------


async def redeemed(
    answer: Answer, given: ProviderSettings | None = None, **metadata: Any
) -> tuple[Tokens, FakeProvider]:
    fake = FakeProvider(token=lambda form: answer)
    begun = flow(metadata=attrs.evolve(METADATA, **metadata))
    return await Provider(ISSUER, fake.ask).redeem("c", begun, given or settings(), 5.0), fake


async def test_a_code_goes_with_the_flows_verifier() -> None:
    """A client without a secret says who it is in the form."""
    tokens, fake = await redeemed(GRANTED)
    assert tokens == Tokens(id_token="i", access_token="a")
    [(url, headers, form)] = fake.asked
    assert (url, headers) == (ISSUER + "/token", {})
    assert form == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": flow().redirect_uri,
        "code_verifier": flow().verifier,
        "client_id": CLIENT,
    }


async def test_a_secret_in_the_header() -> None:
    """Encoded as in a form first: a colon or a blank in it would be read as something else."""
    _, fake = await redeemed(GRANTED, settings(client_secret="a:b c"))
    [(_, headers, form)] = fake.asked
    assert b64decode(headers["authorization"].removeprefix("Basic ")) == b"hubbub:a%3Ab+c"
    assert "client_secret" not in form


async def test_a_secret_in_the_form() -> None:
    """Where the provider takes it nowhere else."""
    _, fake = await redeemed(GRANTED, settings(client_secret="s"), secret_in_form=True)
    [(_, headers, form)] = fake.asked
    assert (headers, form["client_secret"], form["client_id"]) == ({}, "s", CLIENT)


async def test_a_secret_of_a_file(tmp_path: Path) -> None:
    """Read at each login, so that it can be replaced; without it nothing is asked."""
    file = tmp_path / "secret"
    file.write_text("s1\n")
    given = settings(client_secret_file=file)
    _, fake = await redeemed(GRANTED, given, secret_in_form=True)
    assert fake.asked[0][2]["client_secret"] == "s1"
    for content in (b"", b"\xff", b"x" * 5000):
        file.write_bytes(content)
        assert await refused(redeemed(GRANTED, given)) is Reason.PROVIDER_ERROR
    file.unlink()
    assert await refused(redeemed(GRANTED, given)) is Reason.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, b'{"error":"invalid_grant"}'), Reason.INVALID_ANSWER),
        (Answer(401, b'{"error":"invalid_client"}'), Reason.PROVIDER_ERROR),
        (Answer(400, b"<html>"), Reason.PROVIDER_ERROR),
        (Answer(302, b""), Reason.PROVIDER_ERROR),
        (Answer(503, b""), Reason.PROVIDER_UNAVAILABLE),
        (Answer(200, b"<html>"), Reason.INVALID_ANSWER),
        (Answer(200, b"[]"), Reason.INVALID_ANSWER),
        (Answer(200, b'{"access_token":"a"}'), Reason.INVALID_ANSWER),
        (Answer(200, b'{"id_token":["i"]}'), Reason.INVALID_ANSWER),
    ],
)
async def test_a_code_that_gives_nothing(answer: Answer, reason: Reason) -> None:
    """Somebody's guess, our own fault, an outage, and nonsense are told apart."""
    assert await refused(redeemed(answer)) is reason


@pytest.mark.parametrize("token", ["a\r\nx-evil: 1", "é", "", "x" * 20_000, 7, None])
async def test_an_access_token_that_is_none(token: Any) -> None:
    """What could not stand in a header is not sent in one."""
    tokens, _ = await redeemed(Answer(200, json.dumps({"id_token": "i", "access_token": token}).encode()))
    assert tokens.access_token is None


# -- ID tokens and more claims ----------------------------------------------------------------------------------------


async def verified(token: str, fake: FakeProvider | None = None) -> Any:
    return await Provider(ISSUER, (fake or FakeProvider()).ask).verified(token, METADATA, 5.0)


async def test_an_id_token() -> None:
    """Signed with one of the provider's keys."""
    assert await verified(SIGNER.sign(claims())) == (claims(), "ES256")


@pytest.mark.parametrize(
    "token",
    [
        unsigned({"alg": "none"}, claims()) + ".",
        unsigned({"alg": "none"}, claims()) + ".AA",
        hs256(claims(), "the client's own secret, 32 bytes or more"),
        hs256(claims(), SIGNER.pem),
        Signer.ec("k1").sign(claims()),
        Signer.ec("k2").sign(claims()),
        SIGNER.sign(claims()) + "A",
        SIGNER.sign(claims())[:-86] + encoded(bytes(64)),
        SIGNER.sign(claims(name="x" * 8192)),
        "",
    ],
)
async def test_id_tokens_that_nobody_signed(token: str) -> None:
    """No algorithm, one of secrets, another's key under the same id, a changed signature; too long."""
    assert await refused(verified(token)) is Reason.INVALID_ANSWER


async def test_keys_that_cannot_be_had(autojump_clock: MockClock) -> None:
    """Are no keys."""
    assert await refused(verified(SIGNER.sign(claims()), FakeProvider(away=True))) is Reason.PROVIDER_UNAVAILABLE


async def test_keys_that_rotate(autojump_clock: MockClock) -> None:
    """A key that is not known is looked for; those of another address are not kept."""
    fake, fresh = FakeProvider(), Signer.rsa("k2")
    provider = Provider(ISSUER, fake.ask)
    await provider.verified(SIGNER.sign(claims()), METADATA, 5.0)
    fake.keys = jwks(fresh)
    await trio.sleep(15)
    assert (await provider.verified(fresh.sign(claims()), METADATA, 5.0))[1] == "RS256"
    moved = attrs.evolve(METADATA, jwks_uri=ISSUER + "/v2/jwks")
    await provider.verified(fresh.sign(claims()), moved, 5.0)
    assert fake.asked[-1][0] == ISSUER + "/v2/jwks"


async def test_more_claims() -> None:
    """With the access token, where there is a place to ask."""
    fake = FakeProvider(userinfo=Answer(200, b'{"sub":"u1"}'))
    provider = Provider(ISSUER, fake.ask)
    assert await provider.userinfo("a", METADATA, 5.0) == {}
    there = attrs.evolve(METADATA, userinfo_endpoint=ISSUER + "/me")
    assert await provider.userinfo("a", there, 5.0) == {"sub": "u1"}
    assert fake.asked == [(ISSUER + "/me", {"authorization": "Bearer a"}, {})]
    fake.userinfo = Answer(200, b"nonsense")
    assert await refused(provider.userinfo("a", there, 5.0)) is Reason.INVALID_ANSWER
    fake.userinfo = Answer(401, b"")
    assert await refused(provider.userinfo("a", there, 5.0)) is Reason.PROVIDER_ERROR
    await wait_all_tasks_blocked()


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither code, secret, verifier nor what the provider wrote."""
    answer = Answer(401, b'{"error":"invalid_client","error_description":"secret s3cret of code c0de"}')
    fake = FakeProvider(token=lambda form: answer)
    with caplog.at_level("DEBUG"):
        await refused(Provider(ISSUER, fake.ask).redeem("c0de", flow(), settings(client_secret="s3cret"), 5.0))
    assert "invalid_client" in caplog.text
    assert not any(text in caplog.text for text in ("c0de", "s3cret", flow().verifier))
