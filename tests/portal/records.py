"""One case of every operation about patients, studies and what is written on their images."""

from tests.care import withhold
from tests.portal.asking import Json, Portal, nodes, subject

LABELS = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RELEASE = "https://radiograph.dev/fhir/release"


async def study_page(portal: Portal) -> None:
    one, patient = await portal.load(
        PatientName="Quagga^Una", Modality="MR", StudyDate="20210203", StudyDescription="Knee"
    )
    await portal.load(PatientName="Quagga^Una", Modality="CT", StudyDate="20210204")
    await portal.load(PatientName="Quagga^Una", Modality="MR", StudyDate="20200203")
    started = {"from": "2021", "to": "2021-12"}
    data = await portal.run(
        "StudyPage", "radiologist", text="quag", modality=["MR"], started=started
    )
    page, facets = data["studies"], data["studyFacets"]
    [row] = nodes(page)
    assert row == {
        "id": one,
        "status": "available",
        "started": "2021-02-03",
        "description": "Knee",
        "modality": [{"code": "MR", "display": row["modality"][0]["display"]}],
        "subject": {"reference": f"Patient/{patient}", "display": row["subject"]["display"]},
        "numberOfSeries": 1,
        "numberOfInstances": 1,
    }
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (1, False)
    assert page["pageInfo"]["endCursor"] == page["edges"][0]["cursor"]
    assert facets["total"] == 1
    assert [(one["value"], one["count"]) for one in facets["modality"]] == [("MR", 1)]
    assert [(one["value"], one["count"]) for one in facets["day"]] == [("2021-02-03", 1)]
    data = await portal.run("StudyPage", "radiologist", text="quag", first=1)
    assert (data["studies"]["totalCount"], data["studyFacets"]["total"]) == (3, 3)
    after = data["studies"]["pageInfo"]["endCursor"]
    data = await portal.run("StudyPage", "radiologist", text="quag", after=after)
    assert nodes(data["studies"])[0]["id"] == one  # STARTED_DESC: the second of three
    assert len(data["studies"]["edges"]) == 2


async def study_tree(portal: Portal) -> None:
    uid, patient = await portal.load(
        series=2, instances=3, frames=4, PatientName="Tapir^Tim", NumberOfFrames=4
    )
    said = {"instances": 2, "instanceOffset": 1, "frames": 2, "frameOffset": 1}
    tree = (await portal.run("StudyTree", "radiologist", uid=uid, **said))["study"]
    assert tree["patient"] == {
        "id": patient,
        "name": [{"family": "Tapir", "given": ["Tim"]}],
        "birthDate": "1970-01-31",
        "gender": "female",
    }
    assert [one["uid"] for one in tree["series"]] == [f"{uid}.1", f"{uid}.2"]
    assert [one["numberOfInstances"] for one in tree["series"]] == [3, 3]
    second = tree["series"][1]["instance"]
    assert [one["uid"] for one in second] == [f"{uid}.2.2", f"{uid}.2.3"]
    image = second[0]["image"]
    assert (image["id"], image["rows"], image["columns"]) == (f"{uid}.2.2", 16, 16)
    assert [one["number"] for one in image["frames"]] == [2, 3]
    headers = portal.acting_as("radiologist")
    for address in (image["rendered"], image["thumbnail"], image["frames"][0]["url"]):
        answer = await portal.client.get(address, headers=headers)
        assert answer.status_code == 200, (address, answer.text)


async def patient_search(portal: Portal) -> None:
    uid, patient = await portal.load(PatientName="Gnu^Gwen", PatientBirthDate="19811224")
    await portal.load(PatientName="Gnu^Gustav", PatientBirthDate="19520101")
    born = {"from": "1981-12-24", "to": "1981-12-24"}
    page = (await portal.run("PatientSearch", "radiologist", text="gnu", birthDate=born))[
        "patients"
    ]
    [found] = nodes(page)
    assert uid in [one["value"] for one in found.pop("identifier")]
    name = [{"family": "Gnu", "given": ["Gwen"]}]
    assert found == {"id": patient, "name": name, "birthDate": "1981-12-24", "gender": "female"}
    page = (await portal.run("PatientSearch", "radiologist", text="gnu"))["patients"]
    assert [one["name"][0]["given"] for one in nodes(page)] == [["Gustav"], ["Gwen"]]
    assert page["totalCount"] == 2


async def study_changed(portal: Portal) -> None:
    after = await portal.archive.changes.newest()
    uid, _ = await portal.load(StudyDescription="Told of")
    [told] = await portal.heard(
        "StudyChanged", "radiologist", after=after, until=after + 1, study=uid
    )
    assert told["at"]
    shown = {"id": uid, "status": "available", "description": "Told of", "numberOfInstances": 1}
    assert told == {
        "sequence": after + 1,
        "kind": "CREATED",
        "id": uid,
        "at": told["at"],
        "study": shown,
    }


async def release_study(portal: Portal) -> None:
    uid, patient = await portal.load()
    await withhold(portal.archive, uid)
    who = {"role": "patient", "patient": patient}
    page = (await portal.run("StudyPage", who))["studies"]
    assert page["totalCount"] == 0
    record = (await portal.done("ReleaseStudy", "radiologist", study=uid))["record"]
    assert record["id"] == uid
    assert {"system": RELEASE, "code": "released"} in record["meta"]["tag"]
    page = (await portal.run("StudyPage", who))["studies"]
    assert [one["id"] for one in nodes(page)] == [uid]


async def label_study(portal: Portal) -> None:
    uid, _ = await portal.load()
    said = {"study": uid, "confidentiality": "R", "idempotencyKey": "label-it-once"}
    record = (await portal.done("LabelStudy", "admin", **said))["record"]
    assert record["meta"]["security"] == [{"system": LABELS, "code": "R"}]
    assert (await portal.done("LabelStudy", "admin", **said))["record"] == record


async def annotate(portal: Portal) -> None:
    uid, _ = await portal.load()
    said: dict[str, Json] = {
        "text": "A nodule",
        "code": {"system": "http://snomed.info/sct", "code": "410668003", "display": "Length"},
        "graphic": {"type": "POLYLINE", "points": [1.5, 2.5, 9.25, 8.75]},
        "measurement": {"value": 14.25, "unit": "mm"},
    }
    made = await portal.done("Annotate", "radiologist", study=uid, image=f"{uid}.1.1", **said)
    record = made["record"]
    assert record == {
        "id": record["id"],
        "meta": {"versionId": "1"},
        "image": f"{uid}.1.1",
        "frame": 1,  # something is drawn on the only one
        "author": subject("radiologist"),
        "note": {"text": "A nodule"},
        "code": {"coding": [said["code"]]},
        "graphic": said["graphic"],
        "measurement": said["measurement"],
        "status": "active",
    }


async def annotations(portal: Portal) -> None:
    uid, _ = await portal.load(instances=2)
    for number in (1, 2):
        image = f"{uid}.1.{number}"
        await portal.done("Annotate", "radiologist", study=uid, image=image, text=f"On {number}")
    page = (await portal.run("Annotations", "radiologist", study=[uid]))["annotations"]
    assert {one["note"]["text"] for one in nodes(page)} == {"On 1", "On 2"}
    images = [f"{uid}.1.2"]
    page = (await portal.run("Annotations", "radiologist", image=images))["annotations"]
    [found] = nodes(page)
    assert (found["note"], found["study"], found["image"]) == ({"text": "On 2"}, uid, images[0])


async def delete_study(portal: Portal) -> None:
    uid, _ = await portal.load(instances=2, PatientName="Emu^Eva")
    page = (await portal.run("StudyPage", "radiologist", text="Emu"))["studies"]
    assert page["totalCount"] == 1
    record = (await portal.done("DeleteStudy", "admin", study=uid, reason="Wrong person"))["record"]
    assert record["recorded"] < record["until"]
    assert (record["id"], record["reason"], record["numberOfInstances"]) == (uid, "Wrong person", 2)
    page = (await portal.run("StudyPage", "radiologist", text="Emu"))["studies"]
    assert page["totalCount"] == 0


async def restore_study(portal: Portal) -> None:
    uid, _ = await portal.load(instances=2)
    await portal.done("DeleteStudy", "admin", study=uid, reason="Wrong person")
    record = (await portal.done("RestoreStudy", "admin", study=uid))["record"]
    assert record == {"id": uid, "status": "available", "numberOfInstances": 2}
    assert (await portal.run("StudyTree", "radiologist", uid=uid))["study"]["id"] == uid


async def deleted_studies(portal: Portal) -> None:
    uid, _ = await portal.load()
    await portal.done("DeleteStudy", "admin", study=uid, reason="Wrong person")
    page = (await portal.run("DeletedStudies", "auditor", study=[uid]))["deletedStudies"]
    [found] = nodes(page)
    assert (found["id"], found["recorder"]) == (uid, subject("admin"))
    assert found["until"] > found["recorded"]
    long_ago = {"to": "2001"}
    page = (await portal.run("DeletedStudies", "auditor", recorded=long_ago))["deletedStudies"]
    assert page["totalCount"] == 0


async def hold_study(portal: Portal) -> None:
    uid, _ = await portal.load()
    record = (await portal.done("HoldStudy", "admin", study=uid, reason="Case 7"))["record"]
    assert (record["study"], record["reason"]) == (uid, "Case 7")
    assert record["recorder"] == subject("admin")
    assert record["period"]["end"] is None
    data = await portal.run("DeleteStudy", "admin", study=uid, reason="Wrong person")
    payload = data["deleteStudy"]
    [refused] = payload["errors"]
    assert payload["record"] is None
    assert (refused["code"], refused["done"]) == ("COMPLIANCE_VIOLATION", False)
