"""security.txt: its fields, and what is kept out of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from trio.testing import MockClock

from hubbub.transport.live import LiveSettings
from hubbub.transport.security_txt import SecurityTxtSettings, security_txt

from .house import head_of, house

PATH = "/.well-known/security.txt"
EXPIRES = datetime(2027, 6, 30, 2, tzinfo=timezone(timedelta(hours=2)))
CONTACT = SecurityTxtSettings(contact=("mailto:a@example.org",), expires=EXPIRES)


def test_every_field() -> None:
    """In the order of RFC 9116; a time in UTC, languages in one line."""
    settings = attrs.evolve(
        CONTACT,
        encryption=("dns:key.example.org",),
        acknowledgments=("https://example.org/thanks",),
        policy=("https://example.org/policy",),
        hiring=("https://example.org/jobs",),
        canonical=("https://example.org" + PATH,),
        preferred_languages=("en", "de"),
    )
    assert security_txt(settings) == (
        "Contact: mailto:a@example.org\n"
        "Expires: 2027-06-30T00:00:00Z\n"
        "Encryption: dns:key.example.org\n"
        "Acknowledgments: https://example.org/thanks\n"
        "Policy: https://example.org/policy\n"
        "Hiring: https://example.org/jobs\n"
        "Canonical: https://example.org/.well-known/security.txt\n"
        "Preferred-Languages: en, de\n"
    )


@pytest.mark.parametrize(
    "uri", ["", "http://example.org", "javascript:x", "mailto:a\r\nPolicy: x", "https://" + "x" * 500]
)
def test_a_value_is_one_uri(uri: str) -> None:
    """No second line, no field that the operator did not write, no plain HTTP."""
    with pytest.raises(ValueError, match="must be"):
        SecurityTxtSettings(contact=(uri,), expires=datetime.now(UTC))


def test_a_contact_needs_an_end() -> None:
    """RFC 9116 asks for it."""
    with pytest.raises(ValueError, match="expires"):
        SecurityTxtSettings(contact=("mailto:a@example.org",))


async def test_it_is_served_from_the_snapshot_of_the_request(autojump_clock: MockClock) -> None:
    """404 without a contact; at once when there is one."""
    async with house() as there:
        assert (await there.dispatch(head_of("GET", PATH))).status == 404
        there.api.live.replace(LiveSettings(security_txt=CONTACT))
        answer = await there.dispatch(head_of("GET", PATH))
        assert (answer.status, dict(answer.headers)["content-type"]) == (200, "text/plain; charset=utf-8")
        assert answer.body == b"Contact: mailto:a@example.org\nExpires: 2027-06-30T00:00:00Z\n"
