"""Mutations: decided as a whole before the first, done in order, and honest about what failed."""

import pytest

from tests.granting.world import REASON, World, subject

GLASS = f'reason: "{REASON}", minutes: 5'


def glass(world: World, patient: str = "P1") -> str:
    return f'breakGlass(patient: "{world.patients[patient]}", {GLASS})'


async def count(world: World) -> int:
    return await world.archive.database["access_grants"].count_documents({})


@pytest.mark.parametrize(
    ("role", "selected", "coordinate", "more"),
    [
        # the action, what it tells, the answer itself, an element of the answer
        ("nurse", "{id}", "BreakGlass.id", {"actions": ["create"]}),
        ("fellow", "{id}", "Patient.id", {}),
        ("resident", "{__typename}", "BreakGlass.id", {}),
        ("fellow", "{reason}", "BreakGlass.reason", {}),
    ],
)
async def test_what_is_closed_refuses_the_whole_before_anything_is_done(
    world: World, role: str, selected: str, coordinate: str, more: dict[str, list[str]]
) -> None:
    before = await world.everything()
    reply = await world.ask(f"mutation {{it: {glass(world)} {{record {selected}}}}}", role)
    assert reply.body.keys() == {"errors"}
    [error] = [one for one in reply.errors if one["extensions"]["coordinate"] == coordinate]
    assert error["message"] == f"Access to '{coordinate}' is not permitted."
    where = "it.record.reason" if coordinate == "BreakGlass.reason" else "it"
    assert error["extensions"] == {
        "code": "FORBIDDEN",
        "coordinate": coordinate,
        "paths": [where],
        **more,
    }
    assert len({one["extensions"]["coordinate"] for one in reply.errors}) == len(reply.errors)
    assert await world.everything() == before
    [event] = await world.audited(outcome="refused")
    assert (event["action"], event["resource"]) == ("create", "BreakGlass")
    assert coordinate in event["refused"]


async def test_one_closed_mutation_keeps_all_others_from_being_done(world: World) -> None:
    before = await world.everything()
    proxy = (
        f'addProxy(patient: "{world.patients["P1"]}", agent: "{subject("x")}") {{record {{id}}}}'
    )
    reply = await world.ask(
        f"mutation {{a: {glass(world)} {{record {{id}}}} b: {proxy}}}", "provider"
    )
    assert list(reply.body) == ["errors"]
    assert reply.forbidden == {"Proxy.id": ["b"]}
    assert await world.everything() == before
    assert await world.audited(outcome="allowed") == []


async def test_a_closed_criterion_within_an_answer_refuses_the_whole(world: World) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    before = await world.everything()
    for argument in ('description: "x"', "sort: [STARTED]"):
        reply = await world.ask(
            f"""mutation {{withholdStudy(study: "1.2.1") {{record {{
                  patient {{studies({argument}) {{totalCount}}}}}}}}}}""",
            "attending",
            subject="a",
        )
        assert list(reply.body) == ["errors"]
        assert list(reply.forbidden.values()) == [["withholdStudy.record.patient.studies"]]
    assert await world.everything() == before


async def test_arguments_within_an_answer_are_looked_at_before_anything_is_done(
    world: World,
) -> None:
    before = await world.everything()
    for selected in (
        "patient {studies(first: 1000) {totalCount}}",
        "series {instance(offset: -1) {uid}}",
    ):
        reply = await world.ask(
            f'mutation {{withholdStudy(study: "1.2.1") {{record {{{selected}}}}}}}'
        )
        assert list(reply.body) == ["errors"]
        assert reply.code == "INVALID_REQUEST"
    assert await world.everything() == before


@pytest.mark.parametrize(
    ("scope", "closed"),
    [
        ("user/Patient.rs user/BreakGlass.rs", "BreakGlass.id"),
        ("user/Patient.rs user/BreakGlass.cd", "BreakGlass.id"),
        ("user/BreakGlass.cruds", "Patient.id"),
        ("user/Patient.rs user/BreakGlass.cr", None),
        ("user/*.cruds", None),
        ("openid profile", None),
    ],
)
async def test_the_scopes_of_a_token_bound_what_it_can_do(
    world: World, scope: str, closed: str | None
) -> None:
    reply = await world.ask(
        f"mutation {{{glass(world)} {{record {{id}}}}}}", "provider", scope=scope
    )
    if closed is None:
        assert reply.data["breakGlass"]["record"]["id"]
    else:
        assert list(reply.body) == ["errors"]
        assert reply.forbidden == {closed: ["breakGlass"]}
    assert await count(world) == (closed is None)


async def test_a_failure_leaves_what_was_done_and_keeps_what_follows_from_being_done(
    world: World,
) -> None:
    reply = await world.ask(
        f"""mutation {{
          a: {glass(world)} {{record {{id}}}}
          b: breakGlass(patient: "nobody", {GLASS}) {{record {{id}}}}
          c: {glass(world, "P2")} {{record {{id}}}}
          d: __typename}}""",
        "provider",
    )
    done = reply.body["data"]["a"]["record"]["id"]
    assert reply.body["data"] == {
        "a": {"record": {"id": done}},
        "b": {"record": None},
        "c": {"record": None},
        "d": "Mutation",
    }
    assert [(one["path"], one["extensions"]["code"]) for one in reply.errors] == [
        (["b"], "NOT_FOUND"),
        (["c"], "NOT_RUN"),
    ]
    records = [one["_id"] async for one in world.archive.database["access_grants"].find()]
    assert records == [done]


async def test_mutations_are_done_in_the_order_in_which_they_stand(world: World) -> None:
    release, withhold = (
        f'{one}Study(study: "1.2.1") {{record {{id}}}}' for one in ("release", "withhold")
    )
    for first, second, tags in ((release, withhold, 0), (withhold, release, 1)):
        reply = await world.ask(f"mutation {{b: {first} a: {second}}}")
        assert list(reply.data) == ["b", "a"]
        stored = await world.archive.ledger.study("1.2.1")
        assert stored is not None
        assert len(stored["resource"]["meta"].get("tag", [])) == tags


async def test_what_is_asked_for_twice_under_one_name_is_done_once(world: World) -> None:
    reply = await world.ask(
        f"mutation {{a: {glass(world)} {{record {{id}}}} ...F}} "
        f"fragment F on Mutation {{a: {glass(world)} {{record {{reason}}}}}}",
        "provider",
    )
    assert reply.data["a"]["record"]["reason"] == REASON
    assert await count(world) == 1


async def test_what_is_skipped_is_not_done(world: World) -> None:
    reply = await world.ask(
        f"mutation($no: Boolean!) {{a: {glass(world)} @include(if: $no) {{record {{id}}}}}}",
        "provider",
        {"no": False},
    )
    assert reply.data == {}
    assert await count(world) == 0


async def test_a_row_that_is_closed_is_refused_in_its_turn_and_changes_nothing(
    world: World,
) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    before = await world.everything()
    add = f'addToCareTeam(patient: "{world.patients["P2"]}", agent: "{subject("b")}")'
    reply = await world.ask(f"mutation {{it: {add} {{record {{id}}}}}}", "attending", subject="a")
    assert reply.body["data"] == {"it": {"record": None}}
    assert reply.forbidden == {"CareTeam.id": ["it"]}
    assert await world.everything() == before
    [event] = await world.audited(action="create")
    assert (event["outcome"], event["refused"]) == ("refused", ["CareTeam.id"])


async def test_what_is_done_and_cannot_be_shown_says_that_it_is_done(world: World) -> None:
    await world.ask('mutation {releaseStudy(study: "1.2.3") {record {id}}}')
    reply = await world.ask(
        'mutation {a: withholdStudy(study: "1.2.3") {record {id}} '
        'b: releaseStudy(study: "1.2.1") {record {id}}}',
        "technologist",
    )
    assert reply.body["data"] == {"a": {"record": None}, "b": {"record": {"id": "1.2.1"}}}
    assert reply.errors == [
        {
            "message": "Done, but the record cannot be shown: it is not open to you",
            "path": ["a"],
            "extensions": {"code": "FORBIDDEN", "done": True},
        }
    ]
    stored = await world.archive.ledger.study("1.2.3")
    assert stored is not None
    assert "tag" not in stored["resource"]["meta"]


async def test_nobody_changes_records_under_pseudonyms(world: World) -> None:
    before = await world.everything()
    people = await world.client.get(
        "/fhir/Patient", headers=world.acting_as("researcher", project="study")
    )
    patient = people.json()["entry"][0]["resource"]["id"]
    assert patient not in world.patients.values()
    for one in (patient, world.patients["P1"]):
        reply = await world.ask(
            f'mutation {{breakGlass(patient: "{one}", {GLASS}) {{record {{id}}}}}}',
            "researcher",
            project="study",
        )
        assert reply.body["data"] == {"breakGlass": {"record": None}}
        assert reply.forbidden == {"Patient.id": ["breakGlass"]}
    after = await world.everything()
    assert {name for name in after if after[name] != before.get(name)} <= {"pseudonyms"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mutation {" + " ".join(f"a{n}: X" for n in range(11)) + "}", "OPERATION_TOO_COMPLEX"),
        (
            "mutation {...F} fragment F on Mutation {"
            + " ".join(f"a{n}: X" for n in range(11))
            + "}",
            "OPERATION_TOO_COMPLEX",
        ),
        ("query {X}", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation {patients {totalCount}}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {X}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_what_is_no_operation_of_ours_is_not_run(world: World, text: str, code: str) -> None:
    reply = await world.ask(text.replace("X", f"{glass(world)} {{record {{id}}}}"), "provider")
    assert list(reply.body) == ["errors"]
    assert reply.code == code
    assert await count(world) == 0


async def test_ten_mutations_are_done_at_once(world: World) -> None:
    many = " ".join(f"a{number}: {glass(world)} {{record {{id}}}}" for number in range(10))
    assert len((await world.ask(f"mutation {{{many}}}", "provider")).data) == 10
    assert await count(world) == 10


async def test_values_that_do_not_fit_are_not_repeated(world: World) -> None:
    text = """mutation($p: ID!, $r: String!, $m: Int!) {
      breakGlass(patient: $p, reason: $r, minutes: $m) {record {id}}}"""
    for wrong in (
        {"r": 4711},
        {"m": "Adamant"},
        {"p": {"$ne": "Adamant"}},
        {"m": None},
        {"m": 2**31},
    ):
        fine = {"p": world.patients["P1"], "r": REASON, "m": 5}
        reply = await world.ask(text, "provider", fine | wrong)
        assert list(reply.body) == ["errors"]
        for word in ("Adamant", "4711", REASON, str(2**31)):
            assert word not in reply.text
    assert await count(world) == 0


async def test_nothing_is_changed_by_get(world: World) -> None:
    answer = await world.client.get(
        "/graphql",
        params={"query": f"mutation {{{glass(world)} {{record {{id}}}}}}"},
        headers=world.acting_as("provider"),
    )
    assert answer.status_code == 405
    assert await count(world) == 0
