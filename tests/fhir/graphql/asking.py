"""Asking FHIR's GraphQL, and reading what it says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.schema import asking

Ask = Callable[..., Awaitable["Reply"]]


@dataclass(frozen=True)
class Reply(asking.Reply):
    """One answer; each of its errors says the same as an OperationOutcome."""

    @property
    def data(self) -> Any:
        """Data of an answer without errors."""
        assert self.status == 200
        return super().data

    @property
    def errors(self) -> list[dict[str, Any]]:
        """All errors, each with an OperationOutcome that says the same."""
        found: list[dict[str, Any]] = self.body.get("errors", [])
        for one in found:
            outcome = one["extensions"]["resource"]
            assert outcome["resourceType"] == "OperationOutcome"
            [issue] = outcome["issue"]
            assert issue["severity"] == "error"
            assert issue["diagnostics"] == issue["details"]["text"] == one["message"]
        return found

    @property
    def problem(self) -> tuple[int, str, str]:
        """Status, code and IssueType of the one error."""
        [error] = self.errors
        extensions = error["extensions"]
        return self.status, extensions["code"], extensions["resource"]["issue"][0]["code"]

    @property
    def message(self) -> str:
        """What the one error says."""
        [error] = self.errors
        return str(error["message"])

    @property
    def forbidden(self) -> dict[str, list[str]]:
        """Refused coordinates and where; there is no other error."""
        found = {}
        for one in self.errors:
            extensions = one["extensions"]
            assert extensions["code"] == "FORBIDDEN", one
            [issue] = extensions["resource"]["issue"]
            assert issue["code"] == "forbidden"
            assert issue["expression"] == [extensions["coordinate"]]
            found[extensions["coordinate"]] = extensions["paths"]
        assert len(found) == len(self.errors)
        return found
