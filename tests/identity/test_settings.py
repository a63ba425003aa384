"""Issuers that must not be configured stop the start, and say why."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.identity.build import issuer_of, settings_of

ADDRESS = "https://issuer.example/realms/webqx"
GOOD = {"issuer": ADDRESS, "audiences": ["radiograph"]}
SHORT = "thirty-one bytes are too few 12"


def test_issuers_are_read_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOGRAPH_ISSUERS", json.dumps([{**GOOD, "role_map": {"doc": "fellow"}}]))

    without_file: dict[str, Any] = {"_env_file": None}
    (issuer,) = Settings(**without_file).issuers

    assert issuer == issuer_of(ADDRESS, role_map={"doc": "fellow"})
    assert issuer.algorithms == ("RS256", "ES256", "EdDSA")


@pytest.mark.parametrize(
    "address",
    [
        "https://issuer.example",
        "https://issuer.example:8443/a/b/",
        "http://localhost:8080/realms/webqx",
        "http://127.0.0.1:9",
        "http://127.9.9.9",
        "http://[::1]:8080",
    ],
)
def test_an_issuer_is_https_or_on_loopback(address: str) -> None:
    assert settings_of(issuer_of(address)).issuers[0].issuer == address


@pytest.mark.parametrize(
    "address",
    [
        "http://issuer.example",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://192.168.0.1",
        "http://[::2]",
        "http://[",
        "http://localhost@issuer.example",
        "ftp://localhost",
        "file:///etc/issuer",
        "https://",
        "issuer.example",
        "",
    ],
)
def test_an_issuer_that_could_be_impersonated_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="neither https nor http on loopback"):
        settings_of(issuer_of(address))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secret": SHORT}, "an HS256 secret has 32 bytes or more"),
        ({"secret": ""}, "an HS256 secret has 32 bytes or more"),
        ({"audiences": []}, "at least 1 item"),
        ({"algorithms": []}, "at least 1 item"),
        ({"algorithms": ["HS256"]}, "Input should be 'RS256'"),
        ({"algorithms": ["none"]}, "Input should be 'RS256'"),
        ({"role_map": {"doc": "surgeon"}}, "Input should be 'patient'"),
        ({"issuer": "https://issuer.example#a"}, "no space, query or fragment"),
        ({"issuer": "https://issuer.example?a"}, "no space, query or fragment"),
        ({"issuer": "https://issuer .example"}, "no space, query or fragment"),
        ({"issuer": "urn:radiograph:development"}, "is switched on by DEVELOPMENT_ISSUER"),
        ({"secrets": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_an_unsafe_or_mistyped_issuer_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        settings_of({**GOOD, **change})

    assert SHORT not in str(refused.value)


def test_an_issuer_is_listed_once() -> None:
    twice = (issuer_of("https://a.example"), issuer_of("https://a.example", audiences=("pacs",)))

    with pytest.raises(ValidationError, match=r"listed more than once: https://a\.example"):
        settings_of(*twice, issuer_of("https://b.example"))


def test_a_secret_of_32_bytes_will_do_and_is_not_shown() -> None:
    issuer = issuer_of("central", secret=SHORT + "3")

    assert "thirty" not in repr(settings_of(issuer))


@pytest.mark.parametrize("written", ["45", "45.0", "PT45S"])
def test_a_duration_is_seconds_or_iso_8601(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADIOGRAPH_REQUEST_TIMEOUT", written)
    assert Settings().request_timeout.total_seconds() == 45
