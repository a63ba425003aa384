"""Reading the audit: the query of `/postdicom/audit/logs` as a search, its rows as data."""

from datetime import UTC, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from app.rest.envelope import Described, PageMetadata, Paging, Shape
from app.rest.study import coordinates, member, refused_members
from app.settings import Settings
from fhir.errors import Invalid
from fhir.guarded import GuardedRepository, Page, Row
from fhir.repository import Sort
from fhir.search import Search, criteria, escape

Json = Any


class TrailQuery(Paging):
    """What `/postdicom/audit/logs` may be asked; criteria are joined by AND."""

    user_id: str | None = Field(
        None,
        alias="userId",
        min_length=1,
        max_length=1024,
        description="issuer#subject of the token, as `userId` has it",
    )
    start_date: str | None = Field(
        None, alias="startDate", description="YYYY-MM-DD or a date-time with offset, included"
    )
    end_date: str | None = Field(
        None,
        alias="endDate",
        description="YYYY-MM-DD or a date-time with offset, included. Reading the audit adds to "
        "it: name the time of the first page here to turn pages over what does not grow",
    )
    action: Literal["read", "search", "create", "update", "delete", "login"] | None = None
    success: bool | None = Field(
        None, description="true: what was allowed; false: what was refused, or failed"
    )


class Access(Shape):
    """One access, allowed or not."""

    id: str | None = member("AuditEvent.id", about="of this record")
    timestamp: str | None = member(
        "AuditEvent.recorded", about="UTC", example="2024-02-29T09:15:00.123Z"
    )
    action: str | None = member("AuditEvent.action", about="what was done", example="search")
    outcome: str | None = member(
        "AuditEvent.outcome", about="allowed, refused or failed", example="allowed"
    )
    success: bool | None = member("AuditEvent.outcome", about="whether it was allowed")
    user_id: str | None = member("AuditEvent.agent", about="issuer#subject of the token")
    user_name: str | None = member("AuditEvent.agent", about="as the token says")
    roles: list[str] | None = member("AuditEvent.agent", about="as the token says")
    address: str | None = member("AuditEvent.agent", about="network address of the peer")
    door: str | None = member(
        "AuditEvent.source", about="graphql, fhir, dicomweb, rest or cli", example="rest"
    )
    request_id: str | None = member("AuditEvent.source", about="X-Request-Id")
    resource: str | None = member("AuditEvent.entity", about="type", example="ImagingStudy")
    resource_ids: list[str] | None = member(
        "AuditEvent.entity", about="given out or changed, at most 1,000"
    )
    patient_ids: list[str] | None = member(
        "AuditEvent.entity", about="FHIR ids of the Patients that they are about"
    )
    total: int | None = member("AuditEvent.entity", about="how many there were")
    query: str | None = member("AuditEvent.entity", about="as the client wrote it")
    refused: list[str] | None = member(
        "AuditEvent.entity", about="policy coordinates asked for and not given"
    )


async def list_accesses(
    guarded: GuardedRepository, query: TrailQuery, settings: Settings, text: str
) -> Described[list[Access], PageMetadata]:
    """List a page of the audit, the latest first.

    Args:
        guarded: Repository of the caller.
        query: What is asked.
        settings: Knows in which zone days begin here.
        text: The query as the client wrote it, for the audit.

    Raises:
        AccessDenied: The audit, or what it is searched by, is closed to the caller.
        Invalid: A criterion makes no sense.
    """
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else UTC
    page = Page(query.limit, sort=(Sort("date", descending=True),), counted=True, skip=query.offset)
    found = await guarded.search(
        _criteria(query, zone), page, elements=coordinates(Access), query=text
    )
    refused = found.refused.union(*(row.refused for row in found.rows))
    metadata = query.metadata(
        found.total, more=found.more, refused=refused_members(Access, refused)
    )
    data = [_access(row) for row in found.rows]
    return Described[list[Access], PageMetadata](data=data, metadata=metadata)


def _criteria(query: TrailQuery, zone: tzinfo) -> Search:
    pairs: list[tuple[str, str]] = []
    if query.user_id is not None:
        pairs.append(("agent", escape(query.user_id)))
    for name, prefix, text in (
        ("startDate", "ge", query.start_date),
        ("endDate", "le", query.end_date),
    ):
        if text is not None:
            if not text[:1].isdigit():
                raise Invalid(f"{name} takes YYYY-MM-DD or a date-time with offset")
            # a plus that nobody escaped
            pairs.append(("date", prefix + text.replace(" ", "+")))
    if query.action is not None:
        pairs.append(("action", query.action))
    if query.success is not None:
        pairs.append(("outcome", "allowed" if query.success else "refused,failed"))
    return criteria("AuditEvent", pairs, zone=zone)


def _access(row: Row) -> Access:
    said = row.resource
    agent, source, entity = (said.get(name, {}) for name in ("agent", "source", "entity"))
    recorded, outcome = said.get("recorded"), said.get("outcome")
    return Access(
        id=said.get("id"),
        timestamp=recorded.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if recorded
        else None,
        action=said.get("action"),
        outcome=outcome,
        success=None if outcome is None else outcome == "allowed",
        user_id=agent.get("who"),
        user_name=agent.get("name"),
        roles=agent.get("roles"),
        address=agent.get("address"),
        door=source.get("door"),
        request_id=source.get("requestId"),
        resource=entity.get("resource"),
        resource_ids=entity.get("ids"),
        patient_ids=entity.get("patients"),
        total=entity.get("total"),
        query=entity.get("query"),
        refused=entity.get("refused"),
    )
