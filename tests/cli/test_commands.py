"""What commands print, and the codes they end with."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from tests.build import dicom
from tests.command import ROOT, Installation
from tests.servers import free_ports


def with_settings(installation: Installation, **settings: str) -> Installation:
    return replace(installation, settings=settings)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of the policy files."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for name in ("model.conf", "rules.csv", "scopes.toml", "tests.toml"):
        shutil.copy(ROOT / "policies" / name, folder)
    return folder


async def test_a_token_is_the_last_line_and_says_what_was_asked_for(fresh: Installation) -> None:
    asked = ("--role", "proxy", "--patient", "some-id", "--subject", "carer", "--minutes", "5")
    ran = await fresh.run("token", *asked)
    assert ran.code == 0
    claims = jwt.decode(ran.lines[-1], options={"verify_signature": False})
    assert (claims["roles"], claims["patient_id"], claims["sub"]) == (["proxy"], "some-id", "carer")
    assert claims["exp"] - claims["iat"] == 300


async def test_a_token_says_what_scopes_and_variables_need(fresh: Installation) -> None:
    asked = ("--project", "lung", "--site", "north", "--clearance", "R", "--context", "p1")
    scopes = "patient/ImagingStudy.rs launch/patient"
    ran = await fresh.run("token", "--role", "researcher", *asked, "--scope", scopes)
    claims = jwt.decode(ran.lines[-1], options={"verify_signature": False})
    names = ("project", "site", "clearance", "patient", "scope")
    assert [claims[name] for name in names] == ["lung", "north", "R", "p1", scopes]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--role", "emperor"), "no such role; there are patient, proxy, provider"),
        (("--role", "patient", "--patient", "../x"), "a Patient's id has 1 to 64 letters"),
        (("--role", "admin", "--minutes", "0"), "a token lasts at least 1 minute"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    fresh: Installation, arguments: tuple[str, ...], said: str
) -> None:
    ran = await fresh.run("token", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(said)


async def test_production_signs_no_token_and_starts_no_database(
    fresh: Installation, tmp_path: Path
) -> None:
    production = with_settings(fresh, mode="production")
    token = await production.run("token", "--role", "admin")
    assert (token.code, token.out) == (1, "")
    assert token.err == "production believes no development tokens; use your issuer's\n"
    for command in (("ingest", "x"), ("sweep",), ("reindex",)):
        ran = await production.run(*command)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "production needs RADIOGRAPH_DATABASE_URL; the embedded one is for trials\n"
        )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("port", "http", "setting RADIOGRAPH_PORT: Input should be a valid integer"),
        ("mode", "testing", "setting RADIOGRAPH_MODE: Input should be 'development' or"),
        ("storage_url", "ftp://x/y", "setting RADIOGRAPH_STORAGE_URL: no object store at ftp://"),
        ("storage_url", "relative", "setting RADIOGRAPH_STORAGE_URL: no object store at"),
        ("time_zone", "Mars/Olympus", "setting RADIOGRAPH_TIME_ZONE: no such IANA time zone"),
        ("database_url", "mysql://u:secret@h", "setting RADIOGRAPH_DATABASE_URL: not a MongoDB"),
        ("database_url", "mongodb://u:sec/ret@h", "setting RADIOGRAPH_DATABASE_URL: not a MongoDB"),
        ("data_dir", "/dev/null/x", "setting RADIOGRAPH_DATA_DIR: Not a directory"),
        ("issuers", "[{}]", "setting RADIOGRAPH_ISSUERS"),
    ],
)
async def test_a_wrong_setting_is_named_in_one_line(
    fresh: Installation, setting: str, value: str, said: str
) -> None:
    ran = await with_settings(fresh, **{setting: value}).run("sweep")
    assert (ran.code, ran.out) == (1, "")
    complaints = [line for line in ran.err.splitlines() if "[info" not in line]
    assert complaints[0].startswith(said)
    assert "Traceback" not in ran.err
    assert "sec" not in ran.err.replace("second", "")


async def test_a_database_that_does_not_answer_is_said_to_be_down(fresh: Installation) -> None:
    [port] = free_ports(1)
    url = f"mongodb://user:secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
    down = with_settings(fresh, database_url=url, request_timeout="1")
    ran = await down.run("sweep")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "the database does not answer; see `python -m app doctor`\n"


async def test_a_doctor_finds_nothing_wrong_with_a_fresh_installation(fresh: Installation) -> None:
    ran = await fresh.run("doctor")
    assert ran.code == 0
    assert [line[:6] for line in ran.lines] == ["ok    "] * len(ran.lines)
    named = [line[6:].split(":")[0] for line in ran.lines]
    assert named == [
        "python",
        "mode",
        "disk",
        "policy",
        "storage",
        "cache",
        "webhooks",
        "embedded database",
        "service",
    ]


async def test_a_doctor_names_everything_that_is_wrong_and_goes_on(
    fresh: Installation, policy: Path
) -> None:
    database, storage, issuer, cache = free_ports(4)
    with (policy / "rules.csv").open("a") as rules:
        rules.write("p, radiologist, Patient.nmae, read, any, allow\n")
    (policy / "webhooks.toml").write_text('[[hook]]\nname = "x"\nurl = "http://example.org"\n')
    sick = with_settings(
        fresh,
        database_url=f"mongodb://user:hidden@127.0.0.1:{database}/",
        webhooks=str(policy / "webhooks.toml"),
        request_timeout="1",
        storage_url="s3://bucket/prefix",
        storage_endpoint=f"http://127.0.0.1:{storage}",
        storage_access_key="key",
        storage_secret_key="hidden",
        policy_dir=str(policy),
        cache_url=f"memory://,redis://:hidden@127.0.0.1:{cache}/0",
        issuers=f'[{{"issuer": "http://127.0.0.1:{issuer}", "audiences": ["x"]}}]',
    )
    ran = await sick.run("doctor")
    assert ran.code == 1
    wrong = {
        line.removeprefix("WRONG ").split(": ")[0]: line
        for line in ran.lines
        if line.startswith("WRONG")
    }
    issuer_name = f"issuer http://127.0.0.1:{issuer}"
    assert set(wrong) == {"policy", "storage", "cache", "webhooks", "database", issuer_name}
    assert "webhooks.toml:3: url: " in wrong["webhooks"]
    assert "does not answer: redis" in wrong["cache"]
    assert "rules.csv:" in wrong["policy"]
    assert "Patient.nmae" in wrong["policy"]
    assert "the object store does not answer" in wrong["storage"]
    assert "does not answer" in wrong["database"]
    assert "Traceback" not in ran.out + ran.err
    assert "hidden" not in ran.out + ran.err


async def test_a_doctor_tells_a_wrong_password_from_a_database_that_is_down(
    fresh: Installation, database_url: str
) -> None:
    user, _, rest = database_url.removeprefix("mongodb://").partition("@")
    url = f"mongodb://{user.partition(':')[0]}:wrong@{rest}"
    ran = await with_settings(fresh, database_url=url).run("doctor")
    assert ran.code == 1
    assert [line for line in ran.lines if line.startswith("WRONG")] == [
        "WRONG database: refuses us (AuthenticationFailed); "
        "check the user in RADIOGRAPH_DATABASE_URL"
    ]


async def test_a_broken_policy_is_told_by_file_line_and_column(
    fresh: Installation, policy: Path
) -> None:
    checked = with_settings(fresh, policy_dir=str(policy))
    good = await checked.run("policy", "check")
    assert good.code == 0
    assert good.lines[-1].startswith(f"the policy in {policy} is good, version ")
    lines = (policy / "rules.csv").read_text().splitlines()
    lines.append("p, radiologist, Patient.nmae, read, any, allow")
    (policy / "rules.csv").write_text("\n".join(lines) + "\n")
    broken = await checked.run("policy", "check")
    assert broken.code == 1
    assert f"rules.csv:{len(lines)}:17: " in broken.err
    assert "Traceback" not in broken.err


async def test_reindex_derives_every_study_again(fresh: Installation, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(dicom())
    assert (await fresh.run("ingest", tmp_path / "one")).code == 0
    ran = await fresh.run("reindex")
    assert (ran.code, ran.lines) == (0, ["1 studies derived again"])


async def test_the_schema_is_printed(fresh: Installation) -> None:
    ran = await fresh.run("sdl")
    assert ran.code == 0
    assert ran.out.count("type Query {") == 1


async def test_the_schema_breaks_nothing_of_itself(fresh: Installation, tmp_path: Path) -> None:
    older = tmp_path / "older.graphql"
    for kind in ((), ("--fhir",)):
        older.write_text((await fresh.run("sdl", *kind)).out, encoding="utf-8")
        ran = await fresh.run("sdl", *kind, "--against", older)
        assert (ran.code, ran.out, ran.err) == (0, "", "")


async def test_what_the_schema_breaks_is_printed_and_ends_with_1(
    fresh: Installation, tmp_path: Path
) -> None:
    older = tmp_path / "older.graphql"
    written = (await fresh.run("sdl")).out
    older.write_text(written.replace("type Query {", "type Query {\n  gone: ID\n"), "utf-8")
    ran = await fresh.run("sdl", "--against", older)
    assert (ran.code, ran.out, ran.err) == (1, "breaking: Field Query.gone was removed.\n", "")


async def test_what_only_might_surprise_clients_is_printed_and_ends_with_0(
    fresh: Installation, tmp_path: Path
) -> None:
    older = tmp_path / "older.graphql"
    written = (await fresh.run("sdl")).out
    older.write_text(re.sub(r"\n  NAME_DESC\b", "", written, count=1), "utf-8")
    ran = await fresh.run("sdl", "--against", older)
    assert (ran.code, ran.out) == (0, "dangerous: Enum value PatientSort.NAME_DESC was added.\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"nothing of the kind", "the older schema cannot be read: Syntax Error"),
        (b"\xff\xfe", "is not a text in UTF-8"),
    ],
)
async def test_an_older_schema_that_cannot_be_read_is_refused(
    fresh: Installation, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    older = tmp_path / "older.graphql"
    if content is not None:
        older.write_bytes(content)
    ran = await fresh.run("sdl", "--against", older)
    assert (ran.code, ran.out) == (1, "")
    assert problem in ran.err


async def test_no_command_is_misuse(fresh: Installation) -> None:
    ran = await fresh.run()
    assert (ran.code, ran.out) == (2, "")
