"""Certificates: what is taken, what is refused and how that is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hubbub.transport.certificates import CertificateError, Certificates, certificates_of, load
from hubbub.transport.tls_settings import TlsSettings

from ..certificates import make_certificate


def settings_of(directory: Path) -> TlsSettings:
    made = make_certificate(directory)
    return TlsSettings(cert=made.cert, key=made.key)


def test_one_file_without_the_other_is_refused(tmp_path):
    """Half a pair is a mistake, none is plain HTTP."""
    for half in ({"cert": tmp_path / "x"}, {"key": tmp_path / "x"}):
        with pytest.raises(ValueError, match="belong together"):
            TlsSettings(**half)
    assert certificates_of(TlsSettings()) is None


def test_what_cannot_be_used_is_named(tmp_path):
    """Missing, no PEM, another's key, an encrypted key: each says what it is, and shows nothing of the key."""
    good, other = settings_of(tmp_path), make_certificate(tmp_path, "other")
    encrypted, nonsense = tmp_path / "encrypted.pem", tmp_path / "nonsense.pem"
    subprocess.run(
        ["openssl", "ec", "-in", str(good.key), "-aes128", "-passout", "pass:secret", "-out", str(encrypted)],
        check=True,
        capture_output=True,
    )
    nonsense.write_text("nothing of the kind")
    for cert, key, said in (
        (tmp_path / "lost", good.key, "lost cannot be read: No such file"),
        (good.cert, tmp_path / "lost", "lost cannot be read: No such file"),
        (good.cert, other.key, "do not belong together"),
        (good.cert, encrypted, "is encrypted"),
        (good.cert, nonsense, "cannot be used"),
        (nonsense, good.key, "cannot be used"),
        (good.cert, tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(CertificateError, match=said) as caught:
            load(TlsSettings(cert=cert, key=key))
        assert "PRIVATE" not in str(caught.value)


def test_a_bad_pair_leaves_the_old_one(tmp_path):
    """Between the two files of a renewal nothing changes; with the second the new pair is in force."""
    settings = settings_of(tmp_path)
    found = Certificates(settings)
    first = found.context
    new = make_certificate(tmp_path, "new")
    shutil.copy(new.cert, settings.cert)
    assert not found.reload()
    assert found.context is first
    assert "do not belong together" in str(found.problem)
    shutil.copy(new.key, settings.key)
    assert found.reload()
    assert found.context is not first
    assert found.problem is None
    assert set(found.files()) == {settings.cert, settings.key}
