"""What the Basic Application Level Confidentiality Profile (PS3.15 E) does to an element.

The table itself (E.1-1) is that of `dicomanonymizer`, edition 2026c.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal

from dicomanonymizer import simpledicomanonymizer as profile
from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_is_retired,
    dictionary_VR,
    keyword_for_tag,
)

Action = Literal["remove", "empty", "dummy", "uid", "references", "keep"]
"""What becomes of an element: X, Z, D, U, X/Z/U* of the table; `keep` where it lists nothing.

Where the table leaves it to the kind of object, the one that every kind of object allows is taken:
X/Z is Z, and whatever may be D is D.
"""

EDITION: Final = "2026c"
TEMPORAL: Final = frozenset({"DA", "DT", "TM"})

_ACTIONS: Mapping[Callable[..., Any], Action] = {
    profile.delete: "remove",
    profile.empty: "empty",
    profile.delete_or_empty: "empty",
    profile.replace: "dummy",
    profile.empty_or_replace: "dummy",
    profile.delete_or_replace: "dummy",
    profile.delete_or_empty_or_replace: "dummy",
    profile.replace_UID: "uid",
    profile.delete_or_empty_or_replace_UID: "references",
}
# Curves, and overlays with all that describes them: groups that repeat.
_GRAPHICS: Final = frozenset((*range(0x5000, 0x5100), *range(0x6000, 0x6100)))
_LAST_META_GROUP: Final = 0x0007
_PIXEL_GROUP: Final = 0x7FE0
# Values of anybody's making: an element with such a value that the table does not know may say
# anything. Names, codes and labels (LO, SH, CS) of current elements it was made to know.
_TEXTS: Final = frozenset({"AE", "LT", "PN", "ST", "UC", "UR", "UT", "UN"})
_LABELS: Final = frozenset({"LO", "SH"})
# Moved by days, a birth date would still tell the age at every study.
_BIRTH: Final = frozenset({0x00100030, 0x00100032})
_PATIENT_GROUP: Final = 0x0010
_FREE: Final = ("Comment", "Notes")
# What was asked for and done, in a hospital's own codes and their meanings: of anybody's making.
_OWN_CODES: Final = frozenset(
    {0x00081032, 0x00321064, 0x00400008, 0x00400260, 0x0040100A, 0x00401012}
)


@cache
def _table() -> dict[int, Action]:
    rules = profile.initialize_actions(f"dicomfields_{EDITION}")
    return {
        tag[0] << 16 | tag[1]: _ACTIONS[rule]
        for tag, rule in rules.items()
        if len(tag) == 2  # noqa: PLR2004 -- the others are masks of the groups that repeat
    }


@cache
def is_movable(tag: int, vr: str) -> bool:
    """Say whether an element holds a date or time that may be moved instead of removed.

    Args:
        tag: Group and element in one number.
        vr: Value representation in the object.
    """
    known = not tag >> 16 & 1 and dictionary_has_tag(tag)
    return known and vr in TEMPORAL and vr == dictionary_VR(tag) and tag not in _BIRTH


def _is_free(tag: int) -> bool:
    keyword = keyword_for_tag(tag)
    return tag >> 16 == _PATIENT_GROUP or any(word in keyword for word in _FREE)


@cache
def action(tag: int, vr: str) -> Action:
    """Say what becomes of an element, wherever it stands.

    Args:
        tag: Group and element in one number.
        vr: Value representation in the object.
    """
    group = tag >> 16
    if group % 2 or group in _GRAPHICS or group <= _LAST_META_GROUP or group > _PIXEL_GROUP:
        return "remove"
    if tag in _OWN_CODES:
        return "remove"
    listed = _table().get(tag)
    if listed is not None:
        return listed
    if not dictionary_has_tag(tag):
        return "remove"
    if vr == "UI":
        return "uid"
    if vr in _TEXTS or (vr in _LABELS and (dictionary_is_retired(tag) or _is_free(tag))):
        return "remove"
    # a value of another kind than the element's own is not what the table let pass
    if vr in _LABELS | {"SQ"} and vr not in dictionary_VR(tag):
        return "remove"
    return "keep"
