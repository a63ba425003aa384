"""Running one query of FHIR's GraphQL: read, select, load, walk, reshape, and say what went wrong.

Every error carries an OperationOutcome in `extensions.resource` (R4 graphql.html#errors).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute_sync

from fhir.errors import AccessDenied, Invalid, NotFound, NotSupported, ResourceError
from fhir.guarded import GuardedRepository
from fhir.outcomes import outcome
from schema.documents import Prepared, Texts
from schema.errors import FORBIDDEN, Refused, described, internal
from schema.execution import Query
from schema.fhir_loading import FhirLoader, load
from schema.fhir_reshaping import reshape
from schema.fhir_schema import SYSTEM, fhir_schemas
from schema.fhir_selection import Selection, select
from schema.fhir_walking import Walk
from schema.limits import Budget, Limits
from schema.visible import visible

Json = Any
# IssueType of R4 for the codes whose own says less.
_ISSUES: Mapping[str, str] = MappingProxyType(
    {
        FORBIDDEN: "forbidden",
        "OPERATION_TOO_COMPLEX": "too-costly",
        "TOO_LARGE": "too-costly",
        "NOT_FOUND": "not-found",
        "NOT_SUPPORTED": "not-supported",
        "UNAVAILABLE": "transient",
        "INTERNAL_ERROR": "exception",
    }
)


@dataclass(frozen=True, slots=True)
class Focus:
    """The one resource that a query is about.

    Attributes:
        resource: Its type.
    """

    resource: str
    identifier: str


@dataclass(frozen=True, slots=True)
class FhirAnswer:
    """What the client gets.

    Attributes:
        body: `data` and `errors`; without `data` the query did not run, or found nothing to
            begin with.
        status: HTTP status code.
        failures: Unexpected exceptions behind "Internal error", for the log.
        cost: Records that were asked for; 0 if it did not run.
    """

    body: Mapping[str, Json]
    status: int = 200
    failures: tuple[GraphQLError, ...] = ()
    cost: int = 0

    @property
    def ran(self) -> bool:
        """Whether the query was run at all."""
        return "data" in self.body


class FhirOperations:
    """Runs queries; remembers texts that were parsed and validated, for every caller alike."""

    def __init__(self, limits: Limits) -> None:
        """Build the schemas."""
        self._limits = limits
        # of one resource, the roots are its elements
        self._within = replace(limits, root_fields=limits.fields)
        self._schemas = fhir_schemas()
        self._texts = {root: Texts(schema) for root, schema in self._schemas.items()}

    async def run(
        self, guarded: GuardedRepository, base_url: str, query: Query, focus: Focus | None = None
    ) -> FhirAnswer:
        """Run a query as the caller of the repository.

        Only what is expected becomes `errors`; anything else is raised, for the edge to log.

        Args:
            guarded: Repository of the caller.
            base_url: Of the server, without a slash at the end.
            query: What the client sent.
            focus: The resource whose endpoint it was sent to; None: that of the system.
        """
        root = focus.resource if focus else SYSTEM
        schema = self._schemas[root]
        try:
            prepared, cost = self._prepared(root, query)
            selection = _selected(schema, prepared, focus)
        except Refused as refused:
            return FhirAnswer({"errors": _told(refused.errors)}, Invalid.status)
        if selection.about_schema:
            shown = visible(schema, guarded.access)
            return _ended(_walked(shown, prepared, query, None, Walk()), [], cost)
        loader = FhirLoader(guarded, f"{base_url}/fhir", Budget(self._limits.cost))
        values = await load(loader, selection.places)
        if focus is not None and (refusal := _absent(loader, values[""])):
            return refusal
        failed = {at: one for at, one in values.items() if isinstance(one, ResourceError)}
        walk = Walk(
            {at: one for at, one in values.items() if at not in failed},
            loader.referred,
            selection.namings,
        )
        result = _walked(schema, prepared, query, values[""] if focus else None, walk)
        paths = {place.at: place.path for place in selection.places}
        errors = [
            *loader.refusals.errors(),
            *(described(one, path=[paths[at]]) for at, one in failed.items()),
            *(described(one, path=path.split(".")) for path, one in loader.problems.items()),
        ]
        if selection.shapes and result.data is not None:
            try:
                result = ExecutionResult(
                    reshape(schema, prepared, result.data, walk), result.errors
                )
            except Invalid as problem:
                return FhirAnswer({"errors": _told([described(problem)])}, problem.status)
        return _ended(result, errors, cost)

    def _prepared(self, root: str, query: Query) -> tuple[Prepared, int]:
        limits = self._limits if root == SYSTEM else self._within
        known = self._texts[root].read(query.text, limits)
        operation = known.operation(query.operation_name)
        if operation.operation is not OperationType.QUERY:
            problem = NotSupported("FHIR's GraphQL is here for queries alone; mutations are not.")
            raise Refused([described(problem)])
        cost = known.measure(operation, query.variables)
        known.validate()
        return known.prepared(operation, query.variables), cost


def _selected(schema: GraphQLSchema, prepared: Prepared, focus: Focus | None) -> Selection:
    try:
        return select(schema, prepared, focus.identifier if focus else None)
    except GraphQLError:
        problem = Invalid("An argument that has to have a value is given a variable without one.")
        raise Refused([described(problem)]) from None
    except ResourceError as error:
        raise Refused([described(error)]) from None


def _absent(loader: FhirLoader, found: Json) -> FhirAnswer | None:
    """Answer for a resource that is not there, or not for the caller."""
    if isinstance(found, ResourceError):
        return FhirAnswer({"errors": _told([described(found)])}, found.status)
    if found is None:
        status = AccessDenied.status if loader.refusals else NotFound.status
        return FhirAnswer({"errors": _told(loader.refusals.errors())}, status)
    return None


def _walked(
    schema: GraphQLSchema, prepared: Prepared, query: Query, root: Json, walk: Walk
) -> ExecutionResult:
    name = prepared.operation.name
    return execute_sync(
        schema,
        prepared.document,
        root_value=root,
        context_value=walk,
        variable_values=dict(query.variables),
        operation_name=name.value if name else None,
        hide_suggestions=True,
    )


def _ended(result: ExecutionResult, errors: Iterable[Mapping[str, Json]], cost: int) -> FhirAnswer:
    failures = tuple(result.errors or ())
    told = _told([*errors, *(internal(one.path or ()) for one in failures)])
    body: dict[str, Json] = {"data": result.data}
    return FhirAnswer(body | ({"errors": told} if told else {}), failures=failures, cost=cost)


def _told(errors: Iterable[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Say each error in FHIR as well."""
    return [
        {**one, "extensions": {**one["extensions"], "resource": _outcome(one)}} for one in errors
    ]


def _outcome(error: Mapping[str, Json]) -> dict[str, Json]:
    extensions = error["extensions"]
    coordinate = extensions.get("coordinate")
    return outcome(
        _ISSUES.get(extensions["code"], Invalid.issue),
        error["message"],
        [coordinate] if coordinate else [],
    )
