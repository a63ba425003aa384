"""What follows from the operations: the manifest that trusts them, and their types."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import build_schema

from app.archive import Archive
from app.graphql.persisted import hash_of, read_manifest
from app.operations import FOLDER, portal_files
from fhir.errors import Invalid
from schema.typescript import typescript
from tests.build import study
from tests.care import patient_of
from tests.portal.asking import TEXTS
from tests.portal.compiling import complaints
from tests.rest.forms import put
from tests.schema.doors import code, post, served

MANIFEST = FOLDER / "operations.json"
TYPES = FOLDER / "src" / "operations.ts"
HERE = Path(__file__).parent
MATRIX = "matrix: Array<Array<number | null>> | null;"
SMALL = build_schema(
    """
    interface Failure {code: String!}
    type Gone implements Failure {code: String!, since: String}
    type Busy implements Failure {code: String!}
    type Wrong implements Failure {code: String!}
    enum Order {UP DOWN}
    input Part {order: Order!, inside: [Part!], most: Int! = 3}
    type Row {id: ID!, of: Row, failures: [Failure!]!, matrix: [[Float]!]}
    type Query {row(part: Part, orders: [Order!]!, most: Int!): Row, rows: [Row!]}
    """
)


@pytest.mark.parametrize("path", [MANIFEST, TYPES], ids=lambda path: path.name)
def test_what_follows_from_the_operations_is_up_to_date(path: Path) -> None:
    assert path.read_bytes() == portal_files()[path], "run `python -m app types`"


def test_the_manifest_is_one_that_the_server_reads() -> None:
    assert dict(read_manifest(MANIFEST)) == {hash_of(text): text for text in TEXTS.values()}


def test_every_operation_has_its_types_and_its_document() -> None:
    text = TYPES.read_text(encoding="utf-8")
    for name, document in TEXTS.items():
        assert text.count(f"export type {name}Variables = {{") == 1
        assert text.count(f"export type {name}Result = {{") == 1
        assert f'  {name}: "{hash_of(document)}",\n' in text


async def test_the_types_compile_and_refuse_what_they_do_not_have() -> None:
    assert await complaints(TYPES, HERE / "uses.ts") == []


async def test_a_patient_who_may_send_trusted_documents_alone_is_served_the_portals(
    archive: Archive, acting_as: Callable[..., dict[str, str]]
) -> None:
    await put(archive, *study(StudyInstanceUID="1.2.9"))
    headers = acting_as("patient", patient=await patient_of(archive, "1.2.9"))
    only = frozenset({"patient"})
    async with served(archive, graphql_operations=MANIFEST, graphql_persisted_only=only) as client:
        text = TEXTS["StudyPage"]
        asked = {"documentId": hash_of(text), "variables": {"modality": ["CT"]}}
        answer = (await post(client, json.dumps(asked), headers)).json()
        assert "errors" not in answer, answer["errors"]
        assert [one["node"]["id"] for one in answer["data"]["studies"]["edges"]] == ["1.2.9"]
        answer = await post(client, json.dumps({"query": f"{text} "}), headers)
        assert (answer.status_code, code(answer)) == (403, "PERSISTED_ONLY")


def test_variables_are_optional_where_they_may_be_absent() -> None:
    text = (
        "query Rows($part: Part, $orders: [Order!]!, $most: Int! = 2)"
        " {row(part: $part, orders: $orders, most: $most) {id}}"
    )
    assert typescript(SMALL, {"Rows": text}) == (
        'export type Order = "UP" | "DOWN";\n\n'
        "export type Part = {\n"
        "  order: Order;\n"
        "  inside?: Array<Part> | null;\n"
        "  most?: number;\n"
        "};\n\n"
        "export type RowsVariables = {\n"
        "  part?: Part | null;\n"
        "  orders: Array<Order>;\n"
        "  most?: number;\n"
        "};\n\n"
        "export type RowsResult = {\n"
        "  row: {\n"
        "    id: string;\n"
        "  } | null;\n"
        "};\n"
    )


@pytest.mark.parametrize(
    ("selected", "typed"),
    [
        ("matrix", MATRIX),
        ("key: id", "key: string;"),
        ("__typename", '__typename: "Row";'),
        ("id @include(if: $yes)", "id?: string;"),
        ("id @include(if: $yes) id", "id: string;"),
        ("...Key @skip(if: $yes)", "id?: string;"),
        ("of {id} ...Of", f"of: {{ id: string; {MATRIX} }} | null;"),
        ("of {matrix} of @skip(if: $yes) {id}", f"of: {{ {MATRIX} id?: string; }} | null;"),
        ("of @skip(if: $yes) {id}", "of?: { id: string; } | null;"),
        (
            "failures {kind: __typename code}",
            'failures: Array<{ kind: "Busy" | "Gone" | "Wrong"; code: string; }>;',
        ),
        (
            "failures {__typename ... on Gone {since} ... on Failure {code}}",
            'failures: Array<{ __typename: "Busy" | "Wrong"; code: string; } | '
            '{ __typename: "Gone"; since: string | null; code: string; }>;',
        ),
    ],
)
def test_a_result_has_the_shape_of_the_selection(selected: str, typed: str) -> None:
    spread = {"Key": "{id}", "Of": "{of {matrix}}", "All": f"{{{selected}}}"}
    fragments = [
        f"fragment {name} on Row {body}"
        for name, body in spread.items()
        if name == "All" or f"...{name}" in selected
    ]
    last = "last: rows {id @skip(if: $yes)}"  # the variable is to be used
    text = f"query Rows($yes: Boolean! = true) {{rows {{...All}} {last}}}"
    found = " ".join(typescript(SMALL, {"Rows": " ".join([text, *fragments])}).split())
    assert f"rows: Array<{{ {typed} }}> | null;" in found


@pytest.mark.parametrize(
    "text",
    [
        "query Rows {",
        "{rows {id}}",
        "query Other {rows {id}}",
        "query Rows {rows {id}} query More {rows {id}}",
        "query Rows {rows {nothing}}",
    ],
)
def test_what_is_not_the_one_operation_of_its_name_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^Rows: "):
        typescript(SMALL, {"Rows": text})


def test_a_scalar_that_nobody_described_is_refused() -> None:
    schema = build_schema("scalar Colour type Query {colour: Colour}")
    with pytest.raises(Invalid, match="scalar Colour"):
        typescript(schema, {"Paint": "query Paint {colour}"})
