"""What an administrator of the policy is told on the command line."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from graphql import build_schema

from fhir.parameters import spelled
from tests.build import dicom
from tests.command import ROOT, Installation, Ran

STUDY = "1.2.826.0.1.77"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the policy files."""
    copied = tmp_path / "policies"
    copied.mkdir()
    for name in ("model.conf", "rules.csv", "scopes.toml", "tests.toml"):
        shutil.copy(ROOT / "policies" / name, copied)
    return copied


def add(folder: Path, *lines: str) -> int:
    """Append rules; give the number of the first of these lines."""
    rules = folder / "rules.csv"
    before = rules.read_text()
    rules.write_text(before + "".join(f"{line}\n" for line in lines))
    return before.count("\n") + 1


def change(folder: Path, old: str, new: str) -> None:
    rules = folder / "rules.csv"
    text = rules.read_text()
    assert text.count(old) == 1
    rules.write_text(text.replace(old, new))


async def test_check_tells_every_problem_of_every_file_and_fails(
    fresh: Installation, folder: Path
) -> None:
    line = add(folder, "p, nurse, Patient.nmae, read, any, dney", "P, nurse, Patient.name")
    (folder / "tests.toml").write_text('[[test]]\nname = "x"\n')
    ran = await fresh.run("policy", "check", "--policy", folder)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        f"rules.csv:{line}:11: unknown element 'Patient.nmae'; write 'Patient.name'",
        f"rules.csv:{line}:36: unknown effect 'dney'; write 'deny'",
        f"rules.csv:{line + 1}:1: a line begins with p or g, not 'P';"
        " write 'p, role, element, action, scope, allow|deny'",
        *(
            f"tests.toml:1: the test has no {key}; it needs name, roles, element, expect"
            for key in ("roles", "element", "expect")
        ),
        f"the policy in {folder} cannot be used: 6 errors",
    ]


async def test_check_shows_warnings_and_does_not_fail_for_them(
    fresh: Installation, folder: Path
) -> None:
    line = add(folder, "p, technologist, Patient.name, read, care-team, allow")
    ran = await fresh.run("policy", "check", "--policy", folder)
    assert ran.code == 0
    assert ran.err.startswith(f"rules.csv:{line}: warning: line ")
    assert ran.err.endswith(" allows this to 'technologist' already; delete this line\n")
    assert ran.out.startswith(f"the policy in {folder} is good, version ")
    assert ran.out.endswith(", 1 warning\n")


async def test_a_folder_that_is_not_there_is_misuse(fresh: Installation, tmp_path: Path) -> None:
    for command in (
        ("check", "--policy", tmp_path / "none"),
        ("test", "--policy", tmp_path / "none"),
        ("diff", tmp_path / "none", ROOT / "policies"),
    ):
        ran = await fresh.run("policy", *command)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"{tmp_path / 'none'} is no folder\n"


async def test_test_prints_each_test_and_their_number(fresh: Installation) -> None:
    ran = await fresh.run("policy", "test")
    assert (ran.code, ran.err) == (0, "")
    *each, last = ran.lines
    assert {line[:8] for line in each} == {"ok      "}
    assert last == f"{len(each)} tests: {len(each)} ok, 0 failed"
    assert "ok      an administrator edits the policy" in each


async def test_test_says_what_failed_and_which_line_is_the_reason(
    fresh: Installation, folder: Path
) -> None:
    line = add(folder, "p, technologist, Image.file, read, any, allow")
    ran = await fresh.run("policy", "test", "--policy", folder)
    assert (ran.code, ran.err) == (1, "")
    (at,) = (number for number, one in enumerate(ran.lines) if one.startswith("FAILED"))
    assert ran.lines[at].startswith("FAILED  a technologist downloads no file (tests.toml:")
    assert ran.lines[at + 1].startswith("        on a row with ")
    assert ran.lines[at + 1].endswith(
        f", Image.file is allowed: technologist reads Image.file on every row (rules.csv:{line})"
    )
    assert ran.lines[-1].endswith(" ok, 1 failed")


async def test_test_of_files_that_cannot_be_used_says_why(
    fresh: Installation, folder: Path
) -> None:
    line = add(folder, "p, nurse, Patient.nmae, read, any, allow")
    ran = await fresh.run("policy", "test", "--policy", folder)
    assert (ran.code, ran.out) == (1, "")
    assert f"rules.csv:{line}:11: unknown element" in ran.err


async def test_explain_names_lines_inheritance_scopes_and_verdict(
    fresh: Installation, folder: Path
) -> None:
    line = add(folder, "p, billing, ImagingStudy.note, read, any, deny")
    asked = ("--role", "nurse", "--element", "ImagingStudy.note", "--policy", folder)
    ran = await fresh.run("policy", "explain", *asked)
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0] == (
        "nurse reads ImagingStudy.note only where assigned or break-glass or care-team or shared"
    )
    assert any(
        one.endswith(": p, treating, ImagingStudy.*, read, care-team, allow")
        and one.startswith("* rules.csv:")
        for one in ran.lines
    )
    assert any(one.startswith("    through nurse -> treating (rules.csv:") for one in ran.lines)
    assert "[care-team] Patients whom the caller looks after" in ran.lines
    assert "  ImagingStudy: patient=Patient/{care-team}" in ran.lines
    both = await fresh.run("policy", "explain", *asked, "--role", "billing")
    assert both.lines[0] == (
        f"billing with nurse reads ImagingStudy.note on no row: rules.csv:{line} denies"
        " ImagingStudy.note, and deny outdoes allow"
    )


async def test_explain_follows_what_repeats_another_element(fresh: Installation) -> None:
    asked = ("--role", "billing", "--element", "ImagingStudy.subject.display")
    ran = await fresh.run("policy", "explain", *asked)
    assert (
        "ImagingStudy.subject.display repeats Patient.name, so that has to be open too:"
        in ran.lines
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--role", "nurze", "--element", "Patient.name"), "unknown role 'nurze'; write 'nurse'"),
        (
            ("--role", "nurse", "--element", "Patient.nmae"),
            "unknown element 'Patient.nmae'; write 'Patient.name'",
        ),
        (
            ("--role", "nurse", "--element", "Patient.name", "--action", "raed"),
            "unknown action 'raed'; write 'read'",
        ),
        (
            ("--role", "nurse", "--element", "Patient.name", "--study", "1", "--variable", "site"),
            "'site' has no value; write site=VALUE",
        ),
        (
            ("--role", "nurse", "--element", "Session.id", "--study", "1"),
            "a study says nothing of rows of Session; leave --study out",
        ),
    ],
)
async def test_explain_of_what_does_not_exist_is_misuse(
    fresh: Installation, asked: tuple[str, ...], said: str
) -> None:
    ran = await fresh.run("policy", "explain", *asked)
    assert (ran.code, ran.err) == (2, f"{said}\n")


async def test_explain_says_whether_a_study_is_open_and_which_scopes_hold_on_it(
    fresh: Installation, tmp_path: Path
) -> None:
    (tmp_path / "one").write_bytes(dicom(StudyInstanceUID=STUDY))
    assert (await fresh.run("ingest", tmp_path / "one")).code == 0
    async with fresh.opened() as archive:
        stored = await archive.ledger.study(STUDY)
        assert stored is not None
        patient = str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")
        await archive.database["access_grants"].insert_one(
            {
                "_id": "link",
                "resource": {
                    "resourceType": "CareTeam",
                    "patient": {"reference": f"Patient/{patient}"},
                },
                "index": {
                    "agent": spelled("https://issuer#jane"),
                    "date": {"low": datetime(2020, 1, 1, tzinfo=UTC)},
                },
            }
        )

    async def on_study(*asked: str, study: str = STUDY) -> Ran:
        return await fresh.run("policy", "explain", *asked, "--study", study)

    nurse = ("--role", "nurse", "--element", "ImagingStudy.note")
    team = await on_study(*nurse, "--subject", "https://issuer#jane")
    assert team.code == 0
    assert team.lines[-5:] == [
        f"assigned does not hold on ImagingStudy/{STUDY}",
        f"break-glass does not hold on ImagingStudy/{STUDY}",
        f"care-team holds on ImagingStudy/{STUDY}",
        f"shared does not hold on ImagingStudy/{STUDY}",
        f"ImagingStudy.note is open to this caller on ImagingStudy/{STUDY}",
    ]
    other = await on_study(*nurse, "--subject", "https://issuer#joan")
    assert other.lines[-1] == f"ImagingStudy.note is closed to this caller on ImagingStudy/{STUDY}"
    name = ("--role", "patient", "--element", "Patient.name")
    own = await on_study(*name, "--patient", patient)
    assert f"own holds on Patient/{patient}" in own.lines
    assert own.lines[-1] == f"Patient.name is open to this caller on Patient/{patient}"
    stranger = await on_study(*name, "--patient", "another")
    assert stranger.lines[-1] == f"Patient.name is closed to this caller on Patient/{patient}"
    missing = await on_study(*nurse, study="1.2.3")
    assert missing.code == 1
    assert missing.err.endswith("\nthere is no ImagingStudy of a study 1.2.3\n")


async def test_diff_says_who_gains_and_loses_and_ends_with_1(
    fresh: Installation, folder: Path
) -> None:
    change(folder, "p, billing, Patient.identifier, read, any, allow\n", "")
    change(
        folder,
        "p, technologist, Image.file, create, any, allow",
        "p, technologist, Image.file, create, care-team, allow",
    )
    ran = await fresh.run("policy", "diff", ROOT / "policies", folder)
    assert (ran.code, ran.err) == (1, "")
    assert ran.lines == [
        "billing:",
        "  billing no longer reads Patient.identifier (was: every row)",
        "technologist:",
        "  technologist creates Image.file only where care-team (was: every row)",
    ]


async def test_diff_of_the_same_ends_with_0_and_of_what_cannot_be_used_with_2(
    fresh: Installation, folder: Path
) -> None:
    add(folder, "# a comment")
    ran = await fresh.run("policy", "diff", ROOT / "policies", folder)
    assert (ran.code, ran.out) == (0, "nothing changed\n")
    add(folder, "p, nurse, Patient.nmae, read, any, allow")
    bad = await fresh.run("policy", "diff", ROOT / "policies", folder)
    assert (bad.code, bad.out) == (2, "")
    assert bad.err.splitlines()[-1] == f"the policy in {folder} cannot be used"


async def test_diff_takes_rules_alone(fresh: Installation, folder: Path) -> None:
    change(folder, "p, billing, Patient.identifier, read, any, allow\n", "")
    ran = await fresh.run("policy", "diff", ROOT / "policies", folder / "rules.csv")
    assert (ran.code, ran.err) == (1, "")
    said = "  billing no longer reads Patient.identifier (was: every row)"
    assert ran.lines == ["billing:", said]


async def test_check_warns_of_storing_in_a_scope(fresh: Installation, folder: Path) -> None:
    line = add(folder, "p, nurse, Image.file, create, care-team, allow")
    ran = await fresh.run("policy", "check", "--policy", folder)
    said = "what is stored is in no scope yet; write any instead of care-team"
    assert (ran.code, ran.err) == (0, f"rules.csv:{line}: warning: {said}\n")


async def test_simulate_prints_the_schema_as_a_role_sees_it(fresh: Installation) -> None:
    billing = await fresh.run("policy", "simulate", "--role", "billing")
    assert billing.code == 0
    seen = build_schema(billing.out).type_map
    assert "identifier" in seen["Patient"].fields  # type: ignore[attr-defined]  # an object type
    assert "name" not in seen["Patient"].fields  # type: ignore[attr-defined]  # an object type
    clinical = await fresh.run("policy", "simulate", "--role", "radiologist")
    all_seen = build_schema(clinical.out).type_map
    assert "name" in all_seen["Patient"].fields  # type: ignore[attr-defined]  # an object type


async def test_help_says_what_the_codes_of_diff_mean(fresh: Installation) -> None:
    ran = await fresh.run("policy", "diff", "--help")
    assert ran.code == 0
    assert "exit code 0 if nothing changes, 1 if something does, 2 if a folder" in " ".join(
        ran.out.split()
    )
