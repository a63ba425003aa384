"""Searches through a reference: `patient.name=…` and `_has:ImagingStudy:patient:modality=…`.

What lies at the other end is searched for as the caller could themselves: by what is open to them,
among the rows that are theirs. Only then are the rows searched that refer to it, or that it
refers to, and of these nothing is found that two searches of the caller's would not give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir.access import Entry
from fhir.errors import Invalid, NotSupported
from fhir.guarded import GuardedRepository
from fhir.parameters import PARAMETERS, Parameter
from fhir.referring import references, referred, referring_to, targets
from fhir.repository import Wanted
from fhir.search import Among, Search, all_of, coordinates_of, criteria

Pair = tuple[str, str]

MAX_CHAINS = 5
MAX_LINKED = 10_000
HAS = "_has"
_ONE_DEEP = "one link at most can be followed in a search"


@dataclass(frozen=True, slots=True)
class Chain:
    """Criteria about what rows refer to, or about what refers to them.

    Attributes:
        other: Type at the other end.
        via: Search parameter that refers, of the type searched or of the other one.
        back: Whether the other one refers.
        pairs: Criteria that one resource at the other end meets.
    """

    other: str
    via: Parameter
    back: bool
    pairs: tuple[Pair, ...]


def is_chained(resource: str, name: str) -> bool:
    """Say whether a name in a query is that of a chain, known or not."""
    return _start(name) == HAS or ("." in name and _start(name) in PARAMETERS[resource])


def _start(name: str) -> str:
    return name.partition(".")[0].partition(":")[0]


def read_chains(resource: str, pairs: Sequence[Pair]) -> list[Chain]:
    """Read the chained criteria of a search.

    Several about the one patient of a study are one chain: each of them narrows it.

    Raises:
        NotSupported: A link that is not there, or more than one in a row.
        Invalid: There are too many.
    """
    if len(pairs) > MAX_CHAINS:
        raise Invalid(f"more than {MAX_CHAINS} chained criteria")
    chains: list[Chain] = []
    joined: dict[tuple[str, Parameter], list[Pair]] = {}
    for name, value in pairs:
        if _start(name) == HAS:
            other, via, criterion = _reverse(resource, name)
            chains.append(Chain(other, via, back=True, pairs=((criterion, value),)))
            continue
        other, via, criterion = _forward(resource, name)
        if via.paths == _SUBJECT:
            joined.setdefault((other, via), []).append((criterion, value))
        else:
            # each value of a list may be another resource's
            chains.append(Chain(other, via, back=False, pairs=((criterion, value),)))
    for (other, via), some in joined.items():
        chains.append(Chain(other, via, back=False, pairs=tuple(some)))
    for chain in chains:
        criteria(chain.other, chain.pairs)  # what cannot be read is refused before anything is done
    return chains


_SUBJECT = ("subject",)  # R4 cardinality 1..1


def _forward(resource: str, name: str) -> tuple[str, Parameter, str]:
    start, _, criterion = name.partition(".")
    bare, _, kind = start.partition(":")
    via = PARAMETERS[resource][bare]
    if via not in references(resource):
        able = ", ".join(one.name for one in references(resource)) or "none here"
        raise NotSupported(f"a dot may follow a parameter that refers to something: {able}")
    if kind and kind not in targets(via):
        raise NotSupported(f"{via.name}: refers to {' or '.join(targets(via))} on this server")
    return kind or _only(via), via, _criterion(criterion)


def _only(via: Parameter) -> str:
    found = targets(via)
    if len(found) > 1:
        raise NotSupported(f"{via.name}: say which type is meant, as in {via.name}:{found[0]}.…")
    return found[0]


def _reverse(resource: str, name: str) -> tuple[str, Parameter, str]:
    _, other, by, criterion = [*name.split(":", 3), "", "", ""][:4]
    known = {(source, row.name): row for source, row in referring_to(resource)}
    if (other, by) not in known or not criterion:
        able = ", ".join(f"{HAS}:{source}:{one}:…" for source, one in known) or "nothing"
        raise NotSupported(f"{HAS} takes {able} here, and a search parameter of that type")
    return other, known[other, by], _criterion(criterion)


def _criterion(name: str) -> str:
    if "." in name or _start(name) == HAS:
        raise NotSupported(_ONE_DEEP)
    return name


async def follow(
    guarded: GuardedRepository, search: Search, chains: Sequence[Chain], base_url: str
) -> Search:
    """Write chains as criteria of the type searched.

    Args:
        guarded: Repository of the caller.
        search: Criteria without chains.
        chains: What has to hold besides.
        base_url: Prefix that makes an absolute reference ours.

    Raises:
        AccessDenied: What a chain looks at is closed, at either end or between.
        Invalid: So much is at the other end that it has to be narrowed.
    """
    if chains:
        between = [_here(search.resource, one) for one in chains]
        search = Search(
            search.resource, search.tree, search.coordinates.union(*between), search.either
        )
        await guarded.rows(search)  # nothing is looked up for who may not search here
    parts = [await _followed(guarded, search.resource, one, base_url) for one in chains]
    return Search(search.resource, all_of((search.tree, *parts)), search.coordinates, search.either)


def _here(resource: str, chain: Chain) -> set[str]:
    """List the elements of the type searched that a chain looks at."""
    return {f"{resource}.id"} if chain.back else coordinates_of(resource, chain.via)


async def _followed(
    guarded: GuardedRepository, resource: str, chain: Chain, base_url: str
) -> Among:
    asked = criteria(chain.other, chain.pairs, base_url=base_url)
    looked_at = coordinates_of(chain.other, chain.via) if chain.back else set()
    search = Search(chain.other, asked.tree, asked.coordinates | looked_at, asked.either)
    paths = (f"{path}.reference" for path in chain.via.paths if chain.back)
    records = await guarded.repository.find(
        chain.other,
        await guarded.rows(search),
        wanted=Wanted(frozenset({"id", *paths})),
        limit=MAX_LINKED + 1,
    )
    if len(records) > MAX_LINKED:
        raise Invalid(
            f"more than {MAX_LINKED:,} of {chain.other} meet a chained criterion: narrow it, or "
            f"search {chain.other} first"
        )
    query = urlencode(chain.pairs)
    guarded.access.note(Entry("search", chain.other, "allowed", total=len(records), query=query))
    if not chain.back:
        return Among(chain.via.name, frozenset(f"{chain.other}/{one.id}" for one in records))
    return Among(
        "_id",
        frozenset(
            identifier
            for one in records
            for kind, identifier in referred(one.resource, chain.via)
            if kind == resource
        ),
    )
