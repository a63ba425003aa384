"""What the service says of itself, to programs and to people, without a token."""

from xml.etree import ElementTree

import httpx
import pytest

from app import __version__
from app.dicomweb.conformance import WADL
from app.dicomweb.standards import standards

BASE = "http://radiograph.test/dicomweb"
SPACE = {"w": "http://wadl.dev.java.net/2009/02"}


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", WADL),
        ("", WADL),
        (WADL, WADL),
        ("application/xml", WADL),
        ("application/json", "application/json"),
        ("text/html, application/json;q=0.1", "application/json"),
    ],
)
async def test_capabilities_are_wadl_or_json_without_a_token(
    client: httpx.AsyncClient, method: str, accept: str, given: str
) -> None:
    answer = await client.request(method, "/dicomweb/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == given
    assert answer.headers["allow"] == "GET, OPTIONS"


async def test_capabilities_in_a_form_that_there_is_not_are_406(client: httpx.AsyncClient) -> None:
    for path in ("/dicomweb/", "/dicomweb/conformance"):
        answer = await client.get(path, headers={"Accept": "image/png"})
        assert answer.status_code == 406


async def test_the_wadl_has_one_tree_of_resources_with_every_address(
    client: httpx.AsyncClient,
) -> None:
    root = ElementTree.fromstring((await client.request("OPTIONS", "/dicomweb/")).content)
    [resources] = root.findall("w:resources", SPACE)
    assert resources.attrib == {"base": f"{BASE}/"}
    found = _addresses(resources, "")
    listed = (await client.get("/dicomweb/", headers={"Accept": "application/json"})).json()
    assert found == {
        (method, one["path"]) for one in listed["operations"] for method in one["methods"]
    }
    assert {
        ("GET", "/studies"),
        ("POST", "/studies/{study}"),
        ("GET", "/studies/{study}/metadata"),
        ("GET", "/studies/{study}/series/{series}/instances/{instance}/bulkdata"),
    } <= found
    ids = [one.attrib["id"] for one in root.iter("{http://wadl.dev.java.net/2009/02}method")]
    assert len(ids) == len(set(ids))


def _addresses(place: ElementTree.Element, path: str) -> set[tuple[str, str]]:
    found = {(one.attrib["name"], path) for one in place.findall("w:method", SPACE)}
    for inner in place.findall("w:resource", SPACE):
        found |= _addresses(inner, f"{path}/{inner.attrib['path']}")
    return found


async def test_a_method_says_what_it_gives_and_takes(client: httpx.AsyncClient) -> None:
    root = ElementTree.fromstring((await client.request("OPTIONS", "/dicomweb/")).content)
    methods = {
        one.attrib["id"]: one for one in root.iter("{http://wadl.dev.java.net/2009/02}method")
    }
    metadata = methods["StudyMetadata"]
    [accept] = metadata.findall("w:request/w:param[@name='Accept']", SPACE)
    assert accept.attrib["default"] == "application/dicom+json"
    assert [one.attrib["value"] for one in accept] == [
        "application/dicom+json",
        "application/json",
        "multipart/related",
    ]
    given = metadata.findall("w:response/w:representation", SPACE)
    assert [one.attrib["mediaType"] for one in given] == [one.attrib["value"] for one in accept]
    bulk_data = methods["InstanceBulkData"].findall("w:request/w:param[@style='query']", SPACE)
    assert [one.attrib["name"] for one in bulk_data] == ["offset", "length"]
    taken = methods["StoreInstances"].findall("w:request/w:representation", SPACE)
    assert "multipart/related" in [one.attrib["mediaType"] for one in taken]


async def test_the_statement_names_every_clause_with_its_proof(client: httpx.AsyncClient) -> None:
    answer = await client.get("/dicomweb/conformance")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert f"Radiograph {__version__}" in answer.text
    said = standards()
    for one in said.clauses:
        assert f"<td>{one.number}<td><b>" in answer.text
        assert all(f"<code>{test}</code>" in answer.text for test in one.tests)
    listed = await client.get("/dicomweb/conformance", headers={"Accept": "application/json"})
    assert [one["clause"] for one in listed.json()["clauses"]] == [
        one.number for one in said.clauses
    ]
    assert len(listed.json()["gaps"]) == len(said.gaps)


async def test_nothing_else_below_the_door_is_open_without_a_token(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/dicomweb", "/dicomweb/conformance/", "/dicomweb//", "/dicomweb/studies"):
        for method in ("GET", "OPTIONS"):
            assert (await client.request(method, path)).status_code == 401, path
