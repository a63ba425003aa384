"""Reading and matching DICOM keys: pure rules, and MongoDB finds what memory finds."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from app.embedded.mongod import EmbeddedDatabase
from app.store.filters import tag_filter
from fhir.attributes import tag
from fhir.dicom_answers import complete, instance_dicom, select, series_dicom, study_dicom
from fhir.dicom_keys import BUILT_IN_KEYS, Catalogue, Path, field_of, kind_of, path_named
from fhir.dicom_matching import (
    Between,
    Criterion,
    Empty,
    Equal,
    Key,
    Like,
    criteria_of,
    expression,
    meets,
)
from fhir.dicom_terms import moment_terms, terms_of, time_terms
from fhir.errors import Invalid, NotSupported

Json = Any


def header(**values: Json) -> dict[str, Json]:
    """Write DICOM JSON: by keyword, one value or a list, of the VR that the dictionary has."""
    vrs = {"PatientName": "PN", "StudyDate": "DA", "StudyTime": "TM", "AcquisitionDateTime": "DT"}
    return {
        tag(keyword): {
            "vr": vrs.get(keyword, "LO"),
            "Value": value if isinstance(value, list) else [value],
        }
        for keyword, value in values.items()
    }


def matches(attributes: dict[str, Json], key: str, value: str, **how: bool) -> bool:
    path = path_named(key)
    criteria = criteria_of([Key(path, value)], "instance", BUILT_IN_KEYS, **how)
    terms = terms_of(attributes, [path])
    return all(meets(terms, one) for some in criteria.values() for one in some)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("O'Brien^*", True),
        ("o brien^*", True),
        ("O’BRIEN^SEÁN", True),
        ("O'Brien^Seán^^^", True),
        ("O'Brien", False),
        ("*sean", True),
        ("O'B?ien^S*n", True),
        ("O'Brien^Pat\\O'Brien^Sean", True),
        ("^Sean", False),
        ("*^Sean", True),
    ],
)
def test_names_match_without_case_accents_and_punctuation(value: str, found: bool) -> None:
    attributes = header(PatientName={"Alphabetic": "O'Brien^Seán"})
    assert matches(attributes, "PatientName", value) is found


def test_a_space_beside_a_wildcard_counts() -> None:
    attributes = header(PatientName={"Alphabetic": "De la Cruz^Ana"})
    assert matches(attributes, "PatientName", "de *")
    assert not matches(attributes, "PatientName", "del *")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("10", "100000.000000", "105959.999999"),
        ("1030", "103000.000000", "103059.999999"),
        ("103015", "103015.000000", "103015.999999"),
        ("10:30:15.25", "103015.250000", "103015.259999"),
    ],
)
def test_a_time_covers_what_it_leaves_open(text: str, low: str, high: str) -> None:
    assert time_terms(text) == (low, high)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", "20240101000000.000000", "20241231235959.999999"),
        ("202402", "20240201000000.000000", "20240229235959.999999"),
        ("20240131", "20240131000000.000000", "20240131235959.999999"),
        ("2024013110+0200", "20240131080000.000000", "20240131085959.999999"),
        ("20240131103015.5-0130", "20240131120015.500000", "20240131120015.599999"),
    ],
)
def test_a_moment_is_compared_in_utc(text: str, low: str, high: str) -> None:
    assert moment_terms(text) == (low, high)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("20240131103000", True),
        ("20240131", True),
        ("20240131100000-20240131110000", True),
        ("20240131103100-", False),
        ("-20240131103000", True),
        ("20240131123000+0200-20240131124000+0200", True),
        ("20240131123100+0200-20240131124000+0200", False),
    ],
)
def test_moments_match_by_range_also_with_offsets(value: str, found: bool) -> None:
    attributes = header(AcquisitionDateTime="20240131103000")
    assert matches(attributes, "AcquisitionDateTime", value) is found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("StudyDate", "2024"),
        ("StudyDate", "20241301"),
        ("StudyDate", "20240101-20240201-20240301"),
        ("StudyTime", "1061"),
        ("StudyTime", "10-11-12"),
        ("AcquisitionDateTime", "20240131-20240201-20240301"),
        ("AcquisitionDateTime", "later"),
        ("SOPInstanceUID", "1.2.3/../4"),
        ("SOPInstanceUID", "1" * 65),
        ("Rows", "0x10"),
        ("Rows", "1e400"),
        ("StudyID", "a\ud800"),
        ("StudyID", "a" * 70_000),
        ("StudyID", "\\"),
        ("ModalitiesInStudy", "CT\\*"),
    ],
)
def test_a_value_that_cannot_be_understood_is_refused(key: str, value: str) -> None:
    with pytest.raises(Invalid):
        criteria_of([Key(path_named(key), value)], "instance", BUILT_IN_KEYS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Patient",
        "0010001",
        "001000100",
        "00100010.00100020",
        "0010.0010",
        "zzzzzzzz",
        "00020010",
    ],
)
def test_what_is_no_attribute_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        path_named(name)


def test_a_key_is_met_at_its_own_level_and_refused_below() -> None:
    keys = [Key(path_named(one), "1") for one in ("PatientID", "SeriesNumber", "InstanceNumber")]
    found = criteria_of(keys, "instance", BUILT_IN_KEYS)
    assert {level: len(some) for level, some in found.items()} == {
        "study": 1,
        "series": 1,
        "instance": 1,
    }
    with pytest.raises(NotSupported, match="lower level"):
        criteria_of(keys, "series", BUILT_IN_KEYS)


def test_dates_and_times_are_one_range_only_if_they_are_to_be() -> None:
    keys = [Key(path_named("StudyDate"), "20240131-20240202")]
    keys.append(Key(path_named("StudyTime"), "1000-1100"))
    [both] = criteria_of(keys, "study", BUILT_IN_KEYS)["study"]
    assert both.tests == (Between("20240131100000.000000", "20240202110059.999999"),)
    assert len(criteria_of(keys, "study", BUILT_IN_KEYS, combined=False)["study"]) == 2


def test_a_configured_path_can_be_searched_by_at_its_level() -> None:
    catalogue = Catalogue.of({"series": ["00191010", "SharedFunctionalGroupsSequence.00189004"]})
    assert catalogue.searchable("series", path_named("00191010"))
    assert catalogue.searchable("instance", (0x52009229, 0x00189004))
    assert not catalogue.searchable("study", path_named("00191010"))
    with pytest.raises(Invalid):
        Catalogue.of({"study": ["NoSuchThing"]})


PRIVATE = {"00191010": {"vr": "LO", "Value": ["secret sauce"]}}
UIDS = {
    tag("StudyInstanceUID"): {"vr": "UI", "Value": ["1.2"]},
    tag("SeriesInstanceUID"): {"vr": "UI", "Value": ["1.2.3"]},
    tag("SOPInstanceUID"): {"vr": "UI", "Value": ["1.2.3.4"]},
}


def test_a_configured_private_attribute_is_kept_and_another_is_not() -> None:
    catalogue = Catalogue.of({"instance": ["00191010"]})
    kept = instance_dicom({**UIDS, **PRIVATE}, "1.2.840.10008.1.2.1", catalogue)
    assert kept["extra"] == {"00191010": "secret sauce"}
    assert "extra" not in instance_dicom({**UIDS, **PRIVATE}, "1.2.840.10008.1.2.1", BUILT_IN_KEYS)


HOSTILE = [
    {"00080020": {"vr": "SQ", "Value": [{"00081190": {"vr": "UR", "Value": ["x"]}}]}},
    {"00100010": {"vr": "LO", "Value": ["No^Object"]}},
    {"00100020": {"vr": "SQ", "Value": [{}]}},
    {"00200011": {"vr": "IS", "Value": ["many", None, 2**60, 1.5]}},
    {"00080020": {"vr": "DA", "Value": ["20240131", "20240201"]}, "00080060": {"vr": "CS"}},
    {"00400275": {"vr": "SQ", "Value": [None, {}, {"00400009": {"vr": "SH"}}] * 500}},
    {"00324000": {"vr": "LT", "Value": ["x" * 100_000]}},
    {"00100010": {"vr": "PN", "Value": [{"Alphabetic": None, "Other": 5}, "plain"]}},
]


@pytest.mark.parametrize("attributes", HOSTILE)
def test_whatever_a_header_says_can_be_kept(attributes: dict[str, Json]) -> None:
    said = {**UIDS, **attributes}
    series = series_dicom(said, 3, BUILT_IN_KEYS)
    study = study_dicom(said, [series], BUILT_IN_KEYS)
    instance_dicom(said, "1.2.840.10008.1.2.1", BUILT_IN_KEYS)
    assert isinstance(study["tags"]["0008002000080030"], str)
    text = complete(study["dicom"]["shown"], "https://host/dicomweb")
    assert b'"00081190":{"vr":"UR","Value":["https://host/dicomweb/studies/1.2"]}' in text
    assert len(study["dicom"]["rest"]) < 50_000


def test_a_part_of_a_sequence_is_selected_alone() -> None:
    item = {"00400009": {"vr": "SH", "Value": ["a"]}, "00401001": {"vr": "SH", "Value": ["b"]}}
    attributes = {"00400275": {"vr": "SQ", "Value": [item]}}
    assert select(attributes, [path_named("RequestAttributesSequence.RequestedProcedureID")]) == {
        "00400275": {"vr": "SQ", "Value": [{"00401001": {"vr": "SH", "Value": ["b"]}}]}
    }
    assert select({}, [path_named("PatientName")]) == {"00100010": {"vr": "PN"}}


TEXTS = st.text(st.sampled_from("abAB*?.^$\\ -[]()ü山"), max_size=8)
PATH: Path = path_named("RequestAttributesSequence.ScheduledProcedureStepID")
FIELD = field_of(PATH)


def any_test() -> st.SearchStrategy[Any]:
    plain = st.text(st.sampled_from("abAB.^$\\ ü山0189"), min_size=1, max_size=6)
    return st.one_of(
        st.frozensets(st.one_of(plain, st.integers(-5, 5)), min_size=1, max_size=3).map(Equal),
        TEXTS.map(expression).map(Like),
        st.tuples(plain, plain).map(lambda pair: Between(*sorted(pair))),
        st.just(Empty()),
    )


@pytest.fixture(scope="module")
def collection(mongod: EmbeddedDatabase) -> Iterator[Any]:
    with MongoClient[dict[str, Json]](mongod.url) as client:
        found = client["dicom-criteria"]["tags"]
        found.create_index([("tags.$**", 1)])
        yield found
        client.drop_database("dicom-criteria")


@given(
    st.lists(st.lists(st.one_of(TEXTS.filter(bool), st.integers(-5, 5)), max_size=3), max_size=6),
    st.lists(any_test(), max_size=3),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mongodb_finds_what_memory_finds(
    collection: Any, stored: list[list[Json]], asked: list[Any]
) -> None:
    criterion = Criterion(PATH, FIELD, tuple(asked))
    kept = [{FIELD: one if len(one) > 1 else one[0]} if one else {} for one in stored]
    collection.delete_many({})
    documents = [{"_id": at, "tags": one} for at, one in enumerate(kept)]
    if documents:
        collection.insert_many(documents)
    found = {one["_id"] for one in collection.find(tag_filter("tags.", criterion))}
    assert found == {at for at, one in enumerate(kept) if meets(one, criterion)}


@given(TEXTS, TEXTS)
def test_wildcards_mean_what_they_do_in_file_names(text: str, pattern: str) -> None:
    def like(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(like(text[at:], pattern[1:]) for at in range(len(text) + 1))
        return bool(text) and pattern[0] in {"?", text[0]} and like(text[1:], pattern[1:])

    test = Like(expression(pattern))
    assert meets({FIELD: text or [""]}, Criterion(PATH, FIELD, (test,))) is like(text, pattern)


def test_every_built_in_key_has_a_kind_that_is_compared() -> None:
    assert kind_of(path_named("RequestAttributesSequence")) == "items"
    assert {kind_of(path_named(one)) for one in ("PatientName", "StudyDate", "Rows")} == {
        "name",
        "date",
        "number",
    }
