"""What each door shows of what is planted: labels, and the coordinates each of them tells.

Whoever adds a door to `app.doors.DOORS` adds a probe here; `test_register` insists.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydicom.uid import RLELossless

from app.rest.sessions import Session
from app.rest.study import Series, Study, StudyDetail
from app.rest.trail import Access
from fhir.annotation_files import ANNOTATION_ELEMENTS
from fhir.images import FILE_ELEMENTS
from tests.doors.fhir_graphql_probe import through_fhir_graphql
from tests.doors.fhir_probe import through_fhir
from tests.doors.graphql_probe import through_graphql
from tests.doors.metadata_probe import through_metadata
from tests.doors.planted import SESSION_ID, SOMEBODY
from tests.doors.qido_probe import through_qido
from tests.doors.sight import Json, Visit
from tests.doors.subscription_probe import through_subscriptions

Probe = Callable[[Visit], Awaitable[None]]
OWN = frozenset({"own"})
_ROW = ("ImagingStudy.id",)


async def through_rest(visit: Visit) -> None:
    target = visit.target
    detail = await visit.get(f"/postdicom/studies/{target.study}")
    if detail.status_code == 200:
        study = detail.json()["data"]
        _members(visit, StudyDetail, study, *_ROW)
        for one in study["series"] or ():
            _members(visit, Series, one, *_ROW, "ImagingStudy.series")
    listed = await visit.get("/postdicom/studies?limit=100")
    for one in listed.json()["data"] if listed.status_code == 200 else ():
        if one["studyInstanceUID"] == target.study:
            _members(visit, Study, one, *_ROW)
    for address in (
        f"/postdicom/images/{target.instance}",
        f"/postdicom/images/{target.instance}/data",
    ):
        await _bytes(visit, address, "application/dicom", *FILE_ELEMENTS)
    await _signed(visit)
    await _batch(visit)
    for kind in ("sr", "gsps"):
        address = f"/postdicom/studies/{target.study}/annotations/export?format={kind}"
        await _bytes(visit, address, "*/*", *FILE_ELEMENTS, *ANNOTATION_ELEMENTS)
    await _audit(visit)
    await _sessions(visit)
    await _cache(visit)
    await _changes(visit)
    permissions = await visit.get("/postdicom/permissions")
    assert permissions.status_code == 200


async def _signed(visit: Visit) -> None:
    signed = await visit.ask(
        "POST", f"/postdicom/images/{visit.target.instance}/presigned-url", json={"expiresIn": 60}
    )
    if signed.status_code == 200:
        # whoever has the address: without a token
        found = await Visit(visit.client, {}, visit.target, "", visit.sight).get(
            signed.json()["data"]["url"]
        )
        assert (found.status_code, bool(found.content)) == (200, True)
        visit.sight.saw("signed image", *FILE_ELEMENTS, *_ROW)


async def _batch(visit: Visit) -> None:
    for name, identifier in (("studies", visit.target.study), ("images", visit.target.instance)):
        for partial in (False, True):
            wanted = {name: [identifier], "partial": partial}
            found = await visit.ask(
                "POST", "/postdicom/batch/download", named=identifier, json=wanted
            )
            if found.status_code == 200:
                visit.sight.saw(f"batch of {name}, partial={partial}", *FILE_ELEMENTS, *_ROW)


async def _audit(visit: Visit) -> None:
    answer = await visit.get("/postdicom/audit/logs", params={"userId": SOMEBODY})
    for one in answer.json()["data"] if answer.status_code == 200 else ():
        _members(visit, Access, one, "AuditEvent.id")


async def _sessions(visit: Visit) -> None:
    for ended in ("false", "true"):
        answer = await visit.get("/postdicom/sessions", params={"ended": ended, "limit": "100"})
        for one in answer.json()["data"] if answer.status_code == 200 else ():
            if one["id"] == SESSION_ID:
                _members(visit, Session, one, "Session.id")
            elif one["userId"] == visit.agent:
                _members(visit, Session, one, "Session.id", held=OWN)


async def _cache(visit: Visit) -> None:
    answer = await visit.get("/postdicom/cache/stats")
    if answer.status_code == 200:
        visit.sight.saw("cache", "Cache.id", "Cache.stats")


async def _changes(visit: Visit) -> None:
    after, more = 0, True
    while more:
        answer = await visit.get("/postdicom/changes", params={"after": str(after)})
        if answer.status_code != 200:
            return
        for one in answer.json()["data"]:
            if one["resource"] == "Policy" or one["id"] == visit.target.study:
                visit.sight.saw(f"change of {one['resource']}", f"{one['resource']}.id")
        after, more = (answer.json()["metadata"][name] for name in ("next", "more"))


def _members(
    visit: Visit,
    shape: type[Any],
    value: Json,
    *around: str,
    held: frozenset[str] | None = None,
) -> None:
    whose = "own " if held else ""
    for name, declared in shape.model_fields.items():
        alias = declared.alias or declared.serialization_alias or name
        if name != "series" and value.get(alias) not in (None, [], False):
            coordinates = declared.json_schema_extra["x-coordinates"]
            visit.sight.saw(f"{whose}{shape.__name__}.{alias}", *coordinates, *around, held=held)


async def through_dicomweb(visit: Visit) -> None:
    target = visit.target
    study = f"/dicomweb/studies/{target.study}"
    series = f"{study}/series/{target.series}"
    instance = f"{series}/instances/{target.instance}"
    for address in (
        f"{instance}/frames/1",
        f"{instance}/rendered",
        f"{instance}/frames/1/rendered",
        f"{instance}/thumbnail",
        f"{instance}/frames/1/thumbnail",
        f"{series}/rendered",
        f"{study}/rendered",
        f"{series}/thumbnail",
        f"{study}/thumbnail",
    ):
        await _bytes(visit, address, "*/*", "Image.pixels", "Image.id")
    await _bytes(visit, f"{instance}/frames/1", "image/jls", "Image.pixels", "Image.id")
    await _bytes(visit, instance, "application/dicom", *FILE_ELEMENTS)
    for address in (instance, series, study):
        for syntax in ("*", RLELossless):
            parts = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
            await _bytes(visit, address, parts, *FILE_ELEMENTS)
    for address in (series, study):
        await _bytes(visit, address, "application/zip", *FILE_ELEMENTS)
    await through_qido(visit)
    await through_metadata(visit)


async def _bytes(visit: Visit, address: str, accept: str, *coordinates: str) -> None:
    answer = await visit.get(address, accept)
    if answer.status_code == 200:
        assert answer.content
        where = address
        for kind, identifier in visit.target.ids.items():
            where = where.replace(identifier, kind)
        visit.sight.saw(f"{where} as {accept}", *coordinates, *_ROW)


async def through_both(visit: Visit) -> None:
    await through_graphql(visit)
    await through_subscriptions(visit)


PROBES: Mapping[str, Probe] = {
    "graphql": through_both,
    "fhir": through_fhir,
    "fhir-graphql": through_fhir_graphql,
    "dicomweb": through_dicomweb,
    "rest": through_rest,
}
