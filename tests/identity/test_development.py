"""Development tokens: whose key, for whom, and where they are believed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from pydantic import ValidationError

from app.identity.development import KEY_FILE, DevelopmentIssuer
from app.identity.roles import ROLES
from app.settings import DEVELOPMENT_ISSUER
from fhir.errors import Invalid
from policies.caller import Caller
from tests.identity.build import opened, refusal, settings_of

TREE = Path(__file__).parents[2]
RACERS, ROUNDS = 4, 25
RACER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from app.identity.development import DevelopmentIssuer

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    key = DevelopmentIssuer(folder / str(number)).public_key
    print(key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())
"""


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    first, second = DevelopmentIssuer(folder), DevelopmentIssuer(folder)

    assert first.public_key == second.public_key
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]


def test_the_mode_of_the_key_does_not_hang_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        DevelopmentIssuer(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path, str(ROUNDS)],
            cwd=TREE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    keys = [racer.communicate()[0].split() for racer in racers]

    assert [racer.returncode for racer in racers] == [0] * RACERS
    assert [len(made) for made in keys] == [ROUNDS] * RACERS
    assert all(made == keys[0] for made in keys)
    assert len(set(keys[0])) == ROUNDS
    assert sorted(path.name for path in tmp_path.rglob("*.pem*")) == [KEY_FILE] * ROUNDS


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_is_reported_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)

    with pytest.raises(Invalid, match="is not a private key"):
        DevelopmentIssuer(tmp_path)

    assert (tmp_path / KEY_FILE).read_bytes() == content


@pytest.mark.parametrize("role", ROLES)
async def test_a_development_token_gives_the_role_it_names(tmp_path: Path, role: str) -> None:
    token = DevelopmentIssuer(tmp_path).token(
        role,
        patient="p1",
        specialty="nuclear medicine",
        subject="ada",
        project="lung",
        site="north",
        clearance="restricted",
        scope="patient/*.rs openid",
        context="p2",
    )

    async with opened(development_issuer=True, data_dir=tmp_path) as identity:
        assert await identity.caller(f"Bearer {token}") == Caller(
            subject=f"{DEVELOPMENT_ISSUER}#ada",
            roles=frozenset({role}),
            name="ada",
            variables={
                "patient": ("p1",),
                "specialty": ("NUCLEAR_MEDICINE",),
                "modality": ("NM", "PT"),
                "clearance": ("U", "N"),
                "site": ("north",),
                "project": ("lung",),
            },
            scopes=frozenset({"patient/*.rs", "openid"}),
            context="p2",
        )


async def test_a_token_for_a_role_alone_is_named_for_it(tmp_path: Path) -> None:
    token = DevelopmentIssuer(tmp_path).token("auditor")

    async with opened(development_issuer=True, data_dir=tmp_path) as identity:
        caller = await identity.caller(f"Bearer {token}")

    assert caller == Caller(f"{DEVELOPMENT_ISSUER}#auditor", frozenset({"auditor"}), "auditor")


async def test_development_tokens_are_refused_unless_switched_on(tmp_path: Path) -> None:
    token = DevelopmentIssuer(tmp_path).token("admin")

    async with opened(data_dir=tmp_path) as identity:
        assert await refusal(identity, token) == "the token's issuer is not trusted here"


async def test_a_development_token_of_another_data_folder_is_refused(tmp_path: Path) -> None:
    token = DevelopmentIssuer(tmp_path / "other").token("admin")

    async with opened(development_issuer=True, data_dir=tmp_path / "own") as identity:
        assert await refusal(identity, token) == "the token's signature does not hold"


def test_a_token_lasts_as_long_as_asked(tmp_path: Path) -> None:
    issuer = DevelopmentIssuer(tmp_path)
    lives = [
        claims["exp"] - claims["iat"]
        for claims in (
            jwt.decode(token, issuer.public_key, ["EdDSA"], audience="radiograph")
            for token in (issuer.token("nurse"), issuer.token("nurse", minutes=1))
        )
    ]

    assert lives == [3600, 60]


def test_an_unknown_role_is_refused_with_the_roles_there_are(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        DevelopmentIssuer(tmp_path).token("superuser")

    assert str(refused.value) == (
        "no such role; there are patient, proxy, provider, radiologist, technologist, nurse, "
        "resident, fellow, attending, admin, auditor, researcher, billing"
    )


def test_an_unusable_argument_is_refused(tmp_path: Path) -> None:
    issuer = DevelopmentIssuer(tmp_path)

    with pytest.raises(Invalid, match="Patient's id"):
        issuer.token("patient", patient="Patient/p1")
    with pytest.raises(Invalid, match="Patient's id"):
        issuer.token("provider", context="p 1")
    with pytest.raises(Invalid, match="no such clearance; there are u, n, r, v, public"):
        issuer.token("provider", clearance="cosmic")
    with pytest.raises(Invalid, match="a project or site has"):
        issuer.token("researcher", project="a|b")
    with pytest.raises(Invalid, match="a project or site has"):
        issuer.token("researcher", site="")
    with pytest.raises(Invalid, match="ANESTHESIOLOGY, CARDIOLOGY"):
        issuer.token("provider", specialty="alchemy")
    with pytest.raises(Invalid, match="at least 1 minute"):
        issuer.token("nurse", minutes=0)


def test_production_refuses_the_development_issuer() -> None:
    with pytest.raises(ValidationError, match="DEVELOPMENT_ISSUER is refused in production"):
        settings_of(mode="production", development_issuer=True)
    assert settings_of(mode="production").development_issuer is False
