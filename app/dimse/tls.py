"""TLS, for AE titles prove nothing (PS3.15 annex B)."""

import ssl
from pathlib import Path

from app.settings import Settings
from fhir.errors import Invalid


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Say how peers are met; None: without TLS.

    Raises:
        Invalid: A file cannot be used.
    """
    if settings.dimse_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, settings)
    if settings.dimse_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: Settings) -> ssl.SSLContext:
    """Say how destinations are met that want TLS.

    Raises:
        Invalid: A file cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.dimse_certificate is not None:
        try:
            context.load_cert_chain(settings.dimse_certificate, settings.dimse_key)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("DIMSE_CERTIFICATE", settings.dimse_certificate) from error
    if settings.dimse_ca is not None:
        try:
            context.load_verify_locations(settings.dimse_ca)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("DIMSE_CA", settings.dimse_ca) from error


def _unusable(name: str, path: Path) -> Invalid:
    return Invalid(f"setting RADIOGRAPH_{name}: {path} cannot be used")
