"""Person names (VR PN, as objects of the DICOM JSON Model) as HumanName and as text."""

from collections.abc import Mapping
from typing import Any

from fhir.from_dicom.shapes import Element, present
from fhir.from_dicom.texts import clean

_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
# Component group to ISO 21090 representation: in letters, in ideographs, as it sounds.
_GROUPS = {"Alphabetic": "ABC", "Ideographic": "IDE", "Phonetic": "SYL"}
_COMPONENTS = 5


def human_names(name: Any, use: str | None = None) -> list[Element]:
    """Give one HumanName for each component group that says something.

    Args:
        name: One value of VR PN: `{"Alphabetic": "Doe^Jane", …}`.
        use: HumanName.use of all of them.
    """
    found = []
    for group, code in _GROUPS.items():
        components = _components(name, group)
        if any(components):
            family, given, middle, prefix, suffix = components
            human = present(
                extension=[{"url": _REPRESENTATION, "valueCode": code}],
                use=use,
                text=_text(components, group),
                family=family,
                given=[part for part in (given, middle) if part],
                prefix=prefix.split(),
                suffix=suffix.split(),
            )
            found.append(human)
    return found


def display(name: Any) -> str | None:
    """Write a name for reading, in the first component group that says something."""
    return next(
        (text for group in _GROUPS if (text := _text(_components(name, group), group))), None
    )


def other_displays(name: Any) -> list[str]:
    """Write a name for reading in the component groups that `display` leaves out."""
    texts = dict.fromkeys(_text(_components(name, group), group) for group in _GROUPS)
    return [text for text in texts if text][1:]


def _components(name: Any, group: str) -> list[str]:
    written = name.get(group) if isinstance(name, Mapping) else None
    parts = written.split("^") if isinstance(written, str) else []
    cleaned = [clean(part) or "" for part in parts[:_COMPONENTS]]
    return cleaned + [""] * (_COMPONENTS - len(cleaned))


def _text(components: list[str], group: str) -> str:
    family, given, middle, prefix, suffix = components
    # Chinese, Japanese and Korean names, and how they sound, start with the family.
    western = (prefix, given, middle, family, suffix)
    order = western if group == "Alphabetic" else (prefix, family, given, middle, suffix)
    return " ".join(part for part in order if part)
