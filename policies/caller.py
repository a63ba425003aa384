"""Who is asking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated person or program, as the token says and nothing else.

    Attributes:
        subject: `iss` and `sub` of the token, joined by `#`; unique over all issuers.
        name: What the token calls the caller; for the audit record only.
        roles: Canonical role names (see `policies/rules.csv`). Never empty.
        variables: What `{...}` in `scopes.toml` stands for, as far as the token says it:
            `patient` (ids of Patient resources the caller is), `specialty`, … A variable without
            a value matches nothing.
        scopes: SMART scopes of the token, verbatim.
        context: Id of the Patient whose record a SMART app was opened on; for practitioners too.
    """

    subject: str
    roles: frozenset[str]
    name: str | None = None
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    scopes: frozenset[str] = frozenset()
    context: str | None = None
