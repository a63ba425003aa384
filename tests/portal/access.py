"""One case of every operation about who is let in, what they keep, and by which policy."""

from datetime import UTC, datetime, timedelta

from fhir.dates import instant
from tests.build import dicom, uid
from tests.policy import SHIPPED
from tests.portal.asking import Json, Portal, nodes, subject
from tests.rest.forms import FORM, form

REASON = "Unconscious, nobody of the team is here"


def in_days(number: int) -> str:
    return instant(datetime.now(UTC) + timedelta(days=number))


async def break_glass(portal: Portal) -> None:
    study, patient = await portal.load(PatientName="Okapi^Ole")
    tree = await portal.run("StudyPage", "nurse", text="okapi")
    assert tree["studies"]["totalCount"] == 0
    record = (await portal.done("BreakGlass", "nurse", patient=patient, reason=REASON, minutes=15))[
        "record"
    ]
    assert (record["agent"], record["reason"]) == (subject("nurse"), REASON)
    assert record["patient"] == {"reference": f"Patient/{patient}"}
    start, end = (datetime.fromisoformat(record["period"][one]) for one in ("start", "end"))
    assert end - start == timedelta(minutes=15)
    page = (await portal.run("StudyPage", "nurse", text="okapi"))["studies"]
    assert [one["id"] for one in nodes(page)] == [study]


async def add_to_care_team(portal: Portal) -> None:
    _, patient = await portal.load()
    until, agent = in_days(3), subject("provider")
    made = await portal.done(
        "AddToCareTeam", "admin", patient=patient, agent=agent, until=until, reason="On call"
    )
    record = made["record"]
    assert (record["agent"], record["period"]["end"]) == (agent, until)
    assert record["patient"] == {"reference": f"Patient/{patient}"}


async def shared(portal: Portal) -> tuple[str, str, str]:
    """Share a study; give its UID, and id and token of the share."""
    study, _ = await portal.load()
    until = in_days(7)
    made = await portal.done(
        "ShareStudy", "radiologist", study=study, access="VIEW", until=until, maxUses=2
    )
    record = made["record"]
    assert len(made["token"]) == 43
    assert record == {
        "id": record["id"],
        "study": study,
        "access": "VIEW",
        "period": {"start": record["period"]["start"], "end": until},
        "maxUses": 2,
        "uses": 0,
    }
    return study, record["id"], made["token"]


async def share_study(portal: Portal) -> None:
    await shared(portal)


async def accept_share(portal: Portal) -> None:
    study, share, token = await shared(portal)
    record = (await portal.done("AcceptShare", "nurse", token=token))["record"]
    assert (record["id"], record["study"], record["access"]) == (share, study, "VIEW")
    [payload] = (await portal.run("AcceptShare", "nurse", token="x" * 43)).values()
    assert payload["record"] is None
    assert [one["__typename"] for one in payload["errors"]] == ["NotFoundError"]


async def revoke_share(portal: Portal) -> None:
    _, share, token = await shared(portal)
    record = (await portal.done("RevokeShare", "radiologist", id=share))["record"]
    assert (record["id"], record["revoked"]["by"]) == (share, subject("radiologist"))
    [payload] = (await portal.run("AcceptShare", "nurse", token=token)).values()
    assert [one["code"] for one in payload["errors"]] == ["NOT_FOUND"]


async def save_view(portal: Portal) -> None:
    said = {"name": "My knees", "kind": "studies", "query": '{"text": "knee"}'}
    sort = ["STARTED_DESC"]
    record = (await portal.done("SaveView", "billing", **said, sort=sort))["record"]
    assert record == {"id": record["id"], **said, "query": record["query"], "sort": sort}
    again = said | {"name": "Knees", "id": record["id"]}
    record = (await portal.done("SaveView", "billing", **again))["record"]
    assert (record["id"], record["name"]) == (again["id"], "Knees")


async def saved_views(portal: Portal) -> None:
    said = {"name": "Everybody", "kind": "patients", "query": "{}"}
    kept = (await portal.done("SaveView", "auditor", **said))["record"]
    page = (await portal.run("SavedViews", "auditor", kind=["patients"]))["savedViews"]
    [found] = nodes(page)
    assert found.pop("recorded")
    assert found == kept
    page = (await portal.run("SavedViews", "auditor", kind=["studies"]))["savedViews"]
    assert page["totalCount"] == 0


async def uploaded(portal: Portal, role: str) -> str:
    """Announce an upload and send it; give the id of the job."""
    made = await portal.done("CreateUpload", role, files=3, bytes=2**33)
    record = made["record"]
    assert (record["status"], record["maxFiles"], record["maxBytes"]) == ("waiting", 3, 2**33)
    headers = portal.acting_as(role) | FORM
    one = dicom(StudyInstanceUID=uid(), PatientID=record["id"])
    answer = await portal.client.post(made["url"], content=form(one), headers=headers)
    assert answer.json()["data"]["stored"] == 1, answer.text
    return str(record["id"])


async def create_upload(portal: Portal) -> None:
    await uploaded(portal, "technologist")


async def job_progress(portal: Portal) -> None:
    after = await portal.archive.changes.newest()
    job = await uploaded(portal, "technologist")
    told = await portal.heard("JobProgress", "technologist", after=after, until=after + 1, id=job)
    [first] = told
    assert (first["id"], first["sequence"]) == (job, after + 1)
    assert first["job"]["refused"] == 0


async def jobs(portal: Portal) -> None:
    job = await uploaded(portal, "radiologist")
    page = (await portal.run("Jobs", "radiologist", status=["waiting", "active"]))["jobs"]
    [found] = nodes(page)
    assert (found["id"], found["done"], found["refused"]) == (job, 1, 0)
    assert found["bytes"] > 512
    page = (await portal.run("Jobs", "radiologist", status=["cancelled"]))["jobs"]
    assert page["totalCount"] == 0


async def policy_now(portal: Portal) -> None:
    policy = (await portal.run("PolicyNow", "auditor"))["policy"]
    assert policy["ok"] is True
    assert policy["id"] == portal.archive.book.current.version
    assert "text" not in policy
    policy = (await portal.run("PolicyNow", "admin", text=True, versions=1))["policy"]
    files = {one["name"]: one["text"] for one in policy["text"]}
    assert files["rules.csv"] == (SHIPPED / "rules.csv").read_text(encoding="utf-8")
    assert len(policy["history"]) <= 1


async def check_policy(portal: Portal) -> None:
    rules = (SHIPPED / "rules.csv").read_text(encoding="utf-8")
    wrong = {"name": "rules.csv", "text": f"{rules}p, nurse, Nothing.at, all, any, allow\n"}
    found = (await portal.run("CheckPolicy", "admin", files=[wrong]))["checkPolicy"]
    assert found["ok"] is False
    assert {(one["file"], one["line"]) for one in found["problems"]} == {
        ("rules.csv", rules.count("\n") + 1)
    }
    same = {"name": "rules.csv", "text": rules}
    found = (await portal.run("CheckPolicy", "admin", files=[same]))["checkPolicy"]
    assert (found["ok"], found["changes"]) == (True, [])


async def explain_access(portal: Portal) -> None:
    said: dict[str, Json] = {"roles": ["nurse"], "element": "Patient.name", "action": "read"}
    found = (await portal.run("ExplainAccess", "admin", **said))["explainAccess"]
    assert (found["element"], found["action"], found["unknown"]) == ("Patient.name", "read", [])
    assert (found["always"], found["never"]) == (False, False)
    assert "care-team" in {one["name"] for one in found["scopes"]}
    # administrators see that there is the study, not whom it is about
    study, patient = await portal.load()
    variables = [{"name": "care-team", "values": [patient]}]
    said["element"] = "ImagingStudy.note"
    data = await portal.run("ExplainAccess", "admin", **said, study=study, variables=variables)
    found = data["explainAccess"]
    assert (found["element"], found["open"]) == ("ImagingStudy.note", None)
    held = {one["name"]: one["holds"] for one in found["scopes"]}
    assert held["care-team"] is None
    assert found["parts"][-1]["lines"][0]["place"].startswith("rules.csv:")


async def sessions(portal: Portal) -> None:
    await portal.run("Sessions", "technologist")
    page = (await portal.run("Sessions", "admin", agent=[subject("technologist")]))["sessions"]
    assert page["totalCount"] >= 1
    assert {one["agent"] for one in nodes(page)} == {subject("technologist")}
    assert {tuple(one["roles"]) for one in nodes(page)} == {("technologist",)}


async def end_session(portal: Portal) -> None:
    who = {"role": "nurse", "subject": "leaver"}
    await portal.run("SavedViews", who)
    page = (await portal.run("Sessions", "admin", agent=[subject("leaver")]))["sessions"]
    [found] = nodes(page)
    record = (await portal.done("EndSession", "admin", id=found["id"]))["record"]
    assert (record["id"], record["ended"]["by"]) == (found["id"], subject("admin"))
    page = (await portal.run("Sessions", "admin", agent=[subject("leaver")]))["sessions"]
    assert page["totalCount"] == 0
