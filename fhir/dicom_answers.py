"""What a search shows of studies, series and instances: made when they settle, kept as text.

All of it is DICOM JSON (PS3.18 Annex F) in ascending order of tags. `complete` writes the address
into a text.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from fhir.attributes import Attributes, tag
from fhir.dicom_elements import PRIVATE
from fhir.dicom_keys import (
    AVAILABILITY,
    BUILT_IN,
    CHARACTER_SET,
    RETRIEVE_URL,
    SHOWN,
    WHEN,
    Catalogue,
    Level,
    Path,
    coordinates_of_path,
)
from fhir.dicom_redaction import element_of
from fhir.dicom_terms import Term, terms_of

Json = Any

_LONGEST: Final = 16 * 2**10  # bytes of one attribute that is kept beside what is always shown
_URL: Final = f"{RETRIEVE_URL:08X}"
_ADDRESS: Final = f'"{_URL}":{{"vr":"UR","Value":["'.encode()
OURS: Final = frozenset(f"{one:08X}" for one in (CHARACTER_SET, AVAILABILITY, RETRIEVE_URL))

SHOWN_COORDINATES: Final[Mapping[Level, frozenset[str]]] = {
    level: frozenset().union(*(coordinates_of_path(path) for path in paths))
    for level, paths in SHOWN.items()
}
"""What is told by the text that is always shown, at each level."""


def study_dicom(
    attributes: Attributes, series: Iterable[Mapping[str, Json]], catalogue: Catalogue
) -> dict[str, Json]:
    """Write what a search has of a study.

    Args:
        attributes: Header that stands for the study.
        series: What `series_dicom` gave of each, in order.
        catalogue: What is searched by.

    Returns:
        `tags`: what the study is searched by. `dicom`: the texts `shown` and `rest`, the series.
    """
    listed = list(series)
    modalities = sorted({one for part in listed for one in _listed(part["tags"].get(_MODALITY))})
    counted = {
        **attributes,
        tag("ModalitiesInStudy"): _element("CS", *modalities),
        tag("NumberOfStudyRelatedSeries"): _element("IS", len(listed)),
        tag("NumberOfStudyRelatedInstances"): _element(
            "IS", sum(part["instances"] for part in listed)
        ),
    }
    uid = str(attributes[tag("StudyInstanceUID")]["Value"][0])
    tags = terms_of(counted, (*BUILT_IN["study"], *catalogue.study))
    tags.setdefault(WHEN, "")
    return {
        "tags": tags,
        "dicom": {
            **_texts(counted, "study", catalogue, f"/studies/{uid}"),
            "series": listed,
        },
    }


def series_dicom(attributes: Attributes, instances: int, catalogue: Catalogue) -> dict[str, Json]:
    """Write what a search has of a series.

    Args:
        attributes: Header that stands for the series.
        instances: How many there are.
        catalogue: What is searched by.
    """
    counted = {**attributes, tag("NumberOfSeriesRelatedInstances"): _element("IS", instances)}
    study, uid = (
        str(attributes[tag(one)]["Value"][0]) for one in ("StudyInstanceUID", "SeriesInstanceUID")
    )
    return {
        "instances": instances,
        "tags": terms_of(counted, (*BUILT_IN["series"], *catalogue.series)),
        **_texts(counted, "series", catalogue, f"/studies/{study}/series/{uid}"),
    }


def instance_dicom(
    attributes: Attributes, transfer_syntax: str, catalogue: Catalogue
) -> dict[str, Json]:
    """Write what a search has of an instance beside its header.

    Returns:
        `tags`: what it is searched by within its study. `extra`: what was configured. `shown`:
        the text.
    """
    known = {**attributes, tag("AvailableTransferSyntaxUID"): _element("UI", transfer_syntax)}
    study, series, uid = (
        str(attributes[tag(one)]["Value"][0])
        for one in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    url = f"/studies/{study}/series/{series}/instances/{uid}"
    extra: dict[str, Term | list[Term]] = terms_of(known, catalogue.instance)
    return {
        "tags": terms_of(known, BUILT_IN["instance"]),
        "shown": orjson.dumps(ours(select(known, SHOWN["instance"]), "instance", url)),
    } | ({"extra": extra} if extra else {})


def select(attributes: Attributes, paths: Iterable[Path]) -> dict[str, Json]:
    """Take the named attributes; those that are not there are empty.

    Args:
        attributes: DICOM JSON.
        paths: A sequence is taken whole, or with what is named in it.
    """
    inner: dict[int, list[Path]] = {}
    for path in paths:
        inner.setdefault(path[0], []).append(path[1:])
    found: dict[str, Json] = {}
    for one, within in inner.items():
        key = f"{one:08X}"
        element = attributes.get(key)
        known = _vr(one)
        if element is None or (known and (known == "SQ") != (element["vr"] == "SQ")):
            if known:
                found[key] = {"vr": known}
        elif () in within or not element.get("Value"):
            found[key] = element
        else:
            kept = [select(item or {}, within) for item in element["Value"]]
            found[key] = {**element, "Value": kept}
    return found


@lru_cache(4096)
def _vr(one: int) -> str | None:
    return dictionary_VR(one).partition(" or ")[0] if dictionary_has_tag(one) else None


def ours(attributes: Mapping[str, Json], level: Level, url: str | None) -> dict[str, Json]:
    """Add what we say of our own answer, and put attributes in order.

    Args:
        attributes: Of the row.
        level: Of the row.
        url: RetrieveURL, or None.
    """
    said = {**attributes, f"{CHARACTER_SET:08X}": _element("CS", "ISO_IR 192")}
    if level != "series":
        said[f"{AVAILABILITY:08X}"] = _element("CS", "ONLINE")
    if url is not None:
        said[_URL] = {"vr": "UR", "Value": [url]}
    return dict(sorted(said.items()))


def complete(text: bytes, address: str) -> bytes:
    """Write the base of all addresses into a text that is always shown."""
    # what comes before it has neither sequences nor, unescaped, quotes
    return text.replace(_ADDRESS, _ADDRESS + _as_json(address), 1)


def _as_json(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


_MODALITY: Final = tag("Modality")
_OF_INSTANCES: Final = frozenset(f"{path[0]:08X}" for path in BUILT_IN["instance"])


def _texts(
    attributes: Attributes, level: Level, catalogue: Catalogue, url: str
) -> dict[str, bytes]:
    shown = ours(select(attributes, SHOWN[level]), level, url)
    named = {f"{path[0]:08X}" for path in (*BUILT_IN[level], *catalogue.configured(level))}
    rest = {
        key: element
        for key, element in attributes.items()
        if (key in named or _is_of(level, key)) and element != shown.get(key)
    }
    small = {
        key: element
        for key, element in rest.items()
        if "BulkDataURI" not in element and len(orjson.dumps(element)) <= _LONGEST
    }
    return {"shown": orjson.dumps(shown), "rest": orjson.dumps(small)}


def _is_of(level: Level, key: str) -> bool:
    """Say whether an attribute is about all of a study, or all of a series."""
    coordinate = element_of(key)
    if key in _OF_INSTANCES or coordinate == PRIVATE:
        return False
    if coordinate.startswith(("Image.", "ImagingStudy.series.instance")):
        return False
    of: Level = "series" if coordinate.startswith("ImagingStudy.series") else "study"
    return of == level


def _element(vr: str, *values: Json) -> dict[str, Json]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [] if value is None else [value]
