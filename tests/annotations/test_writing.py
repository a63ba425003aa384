"""Writing on images: who may, what is kept of it, and what makes no sense."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.imaging.deletion import delete_study
from fhir.guarded import MAX_IN_STUDIES
from tests.annotations.world import (
    ANNOTATE,
    COLOUR,
    EDIT,
    ELSEWHERE,
    ELSEWHERE_SLICE,
    LENGTH,
    LINE,
    MEASURED,
    NO_PICTURE,
    OTHER_SLICE,
    REMOVE,
    SLICE,
    STACK,
    STUDY,
    World,
    subject,
)
from tests.build import study
from tests.policy import book, doors
from tests.schema.asking import nodes

LIST = "{annotations {totalCount edges {node {id note {text}}}}}"
RAY, EVE = {"subject": "ray"}, {"subject": "eve"}


async def listed(world: World, role: str = "radiologist", given: str = "", **who: str) -> list[Any]:
    reply = await world.ask(f"{{annotations{given} {{edges {{node {{id}}}}}}}}", role, **who)
    return nodes(reply.data["annotations"])


async def test_what_is_written_is_kept_with_its_author_and_its_place(world: World) -> None:
    written = await world.write(
        text="  Nodule, 14 mm\nno change ", code=LENGTH, graphic=LINE, measurement=MEASURED
    )
    identifier, now = written.pop("id"), written["recorded"]
    assert written == {
        "meta": {"versionId": "1"},
        "study": STUDY,
        "series": f"{STUDY}.1",
        "image": SLICE,
        "frame": 1,
        "patient": {"reference": f"Patient/{world.patients[STUDY]}"},
        "note": {"authorString": "ray", "time": now, "text": "Nodule, 14 mm\nno change"},
        "author": subject("ray"),
        "code": {"coding": [LENGTH]},
        "graphic": LINE,
        "measurement": {
            "value": 14.25,
            "unit": "mm",
            "system": "http://unitsofmeasure.org",
            "code": "mm",
        },
        "status": "active",
        "recorded": now,
        "removed": None,
    }
    assert await listed(world) == [identifier]
    [event] = await world.audited(action="create")
    assert (event["resource"], event["ids"]) == ("ImageAnnotation", [identifier])
    assert event["patients"] == [world.patients[STUDY]]
    assert "Nodule" not in str(await world.audited())


async def test_an_annotation_may_be_about_the_study_or_about_all_frames(world: World) -> None:
    about_study = await world.write(image=None)
    assert [about_study[one] for one in ("series", "image", "frame")] == [None, None, None]
    about_stack = await world.write(image=STACK)
    assert (about_stack["image"], about_stack["frame"]) == (STACK, None)
    about_frame = await world.write(image=STACK, frame=3, graphic=LINE)
    assert about_frame["frame"] == 3


@pytest.mark.parametrize(
    "graphic",
    [
        {"type": "POINT", "points": [0, 0]},
        {"type": "POINT", "points": [30, 20]},
        {"type": "MULTIPOINT", "points": [0.5, 0.5]},
        {"type": "MULTIPOINT", "points": [1.0] * 2000},
        {"type": "POLYLINE", "points": [1.0] * 2000},
        {"type": "CIRCLE", "points": [10, 10, 12, 10]},
        {"type": "ELLIPSE", "points": [5, 10, 25, 10, 15, 5, 15, 15]},
    ],
)
async def test_every_shape_is_kept_point_by_point(world: World, graphic: Any) -> None:
    assert (await world.write(graphic=graphic))["graphic"] == graphic


WRONG = [
    ({"text": "  "}, "text: 1 to 4000 characters, without control characters"),
    ({"text": "x" * 4001}, "text: 1 to 4000 characters, without control characters"),
    ({"text": "a\x00b"}, "text: 1 to 4000 characters, without control characters"),
    ({"text": "a\u202eb"}, "text: 1 to 4000 characters, without control characters"),
    ({"frame": 0}, "frame: 1 to 1"),
    ({"frame": 2}, "frame: 1 to 1"),
    ({"image": STACK, "frame": 4}, "frame: 1 to 3"),
    (
        {"image": STACK, "graphic": LINE},
        "frame: the image has 3; say on which one the graphic is",
    ),
    ({"image": None, "frame": 1}, "image: say which image the frame or graphic is of"),
    ({"image": None, "graphic": LINE}, "image: say which image the frame or graphic is of"),
    (
        {"image": NO_PICTURE, "graphic": LINE},
        "graphic: the object is no picture; leave it out",
    ),
    ({"measurement": MEASURED}, "measurement: say in `code` what was measured"),
    (
        {"measurement": {"value": 1, "unit": "mm "}, "code": LENGTH},
        "measurement.unit: a UCUM code of at most 16 characters",
    ),
    (
        {"measurement": {"value": 1, "unit": "m" * 17}, "code": LENGTH},
        "measurement.unit: a UCUM code of at most 16 characters",
    ),
    ({"code": LENGTH | {"code": "4 1"}}, "code.code: 1 to 64 characters, without white space"),
    ({"code": LENGTH | {"display": "a\nb"}}, "code.display: one line, without a backslash"),
    (
        {"code": LENGTH | {"display": "x" * 65}},
        "code.display: 1 to 64 characters, without control characters",
    ),
    *(
        (
            {"graphic": {"type": kind, "points": [1.0] * number}},
            f"graphic.points: {kind} has {wanted} points, column and row of each",
        )
        for kind, number, wanted in (
            ("POINT", 4, "1"),
            ("POINT", 1, "1"),
            ("MULTIPOINT", 0, "1 to 1,000"),
            ("MULTIPOINT", 2002, "1 to 1,000"),
            ("POLYLINE", 2, "2 to 1,000"),
            ("CIRCLE", 6, "2"),
            ("ELLIPSE", 6, "4"),
        )
    ),
    *(
        (
            {"graphic": {"type": "POINT", "points": points}},
            "graphic.points: within the image, columns 0 to 30, rows 0 to 20",
        )
        for points in ([30.01, 1], [1, 20.01], [-0.01, 1], [1, -0.01])
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
async def test_what_makes_no_sense_is_not_written(
    world: World, wrong: dict[str, Any], message: str
) -> None:
    before = await world.everything()
    variables = {"study": STUDY, "image": SLICE, "text": "A nodule"} | wrong
    reply = await world.ask(ANNOTATE, variables=variables, **RAY)
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"] == message
    assert await world.everything() == before


async def test_a_code_system_that_dicom_does_not_know_is_refused(world: World) -> None:
    variables = {"study": STUDY, "text": "A", "code": LENGTH | {"system": "https://example.org"}}
    reply = await world.ask(ANNOTATE, variables=variables, **RAY)
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"].startswith("code.system: one of http://")


@pytest.mark.parametrize(
    "where", [{"study": "9.9"}, {"study": ELSEWHERE}, {"image": "9.9"}, {"image": ELSEWHERE_SLICE}]
)
async def test_what_is_not_there_is_not_written_on(world: World, where: dict[str, str]) -> None:
    before = await world.everything()
    variables = {"study": STUDY, "image": SLICE, "text": "A nodule"} | where
    reply = await world.ask(ANNOTATE, variables=variables, **RAY)
    assert reply.code == "NOT_FOUND"
    assert await world.everything() == before


@pytest.mark.parametrize(
    "role", ["patient", "proxy", "nurse", "resident", "technologist", "admin", "auditor", "billing"]
)
async def test_whoever_may_not_write_writes_nothing(world: World, role: str) -> None:
    await world.care_team("eve")
    before = await world.everything()
    variables = {"study": STUDY, "image": SLICE, "text": "A nodule"}
    who = EVE | ({"patient": world.patients[STUDY]} if role == "patient" else {})
    reply = await world.ask(ANNOTATE, role, variables, **who)
    assert reply.forbidden.keys() >= {"ImageAnnotation.id"}
    assert await world.everything() == before


async def test_a_provider_writes_for_whom_they_look_after_and_reads_it(world: World) -> None:
    await world.care_team("eve")
    written = await world.write("provider", "eve")
    before = await world.everything()
    variables = {"study": ELSEWHERE, "image": ELSEWHERE_SLICE, "text": "A nodule"}
    reply = await world.ask(ANNOTATE, "provider", variables, **EVE)
    assert reply.code == "FORBIDDEN"
    assert await world.everything() == before
    await world.write(study=ELSEWHERE, image=ELSEWHERE_SLICE)
    assert await listed(world, "provider", **EVE) == [written["id"]]
    assert await listed(world, "nurse", **EVE) == [written["id"]]
    assert await listed(world, "provider", subject="stranger") == []
    assert len(await listed(world)) == 2


@pytest.mark.parametrize("role", ["patient", "proxy", "technologist", "admin", "auditor"])
async def test_to_others_annotations_are_closed(world: World, role: str) -> None:
    await world.write()
    reply = await world.ask(LIST, role, patient=world.patients[STUDY])
    assert reply.forbidden.keys() == {"ImageAnnotation.id"}
    assert "nodule" not in reply.text


async def test_an_author_writes_anew_and_the_version_goes_up(world: World) -> None:
    written = await world.write(code=LENGTH, graphic=LINE, measurement=MEASURED)
    variables: dict[str, Any] = {"id": written["id"], "expectedVersion": "1"}
    point = {"type": "POINT", "points": [3.0, 4.0]}
    said = {"text": "Two nodules", "graphic": point, "measurement": None}
    edited = (await world.ask(EDIT, variables=variables | said, **RAY)).data["it"]["record"]
    assert edited["note"]["time"] >= written["note"]["time"]
    assert edited == written | {
        "meta": {"versionId": "2"},
        "note": edited["note"] | {"authorString": "ray", "text": "Two nodules"},
        "graphic": point,
        "measurement": None,
    }
    again = variables | {"expectedVersion": "2", "measurement": {"value": 2, "unit": "cm"}}
    kept = (await world.ask(EDIT, variables=again, **RAY)).data["it"]["record"]
    assert (kept["note"]["text"], kept["graphic"]) == ("Two nodules", point)
    assert kept["measurement"]["value"] == 2


async def test_of_two_who_write_anew_at_once_one_succeeds(world: World) -> None:
    written = await world.write()
    variables = {"id": written["id"], "expectedVersion": "1"}
    replies = await asyncio.gather(
        *(
            world.ask(EDIT, variables=variables | {"text": text}, **RAY)
            for text in ("first", "second")
        )
    )
    [conflict] = [one for one in replies if one.errors]
    assert conflict.code == "CONFLICT"
    [won] = [one for one in replies if not one.errors]
    assert won.data["it"]["record"]["meta"]["versionId"] == "2"


@pytest.mark.parametrize("version", ["0", "2", "", "1.0"])
async def test_another_version_than_the_one_that_was_looked_at_is_not_written_over(
    world: World, version: str
) -> None:
    written = await world.write()
    before = await world.everything()
    variables = {"id": written["id"], "expectedVersion": version, "text": "Mine"}
    assert (await world.ask(EDIT, variables=variables, **RAY)).code == "CONFLICT"
    assert await world.everything() == before


async def test_only_its_author_changes_an_annotation_or_takes_it_back(world: World) -> None:
    written = await world.write()
    before = await world.everything()
    variables = {"id": written["id"], "expectedVersion": "1", "text": "Mine", "reason": "Mine"}
    await world.archive.database["access_grants"].delete_many({})
    for mutation in (EDIT, REMOVE):
        reply = await world.ask(mutation, variables=variables, **EVE)
        assert reply.code == "FORBIDDEN"
        assert await world.everything() == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"graphic": {"type": "POINT", "points": [31, 1]}},
            "graphic.points: within the image, columns 0 to 30, rows 0 to 20",
        ),
        ({"measurement": MEASURED}, "measurement: say in `code` what was measured"),
        ({"text": ""}, "text: 1 to 4000 characters, without control characters"),
    ],
)
async def test_an_annotation_is_not_changed_into_nonsense(
    world: World, wrong: dict[str, Any], message: str
) -> None:
    written = await world.write()
    before = await world.everything()
    variables = {"id": written["id"], "expectedVersion": "1"} | wrong
    reply = await world.ask(EDIT, variables=variables, **RAY)
    assert (reply.code, reply.errors[0]["message"]) == ("INVALID_REQUEST", message)
    assert await world.everything() == before


async def test_what_is_taken_back_stays_with_the_reason_and_changes_no_more(world: World) -> None:
    written = await world.write(graphic=LINE)
    variables = {"id": written["id"], "reason": "wrong side", "expectedVersion": "2"}
    removed = (await world.ask(REMOVE, variables=variables, **RAY)).data["it"]["record"]
    when = removed["removed"].pop("at")
    assert when
    assert removed == written | {
        "meta": {"versionId": "2"},
        "status": "entered-in-error",
        "removed": {"by": subject("ray"), "reason": "wrong side"},
    }
    assert await listed(world, given='(status: ["active"])') == []
    assert await listed(world, given='(status: ["entered-in-error"])') == [written["id"]]
    before = await world.everything()
    reply = await world.ask(EDIT, variables=variables | {"text": "again"}, **RAY)
    assert reply.code == "CONFLICT"
    once_more = await world.ask(REMOVE, variables=variables | {"reason": "other"}, **RAY)
    assert once_more.data["it"]["record"]["removed"]["reason"] == "wrong side"
    assert await world.everything() == before


async def test_annotations_are_found_by_what_they_are_about(world: World) -> None:
    first = await world.write(who="ray")
    second = await world.write(who="eve", image=OTHER_SLICE)
    third = await world.write(who="eve", image=COLOUR)
    await world.write(who="eve", study=ELSEWHERE, image=ELSEWHERE_SLICE)
    for given, found in {
        f'(study: ["{STUDY}"], sort: [DATE])': [first, second, third],
        f'(series: ["{STUDY}.1"], sort: [DATE_DESC])': [second, first],
        f'(image: ["{SLICE}", "{COLOUR}"], sort: [DATE])': [first, third],
        f'(author: ["{subject("ray")}"])': [first],
        f'(patient: ["{world.patients[STUDY]}"], sort: [DATE], first: 2)': [first, second],
        '(recorded: {to: "2020"})': [],
    }.items():
        assert await listed(world, given=given) == [one["id"] for one in found], given


async def test_annotations_of_a_study_that_is_deleted_come_back_with_it_or_go_with_it(
    world: World, load: Callable[..., Awaitable[object]]
) -> None:
    await load(*study(StudyInstanceUID="1.2.80.9"))
    about = {"study": "1.2.80.9", "image": "1.2.80.9.1.1"}
    written, other = await world.write(**about), await world.write()
    address, headers = "/postdicom/studies/1.2.80.9", world.acting_as("admin")
    assert (await world.client.delete(address, headers=headers)).status_code == 200
    assert await listed(world) == [other["id"]]
    assert (await world.ask("{annotations {totalCount}}")).data["annotations"]["totalCount"] == 1
    before = await world.everything()
    variables = {"id": written["id"], "reason": "gone", "expectedVersion": "1", "text": "new"}
    for mutation in (EDIT, REMOVE):
        assert (await world.ask(mutation, variables=variables, **RAY)).code == "NOT_FOUND"
    assert await world.everything() == before
    assert (await world.client.post(f"{address}/restore", headers=headers)).status_code == 200
    assert sorted(await listed(world)) == sorted([written["id"], other["id"]])
    assert await delete_study(world.archive.ledger, world.archive.objects, "1.2.80.9")
    await load(*study(StudyInstanceUID="1.2.80.9"))
    assert await listed(world) == [other["id"]]


async def test_an_annotation_is_there_where_its_study_is_whatever_its_own_scope_says(
    world: World, tmp_path: Any
) -> None:
    rules = """
        p, fellow, ImageAnnotation.*, read, any, allow
        p, fellow, ImagingStudy.id, read, team, allow
        p, resident, ImageAnnotation.*, read, any, allow
    """
    scopes = f"""
[team]
description = "One patient's"
ImagingStudy = "patient=Patient/{world.patients[ELSEWHERE]}"
"""
    await world.write()
    seen = await world.write(study=ELSEWHERE, image=ELSEWHERE_SLICE)
    async with doors(world.archive, book(tmp_path / "policy", rules, scopes)) as client:
        there = World(world.archive, client, world.acting_as, world.patients)
        found = (await there.ask(LIST, "fellow")).data["annotations"]
        assert (found["totalCount"], nodes(found)) == (1, [seen["id"]])
        closed = await there.ask(LIST, "resident")
        assert closed.forbidden.keys() == {"ImagingStudy.id"}


async def test_in_the_deidentified_view_there_are_no_annotations(
    world: World, tmp_path: Any
) -> None:
    rules = """
        p, researcher, ImageAnnotation.*, *, any, allow
        p, researcher, ImagingStudy.*, read, nameless, allow
        p, researcher, Image.*, read, nameless, allow
    """
    scopes = """
[nameless]
description = "Everything, without a name"
view = "deidentified"
ImagingStudy = "_id:missing=false"
"""
    await world.write()
    before = await world.everything()
    async with doors(world.archive, book(tmp_path / "policy", rules, scopes)) as client:
        there = World(world.archive, client, world.acting_as, world.patients)
        reply = await there.ask(LIST, "researcher", project="x")
        assert reply.code == "FORBIDDEN"
        assert "nodule" not in reply.text
        written = {"study": STUDY, "text": "Mine"}
        assert (await there.ask(ANNOTATE, "researcher", written, project="x")).code == "FORBIDDEN"
    assert await world.everything() == before


async def test_of_more_annotations_than_can_be_looked_through_a_study_has_to_be_named(
    world: World,
) -> None:
    await world.write()
    collection = world.archive.database["annotations"]
    [kept] = [one async for one in collection.find()]
    copies = ({**kept, "_id": f"copy-{at}"} for at in range(MAX_IN_STUDIES - 1))
    await collection.insert_many(copies)
    count = "{annotations(first: 1) {totalCount}}"
    assert (await world.ask(count)).data["annotations"] == {"totalCount": MAX_IN_STUDIES}
    await collection.insert_one({**kept, "_id": "one too many"})
    reply = await world.ask(count)
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"] == "more than 10,000 of ImageAnnotation: name a study"
