"""The file of hooks: understood as a whole, or refused with its lines."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.live.webhooks import read_hooks
from fhir.changes import Change
from policies.errors import PolicyError
from tests.policy import SHIPPED

GOOD = """[[hook]]
name = "worklist"
url = "https://worklist.example/changes"
roles = ["radiologist"]
events = ["ImagingStudy.created", "Job.*"]
secret_file = "secret"
"""


def written(folder: Path, text: str, secret: str = "s" * 32, mode: int = 0o600) -> Path:
    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(mode)
    path = folder / "webhooks.toml"
    path.write_text(text)
    return path


def change(resource: str, kind: str) -> Change:
    return Change(1, datetime.now(UTC), kind, resource, "x")  # type: ignore[arg-type]  # any text


def test_the_shipped_file_tells_nobody() -> None:
    assert read_hooks(SHIPPED / "webhooks.toml") == ()


def test_the_example_of_the_shipped_file_is_one_that_can_be_used(tmp_path: Path) -> None:
    text = (SHIPPED / "webhooks.toml").read_text()
    lines = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    lines = lines[: next(at for at, one in enumerate(lines) if one.startswith("secret_file")) + 1]
    example = "\n".join(lines).replace("/etc/radiograph/worklist.secret", "secret")
    [hook] = read_hooks(written(tmp_path, example))
    assert hook.name == "worklist"


def test_a_hook_says_who_is_told_what_and_as_whom(tmp_path: Path) -> None:
    [hook] = read_hooks(written(tmp_path, GOOD + 'project = "p"\n'))
    assert hook.secret == b"s" * 32
    assert hook.caller.roles == {"radiologist"}
    assert hook.caller.subject == "urn:radiograph:webhook#worklist"
    assert hook.caller.variables == {"project": ("p",)}
    wanted = {
        (resource, kind)
        for resource in ("ImagingStudy", "Job", "Policy")
        for kind in ("created", "changed", "deleted")
        if hook.wants(change(resource, kind))
    }
    assert wanted == {
        ("ImagingStudy", "created"),
        *(("Job", kind) for kind in ("created", "changed", "deleted")),
    }
    assert "ssss" not in repr(hook)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("https://worklist.example", "http://worklist.example", "3: url: Value error, neither"),
        ("https://worklist.example", "https://a:b@worklist.example", "3: url: Value error, an ad"),
        ('["radiologist"]', "[]", "4: roles: "),
        ('["radiologist"]', '["king"]', "4: roles.0: "),
        ("ImagingStudy.created", "Patient.created", "5: events.0: "),
        ("ImagingStudy.created", "ImagingStudy", "5: events.0: "),
        ('"worklist"', '"work list"', "2: name: "),
        ('secret_file = "secret"', 'secret_file = "nothing"', "6: secret_file: No such file"),
        ('secret_file = "secret"', 'secret = "sssss"', "1: secret_file: Field required"),
        ("[[hook]]", "[hook]", "1: hook: write [[hook]]"),
        ("[[hook]]", "[[hooks]]", "1: hooks: write [[hook]]"),
        ("[[hook]]", "[[hook]", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        read_hooks(written(tmp_path, GOOD.replace(old, new)))
    assert problem in str(refused.value)
    assert "a:b" not in str(refused.value)
    assert "sssss" not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "mode", "problem"),
    [
        ("s" * 31, 0o600, "6: secret_file: a secret has 32 bytes or more"),
        ("s" * 32, 0o640, "6: secret_file: others may read or write it"),
        ("s" * 32, 0o604, "6: secret_file: others may read or write it"),
    ],
)
def test_a_secret_is_long_and_nobody_elses(
    tmp_path: Path, secret: str, mode: int, problem: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        read_hooks(written(tmp_path, GOOD, secret, mode))
    assert problem in str(refused.value)


def test_two_hooks_have_two_names(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="8: name: several hooks are called worklist"):
        read_hooks(written(tmp_path, GOOD + GOOD))


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        read_hooks(tmp_path / "webhooks.toml")
