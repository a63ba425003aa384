"""A SMART app of the tests: the FHIR server tells it where to go, and there it gets its tokens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import uuid4

import httpx
import jwt

from tests.oidc.server import SigningKey, base64url

REDIRECT = "http://127.0.0.1:9/callback"  # nobody listens: the app takes the code from the address
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class App:
    """One registered app.

    Attributes:
        configuration: The FHIR server's `.well-known/smart-configuration`.
        audience: Address of the FHIR server.
    """

    client_id: str
    configuration: Mapping[str, Any]
    audience: str

    def launch(self, login: str, scope: str, **changes: str) -> dict[str, Any]:
        """Log somebody in, in a browser that follows redirects, and redeem the code."""
        verifier = secrets.token_urlsafe(48)
        code = self.authorized(login, scope, verifier, **changes)["code"]
        answer = self.redeem(code, verifier)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def authorized(self, login: str, scope: str, verifier: str, **changes: str) -> dict[str, str]:
        """Give the parameters with which the browser comes back to the app."""
        state = secrets.token_urlsafe(16)
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": state,
            "aud": self.audience,
            "prompt": "consent",
            "code_challenge": base64url(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            **changes,
        }
        with httpx.Client() as browser:
            answer = browser.get(self.configuration["authorization_endpoint"], params=asked)
            while answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(REDIRECT):
                    told = {name: one[0] for name, one in parse_qs(urlsplit(target).query).items()}
                    assert told["state"] == state
                    return told
                answer = browser.get(target)
                if "<form" in answer.text:
                    answer = browser.post(str(answer.url), data={"login": login})
        raise AssertionError(answer.text)

    def redeem(self, code: str, verifier: str) -> httpx.Response:
        """Ask for the tokens of a code."""
        return self._ask(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT,
            code_verifier=verifier,
            client_id=self.client_id,
        )

    def refresh(self, token: str, **changes: str) -> dict[str, Any]:
        """Ask for new tokens."""
        form = {"refresh_token": token, "client_id": self.client_id, **changes}
        answer = self._ask(grant_type="refresh_token", **form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def backend(self, key: SigningKey, scope: str, **changes: str) -> httpx.Response:
        """Ask as a service that signs for itself (SMART Backend Services)."""
        address = self.configuration["token_endpoint"]
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": address,
            "exp": datetime.now(UTC) + timedelta(minutes=4),
            "jti": str(uuid4()),
        }
        signed = jwt.encode(claims, key.private, key.algorithm, headers={"kid": key.kid})
        return self._ask(
            grant_type="client_credentials",
            scope=scope,
            client_assertion_type=ASSERTION,
            client_assertion=signed,
            **changes,
        )

    def _ask(self, **form: str) -> httpx.Response:
        return httpx.post(self.configuration["token_endpoint"], data=form)
