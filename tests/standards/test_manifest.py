"""Every clause that is claimed has a test that is run, and every address has a clause."""

import re
from itertools import groupby

import pytest
from fastapi.routing import APIRoute

from app.dicomweb.routes import dicomweb_routes
from app.dicomweb.standards import Clause, standards
from tests.command import ROOT

_NUMBER = re.compile(r"([A-Z]|[1-9]\d*)(\.\d+|\.[A-Z])*")
_PARTS = {"PS3.4", "PS3.5", "PS3.7", "PS3.8", "PS3.15", "PS3.18", "PS3.19"}
# Where the tests are that prove nothing else.
_ELSEWHERE = {"tests/standards", "tests/bench"}


def said() -> tuple[Clause, ...]:
    return tuple(standards().clauses)


def names(clause: Clause) -> str:
    return f"{clause.standard} {clause.number}"


@pytest.mark.parametrize("clause", said(), ids=names)
def test_a_clause_that_is_claimed_is_proven_by_tests_that_are_there(clause: Clause) -> None:
    assert clause.tests
    for test in clause.tests:
        path, _, name = test.partition("::")
        assert path.rpartition("/")[0] not in _ELSEWHERE
        text = (ROOT / path).read_text()
        found = re.search(rf"^(?:async )?def {re.escape(name)}\(", text, re.MULTILINE)
        assert found, f"there is no {test}"
        assert name.startswith("test_")
        assert path.rpartition("/")[2].startswith("test_")
        before = text[: found.start()].rpartition("\n\n")[2]
        assert not re.search(r"mark\.(skip|xfail)", before), f"{test} is not run"


def test_every_test_that_is_named_is_collected(pytestconfig: pytest.Config) -> None:
    wanted = {test for clause in said() for test in clause.tests}
    files = sorted({test.partition("::")[0] for test in wanted})
    collected: set[str] = set()

    class Keeper:
        @staticmethod
        def pytest_collection_finish(session: pytest.Session) -> None:
            collected.update(item.nodeid.partition("[")[0] for item in session.items)

    arguments = ["--collect-only", "-qq", "-p", "no:cacheprovider", "-p", "no:xdist"]
    assert pytest.main([*arguments, *(str(ROOT / one) for one in files)], [Keeper()]) == 0
    assert wanted - collected == set()
    assert pytestconfig.rootpath == ROOT


def test_clauses_are_of_dicom_each_once_and_together_by_part() -> None:
    found = [(one.standard, one.number, one.title) for one in said()]
    assert len(found) == len(set(found))
    assert {part for part, _, _ in found} <= _PARTS
    assert all(_NUMBER.fullmatch(number) for _, number, _ in found)
    parts = [part for part, _ in groupby(part for part, _, _ in found)]
    assert len(parts) == len(set(parts))


def test_every_address_of_dicomweb_is_claimed_and_no_other() -> None:
    routes = (one for one in dicomweb_routes().routes if isinstance(one, APIRoute))
    served = {
        f"{method} {route.path.removeprefix('/dicomweb')}"
        for route in routes
        for method in route.methods or ()
    }
    claimed = {route for clause in said() for route in clause.routes}
    assert claimed == served


def test_what_is_missing_is_said_in_words() -> None:
    assert all(one.says and one.standard in _PARTS for one in standards().gaps)
