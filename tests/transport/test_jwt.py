"""Signed tokens: whom they stand for, and every way in which one can be wrong."""

from __future__ import annotations

import hmac
import json
import string
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hubbub.engine import Engine
from hubbub.engine.core.authors import Author
from hubbub.engine.core.errors import EngineError, Forbidden, TokenExpired
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.principals import Principal, Scope, ServerRole
from hubbub.storage import MemoryStore
from hubbub.transport.auth import Credential
from hubbub.transport.jwt import JwtAuthority, JwtCredential, JwtPrincipal, first_of
from hubbub.transport.jwt_claims import InvalidToken, Rules, check, read_header, verify
from hubbub.transport.jwt_keys import hmac_key, public_key
from hubbub.transport.jwt_settings import JwtSettings, load_keys
from hubbub.transport.live import Live, LiveSettings
from hubbub.transport.serve import ServeSettings, serve

from .tokens import SECRET, Signer, encoded, hs256, sealed, unsigned

NOW_S = 1_800_000_000
CHANNEL = ConversationId("room:1")
RSA, EC = Signer.rsa(), Signer.ec()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token; None leaves one out."""
    found = {"sub": "42", "iat": NOW_S - 1, "exp": NOW_S + 600, **changes}
    return {name: value for name, value in found.items() if value is not None}


def authority(now_s: float = NOW_S, **settings: Any) -> JwtAuthority:
    return JwtAuthority(JwtSettings(**{"hmac_secrets": (SECRET,), **settings}), lambda: round(now_s * 1000))


async def credential(token: str, now_s: float = NOW_S, **settings: Any) -> JwtCredential:
    found = await authority(now_s, **settings).resolve_jwt(token)
    assert found is not None
    return found


async def refused(token: str, now_s: float = NOW_S, **settings: Any) -> str:
    with pytest.raises(InvalidToken) as caught:
        await credential(token, now_s, **settings)
    return str(caught.value)


# -- good ones --------------------------------------------------------------------------------------------------------


async def test_a_token_stands_for_its_subject() -> None:
    """A member with a namespaced id, who may read, write and manage, and has no account here."""
    found = await credential(hs256(claims()))
    principal = found.principal
    assert isinstance(principal, JwtPrincipal)
    assert (principal.id, principal.author.name, principal.author.kind) == ("jwt:42", "42", "user")
    assert principal.role is ServerRole.MEMBER
    assert principal.scopes == {Scope.READ, Scope.WRITE, Scope.MANAGE}
    assert (principal.grants, principal.info) == (frozenset(), None)
    assert (found.ends_at_ms, found.expires_at_ms) == ((NOW_S + 600) * 1000, (NOW_S + 610) * 1000)


@pytest.mark.parametrize("signer", [RSA, EC], ids=["rsa", "ec"])
async def test_public_keys(signer: Signer, tmp_path: Path) -> None:
    """RSA and EC keys in PEM, from the settings or from a file; the token's key id does not matter then."""
    path = tmp_path / "key.pem"
    path.write_text(signer.pem)
    token = signer.sign(claims(), kid="whatever")
    for settings in ({"public_keys": (signer.pem,)}, {"public_key_files": (path,)}):
        assert (await credential(token, hmac_secrets=(), **settings)).principal.id == "jwt:42"


async def test_secrets_replace_one_another(tmp_path: Path) -> None:
    """While two are named both are good; when the old one is gone, so are its tokens."""
    old, new = "o" * 32, "n" * 32
    path = tmp_path / "secret"
    path.write_text(new + "\n")
    there = authority(hmac_secrets=(old,), hmac_secret_files=(path,))
    for secret in (old, new):
        assert await there.resolve_jwt(hs256(claims(), secret)) is not None
    there.replace(JwtSettings(hmac_secrets=(new,)))
    assert await there.resolve_jwt(hs256(claims(), new)) is not None
    with pytest.raises(InvalidToken):
        await there.resolve_jwt(hs256(claims(), old))


async def test_channels_and_subs_are_granted_and_followed() -> None:
    """Both claims name where the server subscribes the connection; they open these conversations for reading."""
    token = hs256(claims(channels=["a", "b"], subs={"b": {"data": {"x": 1}}, "c": {}}))
    found = await credential(token)
    assert found.principal.grants == {"a", "b", "c"}
    assert found.channels == {"a": None, "b": b'{"x":1}', "c": None}


async def test_name_and_role_only_where_the_settings_say_so() -> None:
    """A claim that nobody asked for changes nothing."""
    token = hs256(claims(name="Ada Lovelace", role="guest"))
    plain = await credential(token)
    assert (plain.principal.author.name, plain.principal.role) == ("42", ServerRole.MEMBER)
    told = await credential(token, name_claim="name", role_claim="role")
    assert (told.principal.author.name, told.principal.role) == ("Ada Lovelace", ServerRole.GUEST)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\u202eb", 7, None])
async def test_an_odd_name_is_not_shown(name: Any) -> None:
    """It keeps nobody out: the subject is shown instead."""
    found = await credential(hs256(claims(name=name)), name_claim="name")
    assert found.principal.author.name == "42"


async def test_admin_needs_two_settings() -> None:
    """Naming the claim is not enough to let a token make an admin."""
    token = hs256(claims(role="admin"))
    assert "role" in await refused(token, role_claim="role")
    found = (await credential(token, role_claim="role", allow_admin=True)).principal
    assert found.role is ServerRole.ADMIN
    assert Scope.ADMIN in found.scopes
    assert "role" in await refused(hs256(claims(role="root")), role_claim="role", allow_admin=True)


@pytest.mark.parametrize("token", ["", "hbg_abc", "a.b.c", "ey.x", "eyJ" + "x" * 40])
async def test_what_is_no_signed_token_is_left_to_others(token: str) -> None:
    """So that session tokens and keys go on as before."""
    assert await authority().resolve_jwt(token) is None


async def test_without_keys_there_are_no_signed_tokens() -> None:
    """A server that was told of none treats them as unknown tokens."""
    assert await authority(hmac_secrets=()).resolve_jwt(hs256(claims())) is None
    with pytest.raises(Forbidden):
        await authority(hmac_secrets=()).resolve_channel(hs256(claims(channel=CHANNEL)), "jwt:42", CHANNEL)


# -- attacks on the signature -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS1", "hs256", "EdDSA", "dir", 5, None, ["HS256"]])
async def test_alg_none_and_the_like(name: Any) -> None:
    """No key has such an algorithm, signed or not."""
    text = unsigned({"alg": name, "typ": "JWT"}, claims())
    for token in (text + ".", text + ".AA", sealed(text)):
        with pytest.raises(InvalidToken):
            await credential(token)


@pytest.mark.parametrize("signer", [RSA, EC], ids=["rsa", "ec"])
@pytest.mark.parametrize("stripped", [True, False])
async def test_key_confusion(signer: Signer, stripped: bool) -> None:
    """HS256 with the public key as its secret, in each form that an attacker has it."""
    pem = signer.pem.strip() if stripped else signer.pem
    for secret in (pem.encode(), json.dumps(signer.jwk).encode()):
        await refused(hs256(claims(), secret), hmac_secrets=(), public_keys=(signer.pem,))
        await refused(hs256(claims(), secret), public_keys=(signer.pem,))


@pytest.mark.parametrize("name", ["HS384", "HS512"])
async def test_a_secret_that_is_too_short_for_the_algorithm(name: str) -> None:
    """Refused though the signature is right (RFC 7518, 3.2)."""
    short, long = "s" * 47, "l" * 64
    for secret, good in ((short, False), (long, True)):
        text = unsigned({"alg": name}, claims())
        digest = hmac.digest(secret.encode(), text.encode(), f"sha{name[2:]}")
        token = f"{text}.{encoded(digest)}"
        if good:
            await credential(token, hmac_secrets=(secret,))
        else:
            assert "not signed" in await refused(token, hmac_secrets=(secret,))


async def test_a_key_of_the_tokens_own() -> None:
    """`jwk`, `jku` and `x5u` in the header are never looked at."""
    thief = Signer.rsa("thief")
    token = thief.sign(claims(), jwk=thief.jwk, jku="https://thief.example/jwks")
    await refused(token, hmac_secrets=(), public_keys=(RSA.pem,))


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}])
async def test_extensions(header: dict[str, Any]) -> None:
    """What must be understood to read a token is not understood."""
    assert "extension" in await refused(hs256(claims(), **header))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", 1, None])
async def test_tokens_of_another_type(kind: Any) -> None:
    """A token that the same signer made for something else (RFC 8725, 3.11)."""
    assert "type" in await refused(hs256(claims(), typ=kind))


@pytest.mark.parametrize("where", [0, 1])
async def test_duplicate_names(where: int) -> None:
    """Refused in the header and in the claims: two readers could believe two things."""
    header = b'{"alg":"HS256","alg":"none"}' if where == 0 else b'{"alg":"HS256"}'
    body = json.dumps(claims()).encode()
    if where == 1:
        body = body[:-1] + b',"sub":"admin"}'
    assert "cannot be read" in await refused(sealed(unsigned(header, body)))


async def test_duplicate_names_further_down() -> None:
    """Also inside a claim."""
    body = json.dumps(claims()).encode()[:-1] + b',"info":{"a":1,"a":2}}'
    await refused(hs256(body))


async def test_a_huge_token() -> None:
    """Refused by its length, before any of it is read."""
    assert "4096 characters" in await refused(hs256(claims(info="x" * 4000)))


async def test_a_changed_token() -> None:
    """Other claims under the same signature."""
    head, _, signature = hs256(claims()).split(".")
    other = encoded(json.dumps(claims(sub="1")).encode())
    assert "not signed" in await refused(f"{head}.{other}.{signature}")


@given(st.text(alphabet=string.ascii_letters + string.digits + "-_.=+/ \x00é", min_size=1, max_size=200))
def test_anything_at_all(text: str) -> None:
    """Whatever is sent is refused with one error, and none of it shows in the sentence."""
    for token in (text, "ey" + text, hs256(claims()) + text, f"{encoded(b'{}')}.{text}.{text}"):
        with pytest.raises(InvalidToken) as caught:
            verify(token, read_header(token), [hmac_key(SECRET), public_key(RSA.pem)])
        assert len(text) < 8 or text not in str(caught.value)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_bytes_under_a_good_signature(header: bytes, body: bytes) -> None:
    """A signer with a bug is answered as any other."""
    for token in (sealed(unsigned(header, body)), hs256(body)):
        try:
            verify(token, read_header(token), [hmac_key(SECRET)])
        except InvalidToken:
            continue


# -- attacks on the claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "wanted", "good"),
    [
        ("chat", ("chat",), True),
        (["mail", "chat"], ("chat", "talk"), True),
        ("mail", ("chat",), False),
        (None, ("chat",), False),
        ([], ("chat",), False),
        ("chat", (), False),
        (None, (), True),
        ([], (), True),
        ({"chat": 1}, ("chat",), False),
        (["chat", 1], ("chat",), False),
    ],
)
async def test_audience(audience: Any, wanted: tuple[str, ...], good: bool) -> None:
    """One of ours must be named; a token for somebody else is refused also where we have no name."""
    token = hs256(claims(aud=audience))
    if good:
        await credential(token, audiences=wanted)
    else:
        assert "aud" in await refused(token, audiences=wanted)


@pytest.mark.parametrize(
    "issuer", [None, "", "https://other.example", "https://login.example/", ["https://login.example"]]
)
async def test_wrong_issuer(issuer: Any) -> None:
    """Compared exactly."""
    assert "issuer" in await refused(hs256(claims(iss=issuer)), issuer="https://login.example")
    await credential(hs256(claims(iss="https://login.example")), issuer="https://login.example")


@pytest.mark.parametrize(("late_s", "good"), [(599, True), (600, True), (609, True), (610, False), (4000, False)])
async def test_expiry_and_skew(late_s: int, good: bool) -> None:
    """A token is good until `exp` and the leeway; replayed later it is told that it has expired."""
    token = hs256(claims())
    if good:
        await credential(token, NOW_S + late_s)
    else:
        with pytest.raises(TokenExpired):
            await credential(token, NOW_S + late_s)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("early_s", "good"), [(0, True), (10, True), (11, False), (500, False)])
async def test_not_yet_good(claim: str, early_s: int, good: bool) -> None:
    """Neither before `nbf` nor before it was made, but for the leeway."""
    token = hs256(claims(**{claim: NOW_S + early_s}))
    if good:
        await credential(token)
    else:
        assert "not good yet" in await refused(token)


@pytest.mark.parametrize("value", [None, "soon", True, -1, 1e300, float("nan"), float("inf"), [NOW_S], {}])
async def test_odd_times(value: Any) -> None:
    """A token without an end, or with one that is no time, is refused."""
    await refused(hs256(claims(exp=value)))


async def test_a_token_that_is_good_for_too_long() -> None:
    """By its own dates, or counted from now where it does not say when it was made."""
    for made in (NOW_S - 1, None):
        token = hs256(claims(iat=made, exp=NOW_S + 4000))
        assert "longer" in await refused(token, max_lifetime_s=3600.0)
        await credential(token, max_lifetime_s=4000.0)


@pytest.mark.parametrize(
    "subject",
    [None, "", "x" * 129, "a\0b", "\ud800", "a b", " a", "a\u202eb", "a\nb", "\u200b", 42, True, ["42"]],
)
async def test_subjects_that_cannot_be(subject: Any) -> None:
    """NUL, surrogates, what does not show, what is no text."""
    assert "'sub'" in await refused(hs256(claims(sub=subject)))


@given(st.text(min_size=1, max_size=128))
def test_no_subject_is_a_local_id(subject: str) -> None:
    """Whatever a token says, its user's id begins with the namespace, and no id of the server's own holds a colon."""

    async def resolve() -> str:
        return (await credential(hs256(claims(sub=subject)))).principal.id

    try:
        found = trio.run(resolve)
    except InvalidToken:
        return
    assert found == f"jwt:{subject}"


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": "room"},
        {"channels": ["a b"]},
        {"channels": [7]},
        {"channels": [f"c{n}" for n in range(65)]},
        {"subs": ["room"]},
        {"subs": {"a": []}},
        {"subs": {"../x": {}}},
        {"subs": {"a": {"data": "x" * 1100}}},
        {"info": "x" * 1100},
        {"info": {"a": "\ud800"}},
    ],
    ids=lambda changes: json.dumps(changes)[:30],
)
async def test_claims_that_cannot_be(changes: dict[str, Any]) -> None:
    """Bounded and typed, each refused as a whole."""
    await refused(hs256(claims(**changes)))


# -- subscription tokens ----------------------------------------------------------------------------------------------


async def test_a_subscription_token_opens_its_channel() -> None:
    """For its user, until its end."""
    token = hs256(claims(channel=CHANNEL, info={"seat": 3}))
    found = await authority().resolve_channel(token, "jwt:42", CHANNEL)
    assert (found.channel, found.ends_at_ms, found.info) == (CHANNEL, (NOW_S + 600) * 1000, b'{"seat":3}')


@pytest.mark.parametrize(
    ("changes", "user", "channel"),
    [
        ({}, "jwt:43", "room:1"),
        ({}, "42", "room:1"),
        ({}, "guest-42", "room:1"),
        ({}, "jwt:42", "room:2"),
        ({"channel": None}, "jwt:42", "room:1"),
        ({"channel": ["room:1"]}, "jwt:42", "room:1"),
        ({"sub": None}, "jwt:42", "room:1"),
        ({"aud": "mail"}, "jwt:42", "room:1"),
    ],
)
async def test_a_subscription_token_of_another(changes: dict[str, Any], user: str, channel: str) -> None:
    """Another user, another channel, or no subscription token at all."""
    token = hs256(claims(**{"channel": CHANNEL, **changes}))
    with pytest.raises(Forbidden):
        await authority().resolve_channel(token, user, ConversationId(channel))


async def test_a_subscription_token_after_its_end() -> None:
    """Says so, for the stock SDKs fetch another then."""
    token = hs256(claims(channel=CHANNEL))
    with pytest.raises(TokenExpired):
        await authority(NOW_S + 1000).resolve_channel(token, "jwt:42", CHANNEL)


async def test_a_subscription_token_authenticates_nobody() -> None:
    """Else one that was given away for a channel would be a login."""
    assert "subscription" in await refused(hs256(claims(channel=CHANNEL)))


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"hmac_secrets": ("short",)},
        {"hmac_secrets": (RSA.pem,)},
        {"hmac_secrets": tuple(f"{n}" * 32 for n in range(9))},
        {"public_keys": ("nonsense",)},
        {"public_keys": (RSA.private_pem,)},
        {"public_keys": (SECRET,)},
        {"public_keys": (Signer.rsa(bits=1024).pem,)},
        {"jwks_url": "http://login.example/jwks"},
        {"jwks_url": "ftp://login.example/jwks"},
        {"jwks_url": "https://me:pw@login.example/jwks"},
        {"algorithms": ("none",)},
        {"user_namespace": ""},
        {"user_namespace": "guest"},
        {"user_namespace": "a:b"},
        {"leeway_s": -1.0},
        {"max_lifetime_s": 0.0},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_that_are_refused(settings: dict[str, Any]) -> None:
    """Weak keys, private keys, plain http, and namespaces of the server's own; the message shows no secret."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the config names the field
        JwtSettings(**settings)
    assert "short" not in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_settings_do_not_show_secrets() -> None:
    """Not in their repr, and not in that of a key."""
    settings = JwtSettings(hmac_secrets=(SECRET,))
    assert SECRET not in repr(settings)
    assert SECRET not in repr(load_keys(settings))


async def test_a_bad_file_leaves_the_keys_before(tmp_path: Path) -> None:
    """Missing, empty, too large or no text: refused by name."""
    there = authority()
    for number, data in enumerate([None, b"", b"\xff\xfe" * 40, b"x" * 20_000]):
        path = tmp_path / str(number)
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ValueError, match=str(path)):
            there.replace(JwtSettings(hmac_secret_files=(path,)))
    assert await there.resolve_jwt(hs256(claims())) is not None


async def test_only_the_named_algorithms() -> None:
    """Where they are named, others are refused though a key would fit."""
    await refused(hs256(claims()), algorithms=("RS256",), public_keys=(RSA.pem,))
    await credential(RSA.sign(claims()), algorithms=("RS256",), public_keys=(RSA.pem,))


def test_rules_have_no_end_by_default() -> None:
    """A token without an issuer is good where none was asked for, and ends where it says."""
    assert check(claims(), Rules(), NOW_S * 1000) == (NOW_S + 600) * 1000


def test_errors_carry_their_codes() -> None:
    """What clients see: an expired token is told apart from one that is not good."""
    codes = {kind: kind("x").code for kind in (TokenExpired, InvalidToken)}
    assert codes == {TokenExpired: "token_expired", InvalidToken: "unauthenticated"}
    assert all(issubclass(kind, EngineError) for kind in codes)


async def test_namespaces_keep_embedders_apart(autojump_clock: MockClock) -> None:
    """The same subject of another embedder is another user."""
    found = await credential(hs256(claims()), user_namespace="shop")
    assert found.principal.id == "shop:42"


async def test_the_embedders_own_resolver_is_asked_first() -> None:
    """What it knows is its own, what it does not know may be a signed token; without one only the latter count."""

    async def own(token: str) -> Credential | None:
        return Credential(Principal(Author("own", "own")), 1) if token == "known" else None

    both = first_of(own, authority().resolve_jwt)
    signed = hs256(claims())
    found = [await both(token) for token in ("known", signed, "unknown")]
    assert [each and each.principal.id for each in found] == ["own", "jwt:42", None]
    alone = await first_of(None, authority().resolve_jwt)(signed)
    assert alone is not None


async def test_new_settings_count_while_the_server_runs() -> None:
    """A secret that comes with a reload is good at once; one that cannot be loaded leaves the secrets before."""
    live = Live(LiveSettings())
    async with Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
        serving = await nursery.start(partial(serve, engine, ServeSettings(port=0), live=live))
        async with httpx.AsyncClient(base_url=serving.url, trust_env=False) as http:

            async def status(secret: str) -> int:
                token = hs256({"sub": "42", "exp": time.time() + 60}, secret)
                return (await http.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})).status_code

            assert await status(SECRET) == 401
            live.replace(LiveSettings(jwt=JwtSettings(hmac_secrets=(SECRET,))))
            assert await status(SECRET) == 200
            live.replace(LiveSettings(jwt=JwtSettings(hmac_secret_files=(Path("/nowhere"),))))
            assert await status(SECRET) == 200
            live.replace(LiveSettings(jwt=JwtSettings(hmac_secrets=("n" * 32,))))
            assert (await status("n" * 32), await status("o" * 32)) == (200, 401)
        nursery.cancel_scope.cancel()
