"""Annotations as DICOM: what the objects say, who gets them, and who else can read them."""

import asyncio
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from fhir.annotation_files import MOST_EXPORTED
from tests.annotations.world import (
    COLOUR,
    COLUMNS,
    EDIT,
    ELSEWHERE,
    LENGTH,
    LINE,
    MEASURED,
    OTHER_SLICE,
    REMOVE,
    ROWS,
    SLICE,
    STACK,
    STUDY,
    World,
)
from tests.build import study
from tests.policy import book, doors

ODD = "1.2.80.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
COMPREHENSIVE_SR, GSPS = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.11.1"
CIRCLE = {"type": "CIRCLE", "points": [10.5, 10.25, 12.75, 10.25]}
NODULE = {"system": "http://snomed.info/sct", "code": "27925004", "display": "Nodule"}
SHARED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
)
READ_ALL = ("Patient.*", "ImagingStudy.*", "Image.*", "ImageAnnotation.*")


async def exported(world: World, kind: str = "sr", more: str = "", study: str = STUDY) -> Dataset:
    answer = await world.get(f"{study}/annotations/export?format={kind}{more}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom"
    return dcmread(BytesIO(answer.content))


def groups(report: Dataset) -> list[Any]:
    """Read an SR as highdicom does."""
    document = highdicom.sr.ComprehensiveSR.from_dataset(report)
    content = document.content
    assert isinstance(content, highdicom.sr.MeasurementReport)
    return [
        *content.get_image_measurement_groups(),
        *content.get_planar_roi_measurement_groups(),
    ]


async def test_a_report_says_what_was_measured_where_and_by_whom(world: World) -> None:
    written = await world.write(
        text="Größer als zuvor", code=LENGTH, graphic=LINE, measurement=MEASURED
    )
    report = await exported(world)
    assert report.SOPClassUID == COMPREHENSIVE_SR
    assert report.file_meta.MediaStorageSOPInstanceUID == report.SOPInstanceUID
    [author] = report.AuthorObserverSequence
    assert author.PersonName == "ray^"
    [group] = groups(report)
    assert group.tracking_identifier == written["id"]
    [measurement] = group.get_measurements()
    assert measurement.name == highdicom.sr.CodedConcept("410668003", "SCT", "Length")
    assert (measurement.value, measurement.unit.value) == (14.25, "mm")
    assert measurement.unit.scheme_designator == "UCUM"
    [drawn] = measurement.referenced_coordinates
    assert drawn.GraphicType == "POLYLINE"
    assert drawn.GraphicData == LINE["points"]
    [source] = drawn.ContentSequence
    [reference] = source.ReferencedSOPSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (CT, SLICE)
    assert "ReferencedFrameNumber" not in reference
    said = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in group[0].ContentSequence}
    assert said["Comment"].TextValue == "Größer als zuvor"
    assert said["Person Observer Name"].PersonName == "ray^"
    when = written["note"]["time"]
    digits = "".join(one for one in when if one.isdigit())
    assert group[0].ObservationDateTime == f"{digits[:14]}.{digits[14:]}000+0000"
    assert report.ContentDate == digits[:8]
    assert report.ContentTime == f"{digits[8:14]}.{digits[14:]}000"


async def test_an_area_is_a_region_of_interest_with_its_finding(world: World) -> None:
    await world.write(image=STACK, frame=2, graphic=CIRCLE, code=NODULE)
    [group] = groups(await exported(world))
    assert isinstance(group, highdicom.sr.PlanarROIMeasurementsAndQualitativeEvaluations)
    assert group.finding_type == highdicom.sr.CodedConcept("27925004", "SCT", "Nodule")
    assert isinstance(group.roi, highdicom.sr.ImageRegion)
    assert group.roi.GraphicType == "CIRCLE"
    assert group.roi.GraphicData == CIRCLE["points"]
    [reference] = group.roi.ContentSequence[0].ReferencedSOPSequence
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber) == (STACK, 2)


@pytest.mark.parametrize(
    "graphic",
    [
        {"type": "MULTIPOINT", "points": [1.5, 1.5, 2.5, 2.5]},
        {"type": "POLYLINE", "points": [1.0, 1.0, 5.0, 5.0]},
    ],
)
async def test_what_is_drawn_and_not_measured_goes_with_the_words(
    world: World, graphic: Any
) -> None:
    await world.write(graphic=graphic)
    [group] = groups(await exported(world))
    [comment] = [one for one in group[0].ContentSequence if one.ValueType == "TEXT"][-1:]
    [drawn] = comment.ContentSequence
    assert (drawn.RelationshipType, drawn.GraphicType) == ("INFERRED FROM", graphic["type"])
    assert drawn.GraphicData == graphic["points"]


async def test_a_report_has_every_annotation_that_is_active_and_each_author(world: World) -> None:
    first = await world.write(who="ray", text="one")
    second = await world.write(who="eve", image=None, text="two")
    removed = await world.write(who="ray", text="three")
    variables = {"id": removed["id"], "reason": "wrong"}
    await world.ask(REMOVE, variables=variables, subject="ray")
    report = await exported(world)
    assert [one.tracking_identifier for one in groups(report)] == [first["id"], second["id"]]
    assert [one.PersonName for one in report.AuthorObserverSequence] == ["ray^", "eve^"]
    assert "three" not in str(report)
    narrowed = await exported(world, more=f"&image={SLICE}")
    assert [one.tracking_identifier for one in groups(narrowed)] == [first["id"]]


@pytest.mark.parametrize("kind", ["sr", "gsps"])
async def test_patient_and_study_are_those_of_the_images(world: World, kind: str) -> None:
    await world.write(graphic=LINE)
    made = await exported(world, kind)
    headers = world.acting_as("radiologist")
    answer = await world.client.get(f"/postdicom/images/{SLICE}", headers=headers)
    image = dcmread(BytesIO(answer.content))
    for keyword in SHARED:
        assert made[keyword].value == image[keyword].value, keyword
    assert made.PatientName == "Müller^Jürgen"
    assert made.SeriesInstanceUID.startswith("2.25.")
    assert made.SeriesInstanceUID != image.SeriesInstanceUID


async def test_a_presentation_state_draws_and_writes_on_each_image(world: World) -> None:
    await world.write(text="line", graphic=LINE, code=LENGTH, measurement=MEASURED)
    await world.write(text="circle", who="eve", image=OTHER_SLICE, graphic=CIRCLE)
    await world.write(text="nothing drawn", image=OTHER_SLICE)
    await world.write(text="about the study", image=None)
    state = await exported(world, "gsps")
    assert (state.SOPClassUID, state.Modality) == (GSPS, "PR")
    [series] = state.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == f"{STUDY}.1"
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == [
        SLICE,
        OTHER_SLICE,
    ]
    assert [
        (one.GraphicLayer, one.GraphicLayerOrder, one.GraphicLayerDescription)
        for one in state.GraphicLayerSequence
    ] == [("AUTHOR1", 1, "ray"), ("AUTHOR2", 2, "eve")]
    line, circle, words = state.GraphicAnnotationSequence
    assert [one.GraphicLayer for one in (line, circle, words)] == ["AUTHOR1", "AUTHOR2", "AUTHOR1"]
    [drawn] = line.GraphicObjectSequence
    assert (drawn.GraphicType, drawn.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
    assert (drawn.GraphicData, drawn.NumberOfGraphicPoints) == (LINE["points"], 2)
    [text] = line.TextObjectSequence
    assert text.UnformattedTextValue == "line\r\nLength: 14.25 mm"
    assert text.AnchorPoint == LINE["points"][:2]
    assert circle.GraphicObjectSequence[0].GraphicData == CIRCLE["points"]
    assert circle.ReferencedImageSequence[0].ReferencedSOPInstanceUID == OTHER_SLICE
    assert "GraphicObjectSequence" not in words
    assert words.TextObjectSequence[0].BoundingBoxBottomRightHandCorner == [1.0, 0.125]
    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (1, -1024, "HU")
    [window] = state.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (40, 400)
    [area] = state.DisplayedAreaSelectionSequence
    assert area.DisplayedAreaBottomRightHandCorner == [COLUMNS, ROWS]
    assert "about the study" not in str(state)


async def test_long_words_are_parted_and_several_points_are_drawn_one_by_one(world: World) -> None:
    long = "x" * 1024 + "y" * 1024 + "z"
    several = {"type": "MULTIPOINT", "points": [1.5, 2.5, 3.5, 4.5]}
    await world.write(text=long, image=STACK, frame=3, graphic=several)
    [one] = (await exported(world, "gsps")).GraphicAnnotationSequence
    assert [len(text.UnformattedTextValue) for text in one.TextObjectSequence] == [1024, 1024, 1]
    assert [(each.GraphicType, each.GraphicData) for each in one.GraphicObjectSequence] == [
        ("POINT", [1.5, 2.5]),
        ("POINT", [3.5, 4.5]),
    ]
    assert one.ReferencedImageSequence[0].ReferencedFrameNumber == 3


async def test_colour_pictures_have_a_report_and_no_grey_presentation(world: World) -> None:
    await world.write(image=COLOUR, graphic=LINE)
    answer = await world.get(f"{STUDY}/annotations/export?format=gsps")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("format: a grayscale presentation state")
    assert len(groups(await exported(world))) == 1


@pytest.mark.parametrize("kind", ["sr", "gsps"])
async def test_the_same_annotations_make_the_same_object_and_others_another(
    world: World, kind: str
) -> None:
    written = await world.write(graphic=LINE)
    address = f"{STUDY}/annotations/export?format={kind}"
    first, again = await world.get(address), await world.get(address)
    assert str(dcmread(BytesIO(first.content))) == str(dcmread(BytesIO(again.content)))
    assert first.content == again.content
    variables = {"id": written["id"], "expectedVersion": "1", "text": "Another"}
    await world.ask(EDIT, variables=variables, subject="ray")
    before, after = (dcmread(BytesIO(one.content)) for one in (first, await world.get(address)))
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert before.SeriesInstanceUID == after.SeriesInstanceUID
    assert (before.InstanceNumber, after.InstanceNumber) == (1, 2)


@pytest.mark.parametrize("kind", ["sr", "gsps"])
async def test_images_that_say_little_and_of_a_class_of_their_own_are_written_about_too(
    world: World, load: Callable[..., Awaitable[object]], kind: str
) -> None:
    private = "1.2.840.99999.1"
    odd = study(
        StudyInstanceUID=ODD,
        SOPClassUID=private,
        TimezoneOffsetFromUTC="+0530",
        PatientSex="X",
        PatientBirthDate=None,
        AccessionNumber=None,
        RescaleSlope=None,
        RescaleIntercept=None,
        WindowCenter=None,
        WindowWidth=None,
    )
    await load(*odd)
    written = await world.write(study=ODD, image=f"{ODD}.1.1", graphic=CIRCLE)
    made = await exported(world, kind, study=ODD)
    assert (made.PatientSex, made.PatientBirthDate, made.AccessionNumber) == ("X", "", "")
    assert made.TimezoneOffsetFromUTC == "+0530"
    there = datetime.fromisoformat(written["note"]["time"]) + timedelta(hours=5, minutes=30)
    if kind == "sr":
        assert (made.ContentDate, made.ContentTime[:6]) == tuple(f"{there:%Y%m%d %H%M%S}".split())
        [group] = groups(made)
        assert group[0].ObservationDateTime == f"{there:%Y%m%d%H%M%S.%f}+0530"
        [reference] = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        assert reference.ReferencedSOPSequence[0].ReferencedSOPClassUID == private
    else:
        assert made.PresentationCreationDate == f"{there:%Y%m%d}"
        assert "RescaleSlope" not in made
        assert "SoftcopyVOILUTSequence" not in made


async def test_giving_annotations_out_is_in_the_audit(world: World) -> None:
    written = await world.write()
    await world.archive.database["audit_events"].delete_many({})
    await exported(world)
    read = {one["resource"]: one for one in await world.audited(outcome="allowed")}
    assert read.keys() == {"ImagingStudy", "ImageAnnotation", "Image"}
    assert read["ImageAnnotation"]["ids"] == [written["id"]]
    assert read["Image"]["ids"] == [SLICE]
    assert {one["patients"][0] for one in read.values()} == {world.patients[STUDY]}


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("provider", 200),
        ("attending", 200),
        ("nurse", 403),
        ("resident", 403),
        ("technologist", 403),
        ("admin", 403),
        ("auditor", 403),
        ("billing", 403),
        ("patient", 403),
    ],
)
async def test_whoever_may_not_have_files_gets_no_object(
    world: World, role: str, status: int
) -> None:
    await world.care_team("eve")
    await world.write(text="Zznodule")
    for kind in ("sr", "gsps"):
        answer = await world.get(
            f"{STUDY}/annotations/export?format={kind}",
            role,
            subject="eve",
            patient=world.patients[STUDY],
        )
        assert answer.status_code == status
        assert (b"Zznodule" in answer.content) is (status == 200)


@pytest.mark.parametrize(
    "closed",
    ["Patient.name", "Image.private", "ImagingStudy.description", "ImageAnnotation.author"],
)
async def test_if_anything_in_it_is_closed_all_of_it_is(
    world: World, closed: str, tmp_path: Path
) -> None:
    await world.write()
    rules = [f"p, fellow, {one}, read, any, allow" for one in READ_ALL]
    for more, status in (([], 200), ([f"p, fellow, {closed}, read, any, deny"], 403)):
        policy = book(tmp_path / str(status), "\n".join(rules + more))
        async with doors(world.archive, policy) as client:
            there = World(world.archive, client, world.acting_as, world.patients)
            answer = await there.get(f"{STUDY}/annotations/export?format=sr", "fellow")
        assert answer.status_code == status, answer.text
        if more:
            assert closed in answer.json()["error"]["details"]["coordinates"]


async def test_where_nothing_is_written_there_is_no_object(world: World) -> None:
    await world.write(image=None)
    for address, status in {
        f"{ELSEWHERE}/annotations/export?format=sr": 404,
        f"{STUDY}/annotations/export?format=gsps": 404,
        f"{STUDY}/annotations/export?format=sr&image={SLICE}": 404,
        "9.9/annotations/export?format=sr": 404,
        "x/annotations/export?format=sr": 404,
        f"{STUDY}/annotations/export?format=pdf": 400,
        f"{STUDY}/annotations/export": 400,
        f"{STUDY}/annotations/export?format=sr&image=x": 400,
        f"{STUDY}/annotations/export?format=sr&other=x": 400,
        f"{STUDY}/annotations/export?format=sr": 200,
    }.items():
        assert (await world.get(address)).status_code == status, address


async def test_of_more_annotations_than_an_object_holds_a_part_has_to_be_named(
    world: World,
) -> None:
    await world.write()
    await world.write(image=OTHER_SLICE)
    collection = world.archive.database["annotations"]
    kept = await collection.find_one({"resource.image": SLICE})
    assert kept is not None
    await collection.insert_many({**kept, "_id": f"copy-{at}"} for at in range(MOST_EXPORTED - 1))
    answer = await world.get(f"{STUDY}/annotations/export?format=sr")
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message == "more than 1,000 annotations: name a series or an image"
    whole = await exported(world, more=f"&image={SLICE}")
    assert len(groups(whole)) == MOST_EXPORTED


async def store(world: World, kind: str, role: str = "radiologist", **who: str) -> Any:
    headers = world.acting_as(role, **who)
    address = f"/postdicom/studies/{STUDY}/annotations/store?format={kind}"
    return await world.client.post(address, headers=headers)


@pytest.mark.parametrize("kind", ["sr", "gsps"])
async def test_an_object_is_stored_once_retrieved_as_it_is_and_changes_no_picture(
    world: World, kind: str
) -> None:
    await world.write(graphic=LINE, text=f"stored as {kind}")
    headers = world.acting_as("radiologist")
    instance = f"/dicomweb/studies/{STUDY}/series/{STUDY}.1/instances/{SLICE}"
    picture = await world.client.get(f"{instance}/rendered", headers=headers)
    given = await world.get(f"{STUDY}/annotations/export?format={kind}")
    stored = await store(world, kind)
    assert stored.status_code == 201, stored.text
    said = stored.json()["data"]
    assert said["status"] == "stored"
    address = f"/dicomweb/studies/{STUDY}/series/{said['seriesInstanceUID']}/instances"
    back = await world.client.get(
        f"{address}/{said['sopInstanceUID']}",
        headers=headers | {"Accept": "application/dicom"},
    )
    assert back.content == given.content
    assert (await store(world, kind)).json()["data"] == said | {"status": "duplicate"}
    after = await world.client.get(f"{instance}/rendered", headers=headers)
    assert (picture.status_code, after.content) == (200, picture.content)
    for event in await world.audited(action="create", resource="Image"):
        assert (event["outcome"], event["ids"]) == ("allowed", [said["sopInstanceUID"]])


async def test_whoever_may_not_store_stores_no_object(world: World) -> None:
    await world.care_team("eve")
    await world.write(graphic=LINE, text="not stored")
    before = await world.everything()
    for role in ("provider", "technologist", "admin", "nurse", "patient"):
        assert (await store(world, "sr", role, subject="eve")).status_code == 403
    assert await world.everything() == before


# What dsrdump does not know: UTF-8, and that PS3.5 6.2 lets a DT be at +0000.
TOLERATED = {
    "W: The VR checker does not support this Specific Character Set: ISO_IR 192",
    "W: ObservationDateTime (0040,a032) violates VR definition in SR document",
}
TOOLS = {"sr": "dsrdump", "gsps": "dcmp2pgm"}


@pytest.mark.parametrize("kind", TOOLS)
async def test_dcmtk_understands_it(world: World, kind: str, tmp_path: Path) -> None:
    tool = TOOLS[kind]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} not installed: apt-get install dcmtk")
    await world.write(graphic=LINE, code=LENGTH, measurement=MEASURED, text="Größer")
    await world.write(image=STACK, frame=2, graphic=CIRCLE, code=NODULE)
    await world.write(image=OTHER_SLICE, graphic={"type": "MULTIPOINT", "points": [1, 1, 2, 2]})
    answer = await world.get(f"{STUDY}/annotations/export?format={kind}")
    made = tmp_path / "made.dcm"
    made.write_bytes(answer.content)
    image = tmp_path / "image.dcm"
    headers = world.acting_as("radiologist")
    data = await world.client.get(f"/postdicom/images/{SLICE}", headers=headers)
    image.write_bytes(data.content)
    arguments = {
        "sr": ["+Pu", "+Pl", str(made)],
        "gsps": ["-v", "-p", str(made), str(image), str(tmp_path / "out.pgm")],
    }[kind]
    process = await asyncio.create_subprocess_exec(tool, *arguments, stdout=PIPE, stderr=STDOUT)
    out, _ = await process.communicate()
    said = out.decode()
    assert process.returncode == 0, said
    complaints = {one for one in said.splitlines() if one.startswith(("W:", "E:"))}
    assert complaints <= TOLERATED
    if kind == "sr":
        assert '<contains NUM:(,,"Length")="14.25" (mm,UCUM,"mm")>' in said
        assert "(POLYLINE,1.5/2.5,29.25/18.75)" in said
        assert f'<selected from IMAGE:(,,"Source")=(CT image,"{STACK}",2)>' in said
        assert "Größer" in said
    else:
        assert (tmp_path / "out.pgm").read_bytes().startswith(b"P5")
