"""The certificate: made, renewed, replaced; a TLS client believes it."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from box import certificates
from vpnengine.contract.problems import Refused

NAMES = ("192.168.1.1", "culvert.internal", "fd00:1::1")


def _handshake(directory: Path, trusted: Path, name: str) -> None:
    """A real TLS handshake over loopback, which verifies the chain and the name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificates.paths(directory))
    client = ssl.create_default_context(cafile=str(trusted))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    server.wrap_socket(connection, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=10) as connection:
                client.wrap_socket(connection, server_hostname=name).close()
        finally:
            thread.join(10)


def test_a_client_that_trusts_the_authority_believes_it(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, NAMES)
    assert made.is_new and made.names == tuple(sorted(NAMES)) and len(made.fingerprint) == 95
    for name in NAMES:
        _handshake(tmp_path, tmp_path / "ca.pem", name)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(tmp_path, tmp_path / "ca.pem", "192.168.1.2")
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600
    again = certificates.ensure(tmp_path, NAMES)
    assert not again.is_new and again.fingerprint == made.fingerprint


def test_renewed_when_it_ends_or_the_address_changes(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, NAMES)
    moved = certificates.ensure(tmp_path, ["10.0.0.1"])
    assert moved.is_new and moved.names == ("10.0.0.1",)
    later = datetime.now(UTC) + timedelta(days=certificates.SERVER_DAYS - 20)
    renewed = certificates.ensure(tmp_path, ["10.0.0.1"], later)
    assert renewed.is_new and renewed.not_after > later + timedelta(days=300)
    assert made.ca_fingerprint == moved.ca_fingerprint == renewed.ca_fingerprint
    (tmp_path / "server.pem").write_text("half of it")
    assert certificates.ensure(tmp_path, ["10.0.0.1"], later).is_new


def test_a_clock_in_1970_makes_no_certificate_that_has_ended(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, NAMES, datetime(1970, 1, 1, tzinfo=UTC))
    assert made.not_after > datetime(2026, 1, 1, tzinfo=UTC)
    today = certificates.ensure(tmp_path, NAMES)
    assert today.ca_fingerprint == made.ca_fingerprint
    _handshake(tmp_path, tmp_path / "ca.pem", "192.168.1.1")


def test_ones_own(tmp_path: Path) -> None:
    certificates.ensure(tmp_path / "other", ["culvert.example"])
    certificates.ensure(tmp_path / "box", NAMES)
    chain, key = ((tmp_path / "other" / name).read_text() for name in ("server.pem", "server.key"))
    wrong = (tmp_path / "box/server.key").read_text()
    for field, rule, arguments in (
        ("chain", "pem", ("nothing", key)),
        ("key", "pem", (chain, "nothing")),
        ("key", "match", (chain, wrong)),
        ("chain", "order", (chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
                            + (tmp_path / "box/ca.pem").read_text(), key)),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            certificates.use_own(tmp_path / "box", *arguments)
        assert [(p.field, p.rule) for p in refused.value.problems] == [(field, rule)]
        assert "PRIVATE KEY-----\nM" not in str(refused.value)
    with pytest.raises(Refused, match="ended on"):
        certificates.use_own(tmp_path / "box", chain, key, datetime.now(UTC) + timedelta(days=500))
    certificates.use_own(tmp_path / "box", chain, key)
    assert certificates.ensure(tmp_path / "box", NAMES).is_own
    _handshake(tmp_path / "box", tmp_path / "other/ca.pem", "culvert.example")
    certificates.forget_own(tmp_path / "box")
    assert not certificates.ensure(tmp_path / "box", NAMES).is_own
