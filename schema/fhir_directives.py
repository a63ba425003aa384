"""The directives that FHIR's GraphQL adds, as they are declared (`schema.fhir_reshaping` acts)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from graphql import (
    DirectiveLocation,
    FieldNode,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLString,
)
from graphql.execution.values import VariableValues, get_argument_values

from fhir.errors import Invalid
from schema.fhir_path import Naming, naming

_SAID: Mapping[str, str] = MappingProxyType(
    {
        "flatten": "The field is left out, and what is selected in it stands in its place; inside "
        "a list everything becomes a list.",
        "first": "Of a list, only the first item.",
        "singleton": "One value and not a list, whatever @flatten makes of it; more than one value "
        "is an error.",
    }
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the directives of one field say."""

    flatten: bool = False
    first: bool = False
    singleton: bool = False
    slice: Naming | None = None

    @property
    def plain(self) -> bool:
        """Whether they say nothing."""
        return self == _PLAIN


_PLAIN = Shape()


@lru_cache(maxsize=1)
def directives() -> tuple[GraphQLDirective, ...]:
    """Declare the directives."""
    where = [DirectiveLocation.FIELD]
    said = [GraphQLDirective(name, where, description=text) for name, text in _SAID.items()]
    return (*said, _slice())


def shape_of(node: FieldNode, variables: VariableValues) -> Shape:
    """Read the directives of a field.

    Raises:
        Invalid: They cannot be used together.
        NotSupported: What `@slice` is given is not understood.
    """
    named = {one.name.value: one for one in node.directives or ()}
    if not named.keys() & {*_SAID, "slice"}:
        return _PLAIN
    sliced = None
    if "slice" in named:
        given = get_argument_values(_slice(), named["slice"], variables)
        texts = [one for one in (given.get("path"), given.get("fhirpath")) if one is not None]
        if len(texts) != 1:
            raise Invalid("@slice: give path, or fhirpath, and not both")
        sliced = naming(texts[0])
    if sliced is not None and "first" in named:
        raise Invalid("@slice and @first do not go together")
    if "flatten" in named and node.selection_set is None:
        raise Invalid("@flatten is for fields that others are selected in")
    return Shape("flatten" in named, "first" in named, "singleton" in named, sliced)


@lru_cache(maxsize=1)
def _slice() -> GraphQLDirective:
    text = "Gives each item's name: a path of names from the item inwards, or $index."
    return GraphQLDirective(
        "slice",
        [DirectiveLocation.FIELD],
        args={
            "path": GraphQLArgument(GraphQLString, description=text),
            "fhirpath": GraphQLArgument(GraphQLString, description="The same as `path`."),
        },
        description="Each item of a list stands for itself, under the field's name and, after a "
        "full stop, its own.",
    )
