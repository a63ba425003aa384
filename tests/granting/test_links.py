"""Care teams, proxies and assignments: who is let in, by whom, and until when."""

from datetime import UTC, datetime, timedelta

import pytest

from fhir.dates import instant
from tests.granting.world import EVERYWHERE, NOWHERE, World, subject

ADD = """mutation($patient: ID!, $agent: String!, $until: DateTime, $reason: String) {
  it: addToCareTeam(patient: $patient, agent: $agent, until: $until, reason: $reason) {record {
    id agent patient {reference} study reason period {start end} recorder revoked {at}}}}"""
ASSIGN = """mutation($study: ID!, $agent: String!) {
  it: assignStudy(study: $study, agent: $agent) {record {id study patient {reference}}}}"""
PROXY = """mutation($patient: ID!, $agent: String!) {
  it: addProxy(patient: $patient, agent: $agent) {record {id}}}"""


async def test_a_care_team_sees_its_patient_until_its_member_is_removed(world: World) -> None:
    variables = {"patient": world.patients["P1"], "agent": subject("a")}
    added = (await world.ask(ADD, "admin", variables, subject="chief")).data["it"]["record"]
    assert added == {
        "id": added["id"],
        "agent": subject("a"),
        "patient": {"reference": f"Patient/{world.patients['P1']}"},
        "study": None,
        "reason": None,
        "period": {"start": added["period"]["start"], "end": None},
        "recorder": subject("chief"),
        "revoked": None,
    }
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE
    assert await world.sight("1.2.3", subject="a") == NOWHERE
    assert await world.sight("1.2.1", subject="b") == NOWHERE
    removed = f'mutation {{removeFromCareTeam(id: "{added["id"]}") {{record {{revoked {{by}}}}}}}}'
    reply = await world.ask(removed, "admin", subject="chief")
    assert reply.data["removeFromCareTeam"]["record"] == {"revoked": {"by": subject("chief")}}
    assert await world.sight("1.2.1", subject="a") == NOWHERE


async def test_who_is_on_the_team_lets_others_in_to_this_patient_alone(world: World) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    for patient, outcome in (("P1", EVERYWHERE), ("P2", NOWHERE)):
        variables = {"patient": world.patients[patient], "agent": subject("b")}
        await world.ask(ADD, "attending", variables, subject="a")
        uid = {"P1": "1.2.1", "P2": "1.2.3"}[patient]
        assert await world.sight(uid, subject="b") == outcome
    reply = await world.ask("{careTeams {totalCount}}", "attending", subject="b")
    assert reply.data["careTeams"]["totalCount"] == 2


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2999-12-31", "3000-01-01T00:00:00.000Z"),
        ("2999-12", "3000-01-01T00:00:00.000Z"),
        ("2999-12-31T10:00:00+02:00", "2999-12-31T08:00:00.000Z"),
        ("2999-12-31T10:00:00.250Z", "2999-12-31T10:00:00.250Z"),
    ],
)
async def test_a_day_is_included_and_a_moment_is_where_it_ends(
    world: World, until: str, end: str
) -> None:
    variables = {"patient": world.patients["P1"], "agent": subject("a"), "until": until}
    added = (await world.ask(ADD, "admin", variables)).data["it"]["record"]
    assert added["period"]["end"] == end


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"agent": "a"},
            "agent: write issuer#subject, both exactly as the person's token has them",
        ),
        ({"agent": "#a"}, "agent: "),
        ({"agent": "iss#"}, "agent: "),
        ({"agent": "iss# a"}, "agent: "),
        ({"agent": "i ss#a"}, "agent: "),
        ({"agent": "iss#a\n"}, "agent: "),
        ({"agent": "iss#" + "a" * 1024}, "agent: "),
        ({"until": "2001-01-01"}, "until: lies in the past"),
        ({"until": "2001-01-01T00:00:00Z"}, "until: lies in the past"),
        ({"reason": " "}, "reason: 1 to 500 characters, without control characters"),
        ({"reason": "x" * 501}, "reason: "),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    world: World, wrong: dict[str, str], said: str
) -> None:
    before = await world.everything()
    fine = {"patient": world.patients["P1"], "agent": subject("a")}
    reply = await world.ask(ADD, "admin", fine | wrong)
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"].startswith(said)
    assert await world.everything() == before


async def test_an_assignment_opens_one_study_and_who_it_is_about(world: World) -> None:
    variables = {"study": "1.2.1", "agent": subject("a")}
    given = (await world.ask(ASSIGN, "admin", variables)).data["it"]["record"]
    assert given["study"] == "1.2.1"
    assert given["patient"] == {"reference": f"Patient/{world.patients['P1']}"}
    assert await world.sight("1.2.1", subject="a") == EVERYWHERE
    # the patient is the same, the study is not
    assert await world.sight("1.2.2", subject="a") == NOWHERE | {
        "graphql": True,
        "fhir patient": True,
    }
    assert await world.sight("1.2.3", subject="a") == NOWHERE
    await world.ask(f'mutation {{unassignStudy(id: "{given["id"]}") {{record {{id}}}}}}')
    assert await world.sight("1.2.1", subject="a") == NOWHERE


async def test_a_study_that_is_not_there_is_not_assigned(world: World) -> None:
    before = await world.everything()
    reply = await world.ask(ASSIGN, "admin", {"study": "9.9", "agent": subject("a")})
    assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"it": {"record": None}})
    assert await world.everything() == before


async def test_a_proxy_sees_for_whom_they_act_until_they_do_no_longer(world: World) -> None:
    seen = '{patients {totalCount} studies {edges {node {id}}} study(uid: "1.2.1") {id}}'
    variables = {"patient": world.patients["P1"], "agent": subject("p")}
    added = (await world.ask(PROXY, "admin", variables)).data["it"]["record"]
    reply = await world.ask(seen, "proxy", subject="p")
    assert reply.data["patients"] == {"totalCount": 1}
    assert [one["node"]["id"] for one in reply.data["studies"]["edges"]] == ["1.2.1", "1.2.2"]
    await world.ask(f'mutation {{removeProxy(id: "{added["id"]}") {{record {{id}}}}}}')
    reply = await world.ask(seen, "proxy", subject="p")
    assert reply.code == "NOT_FOUND"
    assert reply.body["data"] == {
        "patients": {"totalCount": 0},
        "studies": {"edges": []},
        "study": None,
    }


async def test_links_are_found_by_what_they_say_and_counted(world: World) -> None:
    now = datetime.now(UTC)
    old = {"start": instant(now - timedelta(days=9)), "end": instant(now - timedelta(days=8))}
    odd = "odd|sub,ject"
    one = await world.link("CareTeam", "a", **world.of("P1"))
    two = await world.link("CareTeam", "a", **world.of("P2"), period=old)
    three = await world.link("CareTeam", odd, **world.of("P2"))
    await world.link("Proxy", "a", **world.of("P1"))
    for arguments, found in (
        ("", {one, two, three}),
        ("active: true", {one, three}),
        ("active: false", {two}),
        (f'agent: ["{subject("a")}"]', {one, two}),
        (f'agent: ["{subject(odd)}"]', {three}),
        (f'patient: ["{world.patients["P2"]}"]', {two, three}),
        (f'agent: ["{subject("a")}"], active: true', {one}),
        (f'started: {{to: "{instant(now - timedelta(days=5))}"}}', {two}),
    ):
        reply = await world.ask(
            f"{{careTeams{f'({arguments})' if arguments else ''} "
            "{totalCount edges {node {id}}}}"
        )
        page = reply.data["careTeams"]
        assert {edge["node"]["id"] for edge in page["edges"]} == found, arguments
        assert page["totalCount"] == len(found)
    page = await world.ask(
        "{careTeams(sort: [DATE], first: 1) {edges {node {id}} pageInfo {endCursor}}}"
    )
    [first] = page.data["careTeams"]["edges"]
    assert first["node"]["id"] == two
    after = page.data["careTeams"]["pageInfo"]["endCursor"]
    rest = await world.ask(
        f'{{careTeams(sort: [DATE], after: "{after}") {{edges {{node {{id}}}}}}}}'
    )
    assert {edge["node"]["id"] for edge in rest.data["careTeams"]["edges"]} == {one, three}


@pytest.mark.parametrize(
    "root", ["careTeams", "proxies", "assignments", "breakGlasses", "releaseRequests", "sessions"]
)
async def test_lists_are_closed_to_whom_the_policy_does_not_name(world: World, root: str) -> None:
    reply = await world.ask(f"{{{root} {{totalCount}}}}", "auditor")
    assert reply.body["data"] == {root: None}
    assert list(reply.forbidden.values()) == [[root]]


async def test_nobody_ends_a_link_of_another_type_or_one_that_is_not_there(world: World) -> None:
    identifier = await world.link("CareTeam", "a", **world.of("P1"))
    before = await world.everything()
    for text in (
        f'mutation {{it: removeProxy(id: "{identifier}") {{record {{id}}}}}}',
        'mutation {it: removeFromCareTeam(id: "nothing") {record {id}}}',
    ):
        reply = await world.ask(text)
        assert (reply.code, reply.body["data"]) == ("NOT_FOUND", {"it": {"record": None}})
    assert await world.everything() == before


async def test_sessions_are_listed_and_ended_from_the_next_request_on(world: World) -> None:
    me = {"subject": "me", "patient": world.patients["P1"]}
    headers = world.acting_as("patient", **me)
    send = {"query": "{sessions(ended: false) {edges {node {id agent}}}}"}
    listed = (await world.client.post("/graphql", headers=headers, json=send)).json()
    [session] = [edge["node"] for edge in listed["data"]["sessions"]["edges"]]
    assert session["agent"] == subject("me")
    text = f'mutation {{endSession(id: "{session["id"]}") {{record {{id ended {{by why}}}}}}}}'
    reply = await world.ask(text, "admin", subject="chief")
    assert reply.data["endSession"]["record"]["ended"] == {"by": subject("chief"), "why": "forced"}
    for address in ("/graphql", "/fhir/Patient"):
        assert (await world.client.post(address, headers=headers, json=send)).status_code == 401
    reply = await world.ask(f'{{sessions(ended: true, agent: ["{subject("me")}"]) {{totalCount}}}}')
    assert reply.data["sessions"]["totalCount"] == 1
