"""TLS: who cannot show a certificate that counts is not let in."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydicom.uid import CTImageStorage

from app.archive import Archive
from app.dimse.listener import Listener, listening
from app.settings import Settings
from fhir.errors import Invalid
from tests.build import dicom
from tests.dimse.conftest import with_settings
from tests.dimse.peers import ECHO, MOVE, associate, connected, contexts, dataset, receiver
from tests.servers import free_ports

Key = ec.EllipticCurvePrivateKey


class Authority:
    """Signs certificates for this machine."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._own = self._sign(name, self._key, authority=True)
        self.path = folder / f"{name}-ca.pem"
        self.path.write_bytes(self._own.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path, str]:
        """Give the files of a certificate and its key, and the certificate's fingerprint."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(name, key, authority=False)
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private, signed.fingerprint(hashes.SHA256()).hex(":")

    def _sign(self, name: str, key: Key, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def server(ours: Authority) -> dict[str, Any]:
    certificate, key, _ = ours.issue("server")
    return {"dimse_certificate": certificate, "dimse_key": key}


@pytest.fixture
async def mutual(
    archive: Archive, ours: Authority, server: dict[str, Any]
) -> AsyncIterator[Listener]:
    """A listener whose peers show certificates; one has to be that of CT1."""
    _, _, fingerprint = ours.issue("ct1")
    callers = {
        "CT1": {"roles": ["technologist"], "certificate": fingerprint},
        "ANY": {"roles": ["technologist"]},
    }
    settings = {**server, "dimse_ca": ours.path, "dimse_callers": callers}
    async with listening(with_settings(archive, **settings)) as running:
        yield running


def context(ours: Authority, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ours.path)
    if shown:
        made.load_cert_chain(*shown)
    return made


def echoed(port: int, title: str, tls: ssl.SSLContext | None) -> int | str:
    """Give the status of a C-ECHO, or how it came to none."""
    tls_args = (tls, "127.0.0.1") if tls else None
    peer = associate(port, title, contexts(ECHO), tls_args=tls_args)
    if not peer.is_established:
        return "rejected" if peer.is_rejected else "no association"
    status = int(peer.send_c_echo().Status)
    peer.release()
    return status


async def test_with_a_certificate_the_listener_speaks_tls_alone(
    archive: Archive, ours: Authority, server: dict[str, Any]
) -> None:
    async with listening(with_settings(archive, **server)) as running:
        port, title = running.port, "TECHNOLOGIST"
        assert await asyncio.to_thread(echoed, port, title, context(ours)) == 0
        assert await asyncio.to_thread(echoed, port, title, None) == "no association"


async def test_where_a_ca_is_named_peers_have_to_show_a_certificate_of_it(
    mutual: Listener, ours: Authority, tmp_path: Path
) -> None:
    good = ours.issue("another")[:2]
    bad = Authority(tmp_path, "theirs").issue("stranger")[:2]
    assert await asyncio.to_thread(echoed, mutual.port, "ANY", context(ours, good)) == 0
    for shown in (None, bad):
        tls = context(ours, shown)
        assert await asyncio.to_thread(echoed, mutual.port, "ANY", tls) == "no association"


async def test_an_ae_title_can_be_bound_to_one_certificate(
    mutual: Listener, ours: Authority, archive: Archive
) -> None:
    folder = ours.path.parent
    own = (folder / "ct1.pem", folder / "ct1.key")
    assert await asyncio.to_thread(echoed, mutual.port, "CT1", context(ours, own)) == 0
    other = ours.issue("other")[:2]
    tls = context(ours, other)
    assert await asyncio.to_thread(echoed, mutual.port, "CT1", tls) == "rejected"
    entry = await archive.database["audit_events"].find_one({"query": "CALLING_AE_ELSEWHERE"})
    assert entry is not None


async def test_a_slow_handshake_keeps_nobody_waiting(mutual: Listener, ours: Authority) -> None:
    _, silent = await asyncio.open_connection("127.0.0.1", mutual.port)
    good = ours.issue("quick")[:2]
    assert await asyncio.to_thread(echoed, mutual.port, "ANY", context(ours, good)) == 0
    silent.close()


async def test_files_that_are_no_certificates_are_named(
    archive: Archive, server: dict[str, Any], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for name in ("dimse_certificate", "dimse_ca"):
        changed = with_settings(archive, **(server | {name: wrong}))
        with pytest.raises(Invalid, match=f"RADIOGRAPH_{name.upper()}: .*wrong.pem"):
            async with listening(changed):
                pass


async def test_objects_move_by_tls_to_who_can_show_a_certificate(
    archive: Archive, ours: Authority, server: dict[str, Any], tmp_path: Path
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield dicom(StudyInstanceUID="1.2.80")

    assert (await archive.ingest.store(pieces())).status == "stored"
    [there] = free_ports(1)
    destination = {"host": "127.0.0.1", "port": there, "tls": True}
    settings = {**server, "dimse_ca": ours.path, "dimse_destinations": {"DEST": destination}}
    reader = ours.issue("reader")[:2]

    def moved(port: int, authority: Authority) -> tuple[int, int]:
        shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.path)
        shown.load_cert_chain(*authority.issue("destination")[:2])
        shown.verify_mode = ssl.CERT_REQUIRED
        query = dataset(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.80")
        tls = (context(ours, reader), "127.0.0.1")
        with (
            receiver(there, contexts(CTImageStorage), tls=shown) as got,
            connected(port, "RADIOLOGIST", contexts(MOVE), tls_args=tls) as peer,
        ):
            *_, (last, _) = peer.send_c_move(query, "DEST", MOVE)
            return int(last.Status), len(got)

    async with listening(with_settings(archive, **settings)) as running:
        assert await asyncio.to_thread(moved, running.port, ours) == (0x0000, 1)
        theirs = Authority(tmp_path, "theirs")
        assert await asyncio.to_thread(moved, running.port, theirs) == (0xA801, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dimse_certificate": "x"}, "DIMSE_CERTIFICATE and DIMSE_KEY go together"),
        ({"dimse_key": "x"}, "DIMSE_CERTIFICATE and DIMSE_KEY go together"),
        (
            {"dimse_callers": {"CT": {"roles": ["admin"], "certificate": "ab" * 32}}},
            "a caller's certificate needs DIMSE_CERTIFICATE and DIMSE_CA",
        ),
    ],
)
def test_settings_that_would_leave_tls_half_open_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Settings.model_validate(settings)
