"""The schema of FHIR's GraphQL (R4 graphql.html), made out of the declarations of our own.

Elements and datatypes are those of `schema.query`'s types, each with what was declared of it; left
out is what is not FHIR. Added are the arguments of lists, `_` companions of primitives,
`Reference.resource`, reverse references, and FHIR's roots.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    print_schema,
    specified_directives,
)

from fhir.elements import COORDINATES
from fhir.parameters import PARAMETERS
from fhir.referring import TYPES
from fhir.search import coordinates_of
from schema import fhir_walking
from schema.build import build_schema
from schema.coordinates import Kind, Policy, check, policy_of
from schema.fhir_directives import directives
from schema.fhir_scalars import element_value, search_value
from schema.paging import LARGEST_PAGE

SYSTEM = ""
"""Names the schema whose query begins with a choice of resources."""

MOST_LISTED = 1_000
# What refers back to a record: by its type, the type that does and by which parameters.
REVERSE: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Patient": ("ImagingStudy", ("patient", "subject")),
        "Endpoint": ("ImagingStudy", ("endpoint",)),
    }
)
_PLUMBING = Policy(Kind.PLUMBING)
_PART = Policy(Kind.PART)
_LIST = (
    ("_count", GraphQLInt, "At most so many items."),
    ("_offset", GraphQLInt, "So many items are passed over, of those that match."),
    ("fhirpath", GraphQLString, "Only items of which this FHIRPath is true."),
)


@lru_cache(maxsize=1)
def fhir_schemas() -> Mapping[str, GraphQLSchema]:
    """Build the schemas, once: that of the system, and by type that of one resource.

    Raises:
        Undeclared: A field does not say what decides about it.
    """
    made = _Made(build_schema(mutation=None, subscription=None))
    roots = {SYSTEM: made.query(), **{one: made.type(one) for one in TYPES}}
    schemas = {
        name: GraphQLSchema(root, directives=[*specified_directives, *directives()])
        for name, root in roots.items()
    }
    for one in schemas.values():
        check(one)
    return MappingProxyType(schemas)


def fhir_sdl() -> str:
    """Write the schema of the system in GraphQL's schema language."""
    return print_schema(fhir_schemas()[SYSTEM]) + "\n"


@dataclass(slots=True)
class _Made:
    """Types made so far; their fields are made when the schema asks for them."""

    ours: GraphQLSchema
    types: dict[str, GraphQLObjectType] = field(default_factory=dict)
    enums: dict[str, GraphQLEnumType] = field(default_factory=dict)
    unions: dict[str, GraphQLUnionType] = field(default_factory=dict)

    def type(self, name: str) -> GraphQLObjectType:
        """Give a resource or datatype."""
        whole = self.ours.type_map[name]
        assert isinstance(whole, GraphQLObjectType)  # noqa: S101 -- we declared it
        return self._object(name, lambda: self._fields(whole), whole.description)

    def query(self) -> GraphQLObjectType:
        """Give the root of the system."""
        return self._object(
            "Query",
            lambda: {key: one for name in TYPES for key, one in self._roots(name).items()},
            "A root is null, with a coded error, where nothing is found or nothing may be seen.",
        )

    def _object(
        self, name: str, fields: Callable[[], dict[str, GraphQLField]], description: str | None
    ) -> GraphQLObjectType:
        if name not in self.types:
            self.types[name] = GraphQLObjectType(name, fields, description=description)
        return self.types[name]

    def _fields(self, whole: GraphQLObjectType) -> dict[str, GraphQLField]:
        made: dict[str, GraphQLField] = {}
        if whole.name in TYPES:
            text = f"Always {whole.name}."
            made["resourceType"] = _field(GraphQLString, text, _PLUMBING)
        for name, one in whole.fields.items():
            policy = policy_of(one)
            if policy is not None and _is_fhir(policy):
                made |= self._element(name, one, policy)
        if whole.name == "Reference":
            made["resource"] = self._resource()
        if whole.name in REVERSE:
            made |= self._reverse(whole.name)
        return made

    def _element(self, name: str, one: GraphQLField, policy: Policy) -> dict[str, GraphQLField]:
        inner = get_named_type(one.type)
        made = {
            name: GraphQLField(
                self._output(one.type),
                args=self._picking(inner, policy) if _is_list_of_parts(one) else {},
                resolve=fhir_walking.element,
                description=one.description,
                extensions={"policy": policy},
            )
        }
        if is_leaf_type(inner) and name not in {"id", "url"}:
            kind = self._companion()
            made[f"_{name}"] = GraphQLField(
                GraphQLList(kind) if is_list_type(get_nullable_type(one.type)) else kind,
                resolve=fhir_walking.element,
                description=f"What is said about `{name}`, and goes with it.",
                extensions={"policy": _beside(policy)},
            )
        return made

    def _output(self, kind: Any) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return GraphQLNonNull(self._output(kind.of_type))
        if isinstance(kind, GraphQLList):
            return GraphQLList(self._output(kind.of_type))
        if isinstance(kind, GraphQLObjectType):
            return self.type(kind.name)
        return kind

    def _picking(self, items: Any, policy: Policy) -> dict[str, GraphQLArgument]:
        """Declare the arguments of a list: its part, FHIRPath, and equality of primitives."""
        made = {name: GraphQLArgument(kind, description=text) for name, kind, text in _LIST}
        for name, one in items.fields.items():
            inner = policy_of(one)
            if (
                inner is None
                or not _is_fhir(inner)
                or not is_leaf_type(get_nullable_type(one.type))
            ):
                continue
            # where it has one of its own, whoever asks by it needs the right to read it
            own = inner.coordinate if inner.coordinate in COORDINATES else policy.coordinate
            made[name] = GraphQLArgument(
                element_value(),
                description=f"Only items whose `{name}` is this.",
                extensions={"coordinate": own},
            )
        return made

    def _companion(self) -> GraphQLObjectType:
        def fields() -> dict[str, GraphQLField]:
            extension = self.ours.type_map["Extension"]
            assert isinstance(extension, GraphQLObjectType)  # noqa: S101 -- we declared it
            extensions = self._element("extension", extension.fields["extension"], _PART)
            return {
                "id": _field(GraphQLID, "For references within a resource.", _PART),
                **extensions,
            }

        return self._object("ElementBase", fields, "What can be said about a primitive element.")

    def _resource(self) -> GraphQLField:
        return GraphQLField(
            self._union(),
            args={
                "optional": GraphQLArgument(
                    GraphQLBoolean,
                    default_value=False,
                    description="Whether it is fine if nothing is found.",
                ),
                "type": GraphQLArgument(
                    GraphQLList(GraphQLNonNull(self._enum("ResourceType", TYPES))),
                    description="Only resources of these types; others are left out.",
                ),
            },
            resolve=fhir_walking.referred,
            description="What the reference refers to, if it is here and open; each type that it "
            "may be of is decided about by itself.",
            extensions={"policy": _PLUMBING},
        )

    def _union(self) -> GraphQLUnionType:
        if "Resource" not in self.unions:
            self.unions["Resource"] = GraphQLUnionType(
                "Resource",
                lambda: [self.type(one) for one in TYPES],
                resolve_type=fhir_walking.type_of,
                description="A resource of any type that is here.",
            )
        return self.unions["Resource"]

    def _enum(self, name: str, values: tuple[str, ...]) -> GraphQLEnumType:
        if name not in self.enums:
            texts = {one: GraphQLEnumValue(one, description=f"{one}.") for one in values}
            self.enums[name] = GraphQLEnumType(name, texts, description=f"{name}, by name.")
        return self.enums[name]

    def _roots(self, name: str) -> dict[str, GraphQLField]:
        identifier = GraphQLArgument(GraphQLNonNull(GraphQLID), description="Logical id.")
        link = fhir_walking.root
        cursor = {"_cursor": GraphQLArgument(GraphQLString, description="`next` of another page.")}
        return {
            name: self._link(name, "one", self.type(name), {"id": identifier}, link),
            f"{name}List": self._list(name, {}, link),
            f"{name}Connection": self._connection(name, cursor, link),
        }

    def _reverse(self, name: str) -> dict[str, GraphQLField]:
        referring, by = REVERSE[name]
        tells = frozenset[str]().union(
            *(coordinates_of(referring, PARAMETERS[referring][one]) for one in by)
        )
        kind = GraphQLNonNull(self._enum(f"{referring}By{name}", by))
        how = {"_reference": GraphQLArgument(kind, description="By which search parameter.")}
        link = fhir_walking.linked
        return {
            f"{referring}List": self._list(referring, how, link, tells),
            f"{referring}Connection": self._connection(referring, how, link, tells),
        }

    def _list(
        self,
        name: str,
        further: Mapping[str, GraphQLArgument],
        resolve: Any,
        tells: frozenset[str] = frozenset(),
    ) -> GraphQLField:
        kind = GraphQLList(GraphQLNonNull(self.type(name)))
        count = f"Only the first so many; else all, and an error above {MOST_LISTED:,}."
        path = GraphQLArgument(GraphQLString, description=_LIST[2][2])
        arguments = {**further, **_searching(name, count), "fhirpath": path}
        return self._link(name, "list", kind, arguments, resolve, tells)

    def _connection(
        self,
        name: str,
        further: Mapping[str, GraphQLArgument],
        resolve: Any,
        tells: frozenset[str] = frozenset(),
    ) -> GraphQLField:
        count = f"Matches of a page, 1 to {LARGEST_PAGE}."
        kind = self._page(name)
        arguments = {**further, **_searching(name, count)}
        return self._link(name, "connection", kind, arguments, resolve, tells)

    def _page(self, name: str) -> GraphQLObjectType:
        def edge() -> dict[str, GraphQLField]:
            return {
                "mode": _field(GraphQLString, "match: it is what was searched for.", _PLUMBING),
                "score": _field(GraphQLFloat, "Always null: matches are not ranked.", _PLUMBING),
                "resource": _field(GraphQLNonNull(self.type(name)), "What was found.", _PLUMBING),
            }

        def page() -> dict[str, GraphQLField]:
            edges = self._object(f"{name}Edge", edge, "One match.")
            whole = GraphQLNonNull(GraphQLList(GraphQLNonNull(edges)))
            rest = {key: _field(kind, text, _PLUMBING) for key, kind, text in _PAGE}
            return {**rest, "edges": _field(whole, "The matches of this page.", _PLUMBING)}

        return self._object(f"{name}Connection", page, "A page of a search.")

    def _link(
        self,
        name: str,
        fetch: str,
        kind: Any,
        arguments: dict[str, GraphQLArgument],
        resolve: Any,
        tells: frozenset[str] = frozenset(),
    ) -> GraphQLField:
        policy = Policy(Kind.LINK, f"{name}.id", fetch=fetch, tells=tells)
        told = "".join(f", `{one}`" for one in sorted(tells))
        text = {"one": "One resource.", "list": "All that match."}.get(fetch, "A page of matches.")
        return GraphQLField(
            kind,
            args=arguments,
            resolve=resolve,
            description=f"{text} Policy: `{name}.id`{told}.",
            extensions={"policy": policy},
        )


_PAGE = (
    ("count", GraphQLInt, "Matches on all pages that you may see."),
    ("offset", GraphQLInt, "0 on the first page; later ones do not count."),
    ("pagesize", GraphQLInt, "`_count`."),
    ("first", GraphQLString, "`_cursor` of the first page."),
    ("previous", GraphQLString, "Always null: pages are walked forwards."),
    ("next", GraphQLString, "`_cursor` of the next page, if there is one."),
    ("last", GraphQLString, "Always null: pages are walked forwards."),
)


def _field(kind: Any, description: str, policy: Policy) -> GraphQLField:
    return GraphQLField(
        kind,
        resolve=fhir_walking.element,
        description=description,
        extensions={"policy": policy},
    )


def _beside(policy: Policy) -> Policy:
    return Policy(policy.kind, policy.coordinate, policy.needs)


def _is_fhir(policy: Policy) -> bool:
    return policy.kind is Kind.PART or (policy.kind is Kind.ELEMENT and policy.resource in TYPES)


def _is_list_of_parts(one: GraphQLField) -> bool:
    kind = get_nullable_type(one.type)
    return is_list_type(kind) and not is_leaf_type(get_named_type(kind))


def _searching(name: str, count: str) -> dict[str, GraphQLArgument]:
    """Declare the arguments that narrow, bound and sort."""
    filters = {
        row.name.replace("-", "_"): GraphQLArgument(
            GraphQLList(search_value(row.kind)),
            description=f"Search parameter `{row.name}`: one of these values.",
        )
        for row in PARAMETERS[name].values()
    }
    return {
        "_filter": GraphQLArgument(
            GraphQLString, description="Further criteria, joined by `and`: `started ge 2024-01-01`."
        ),
        **filters,
        "_sort": GraphQLArgument(
            GraphQLString, description="Parameters, joined by commas; a hyphen descends."
        ),
        "_count": GraphQLArgument(GraphQLInt, description=count),
    }
