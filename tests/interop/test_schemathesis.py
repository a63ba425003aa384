"""schemathesis against a server process: requests of all kinds get what OpenAPI documents."""

import asyncio
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.build import dicom, multipart, uid
from tests.serving import Serving

Json = Any
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
EXAMPLES = 16
STUDY, SERIES, IMAGE = uid(), uid(), uid()
# What is really there, by the names that addresses give it.
REAL = {
    "study": STUDY,
    "series": SERIES,
    "instance": IMAGE,
    "listed": "1",
    "study_uid": STUDY,
    "image_uid": IMAGE,
}
# Asks for what is real, and would take it away from those who come later.
_LEFT_ALONE = {("DELETE", "/postdicom/studies/{study_uid}")}


@schemathesis.serializer("multipart/related", "application/dicom")
def anything(_context: SerializationContext, value: Json) -> bytes:
    """Write what is no DICOM, and has no parts."""
    return value if isinstance(value, bytes) else repr(value).encode(errors="replace")


@pytest.fixture(scope="module")
async def stored(server: Serving) -> None:
    """One image, which addresses can lead to."""
    data = dicom(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        SOPInstanceUID=IMAGE,
        elements={0x00281201: ("OW", bytes(3000))},
    )
    body, content_type = multipart([data])
    headers = {
        "Authorization": f"Bearer {server.issuer.token('radiologist')}",
        "Content-Type": content_type,
    }
    answer = await asyncio.to_thread(
        requests.post, f"{server.url}/dicomweb/studies", body, headers=headers, timeout=30
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("door", ["dicomweb", "postdicom"])
def test_every_documented_request_is_answered_as_documented(server: Serving, door: str) -> None:
    document = requests.get(f"{server.url}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document).include(path_regex=f"^/{door}(/|$)")
    asked = 0
    problems: dict[str, str] = {}
    for number, found in enumerate(schema.get_all_operations()):
        assert isinstance(found, Ok)
        operation = found.ok()
        token = server.issuer.token("radiologist", subject=f"somebody-{door}-{number}")
        responses = operation.definition.raw["responses"]
        given_as = responses.get("200", {}).get("content", {})
        left_alone = (operation.method.upper(), operation.path) in _LEFT_ALONE

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(),
            real=st.booleans(),
            accept=st.sampled_from(["*/*", *given_as]),
        )
        def ask(case: Case[Json], real: bool, accept: str) -> None:
            nonlocal asked
            if real and not left_alone:  # noqa: B023 -- called before the next one
                names = case.path_parameters or {}
                case.path_parameters = {**names, **{k: REAL[k] for k in names if k in REAL}}
            headers = {"Authorization": f"Bearer {token}", "Accept": accept}  # noqa: B023
            answer = case.call(base_url=server.url, headers=headers, timeout=30)
            asked += 1
            case.validate_response(answer, checks=list(CHECKS))

        try:
            ask()
        except FailureGroup as failures:
            problems[operation.label] = "; ".join(str(one) for one in failures.exceptions)
    assert problems == {}
    assert asked > 50
