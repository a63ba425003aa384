"""Free text finds what a caller may read, in whatever spelling, and nothing else."""

from typing import Any

import httpx
import pytest

from app.archive import Archive
from tests.schema.asking import Ask, nodes

STUDIES = "query($text: String) {studies(text: $text) {totalCount edges {node {id}}}}"


async def found(ask: Ask, text: str, role: str = "radiologist") -> list[str]:
    reply = await ask(STUDIES, role, {"text": text})
    page = reply.data["studies"]
    assert page["totalCount"] == len(page["edges"])
    return nodes(page)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yamada", ["1.2.1"]),
        ("YAMADA tar", ["1.2.1"]),
        ("tarou yamada", ["1.2.1"]),
        ("山田", ["1.2.1"]),
        ("太郎", ["1.2.1"]),
        ("やまだ", ["1.2.1"]),
        ("ﾔﾏﾀﾞ", ["1.2.1"]),
        ("mueller", ["1.2.2"]),
        ("müller", ["1.2.2"]),
        ("MULLER zoe", ["1.2.2"]),
        ("berg ann", ["1.2.3"]),
        ("b", ["1.2.2", "1.2.3"]),
        ("احمد", ["1.2.4"]),
        ("علي", ["1.2.4"]),
        ("acc-17", ["1.2.1"]),
        ("acc17", []),
        ("thorax", ["1.2.1"]),
        ("horax", []),
        ("nuechtern", ["1.2.1"]),
        ("schadel", ["1.2.2"]),
        ("単純", ["1.2.3"]),
        ("lung", ["1.2.1"]),
        ("ct", ["1.2.1", "1.2.2"]),
        ("positron", ["1.2.1"]),
        ("chest", ["1.2.1"]),
        ("left", ["1.2.4"]),
        ("ct head", ["1.2.2"]),
        ("ct mr", []),
        ("1.2.1", []),
        ("p1", []),
    ],
)
async def test_studies_are_found_by_the_beginnings_of_words(
    ask: Ask, text: str, expected: list[str]
) -> None:
    assert await found(ask, text) == expected


async def test_text_narrows_what_other_arguments_leave(ask: Ask) -> None:
    reply = await ask('{studies(text: "ct", accession: ["B2"]) {edges {node {id}}}}')
    assert nodes(reply.data["studies"]) == ["1.2.2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("...", "text: nothing to look for"),
        ("", "text: an empty value; leave the parameter out instead"),
        ("a b c d e f g h i j k l m", "text: more than 12 words"),
        ("a" * 4097, "text: longer than 4096 characters"),
    ],
)
async def test_a_text_that_makes_no_sense_is_refused(ask: Ask, text: str, message: str) -> None:
    reply = await ask(STUDIES, variables={"text": text})
    assert reply.code == "INVALID_REQUEST"
    assert reply.errors[0]["message"] == message


async def test_what_is_closed_is_not_looked_at(ask: Ask) -> None:
    assert await found(ask, "ct", "technologist") == ["1.2.1", "1.2.2"]
    for closed in ("yamada", "thorax", "acc", "chest", "lung", "山田"):
        assert await found(ask, closed, "technologist") == []
    assert await found(ask, "ct yamada", "technologist") == []


async def test_what_is_open_on_some_rows_is_looked_at_on_these(ask: Ask) -> None:
    # names are open on CT studies, descriptions everywhere
    assert await found(ask, "yamada", "nurse") == ["1.2.1"]
    assert await found(ask, "mueller", "nurse") == ["1.2.2"]
    assert await found(ask, "berg", "nurse") == []
    assert await found(ask, "頭部", "nurse") == ["1.2.3"]
    assert await found(ask, "頭部 berg", "nurse") == []
    assert await found(ask, "mr", "nurse") == []
    assert await found(ask, "thorax yamada", "nurse") == ["1.2.1"]


async def test_text_is_refused_where_nothing_is_open_that_could_hold_it(
    ask: Ask, archive: Archive
) -> None:
    await archive.database["audit_events"].delete_many({})
    reply = await ask(STUDIES, "billing", {"text": "yamada"})
    assert reply.body["data"]["studies"] is None
    assert set(reply.forbidden) == {
        "ImagingStudy.description",
        "ImagingStudy.identifier",
        "ImagingStudy.series.bodySite",
        "ImagingStudy.series.description",
        "ImagingStudy.series.modality",
        "ImagingStudy.subject.display",
    }
    [entry] = await archive.database["audit_events"].find({}).to_list(None)
    assert (entry["action"], entry["outcome"], entry["ids"]) == ("search", "refused", [])


async def test_there_is_no_text_without_identity(ask: Ask) -> None:
    reply = await ask(STUDIES, "researcher", {"text": "ct"}, project="x")
    assert reply.body["data"]["studies"] is None
    assert "ImagingStudy.series.modality" in reply.forbidden


async def test_the_same_text_searches_through_fhir(http: httpx.AsyncClient, acting_as: Any) -> None:
    headers = acting_as("radiologist")

    async def ids(**pairs: str) -> list[str]:
        answer = await http.get("/fhir/ImagingStudy", params=pairs, headers=headers)
        return [one["resource"]["id"] for one in answer.json().get("entry", ())]

    assert await ids(text="mueller") == ["1.2.2"]
    assert await ids(text="yamada,berg") == ["1.2.1", "1.2.3"]
    refused = await http.get("/fhir/ImagingStudy", params={"text:missing": "true"}, headers=headers)
    assert refused.status_code == 400
    whole = await http.get("/fhir/ImagingStudy/1.2.1", headers=headers)
    spoken = whole.json()["subject"]["_display"]["extension"]
    assert [one["valueString"] for one in spoken] == ["山田 太郎", "やまだ たろう"]
    closed = await http.get("/fhir/ImagingStudy/1.2.3", headers=acting_as("nurse"))
    assert "_display" not in closed.text


async def test_patients_are_found_by_name_and_number_and_sorted_by_family(ask: Ask) -> None:
    query = "query($text: String) {patients(text: $text) {edges {node {identifier {value}}}}}"

    async def numbers(text: str) -> list[str]:
        page = (await ask(query, variables={"text": text})).data["patients"]
        return sorted(one[0]["value"] for one in nodes(page, "identifier"))

    assert await numbers("mueller") == ["P2"]
    assert await numbers("太郎 山田") == ["P1"]
    assert await numbers("p") == ["P1", "P2", "P3", "P4"]
    assert await numbers("p3 marie") == ["P3"]
    assert await numbers("p3 zoe") == []
    for order, expected in (
        ("NAME", ["Müller", "van der Berg", "Yamada", "أَحْمَد"]),
        ("NAME_DESC", ["أَحْمَد", "Yamada", "van der Berg", "Müller"]),
    ):
        reply = await ask(f"{{patients(sort: [{order}]) {{edges {{node {{name {{family}}}}}}}}}}")
        names = [one[0]["family"] for one in nodes(reply.data["patients"], "name")]
        assert names == expected
