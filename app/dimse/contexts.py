"""Which services are offered, and in which encodings (PS3.8 annex B, PS3.4 annex B and C)."""

from collections.abc import Iterable, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from pydicom import uid
from pydicom._uid_dict import UID_dictionary
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from app.imaging.arriving.meta import TRANSFER_SYNTAXES

Service = Literal["store", "echo", "find", "get", "move"]
Root = Literal["patient", "study"]

STORE: Final[tuple[Service, Root]] = ("store", "study")
SERVICES: Final = MappingProxyType[str, tuple[Service, Root]](
    {
        "1.2.840.10008.1.1": ("echo", "study"),
        "1.2.840.10008.5.1.4.1.2.1.1": ("find", "patient"),
        "1.2.840.10008.5.1.4.1.2.1.2": ("move", "patient"),
        "1.2.840.10008.5.1.4.1.2.1.3": ("get", "patient"),
        "1.2.840.10008.5.1.4.1.2.2.1": ("find", "study"),
        "1.2.840.10008.5.1.4.1.2.2.2": ("move", "study"),
        "1.2.840.10008.5.1.4.1.2.2.3": ("get", "study"),
    }
)
"""What is offered besides storage, by SOP class: the service, and what its queries begin with."""

# Identifiers are little endian; what compresses pixels compresses none of them.
_LITTLE_ENDIAN = (str(uid.ExplicitVRLittleEndian), str(uid.ImplicitVRLittleEndian))
_NATIVE = (*_LITTLE_ENDIAN, str(uid.ExplicitVRBigEndian))


def supported(proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Answer what a peer proposes: every service we have, and every kind of object we store."""
    syntaxes: dict[str, dict[str, None]] = {}
    for context in proposed:
        known = syntaxes.setdefault(str(context.abstract_syntax), {})
        known.update(dict.fromkeys(map(str, context.transfer_syntax)))
    offered = []
    for abstract_syntax, named in syntaxes.items():
        if abstract_syntax in SERVICES:
            offered.append(build_context(abstract_syntax, list(_LITTLE_ENDIAN)))
        elif is_storage(abstract_syntax) and (ordered := preferred(named)):
            context = build_context(abstract_syntax, list(ordered))
            context.scu_role = context.scp_role = True  # as C-GET needs it
            offered.append(context)
    return offered


@cache
def is_storage(sop_class: str) -> bool:
    """Say whether objects of a class may be stored; those that nobody knows may."""
    service = uid_to_service_class(sop_class)
    if service is not ServiceClass:
        return service is StorageServiceClass
    known = UID_dictionary.get(sop_class)
    return known is None or (known[1] == "SOP Class" and "Storage" in known[0])


def preferred(proposed: Iterable[str]) -> Sequence[str]:
    """Order the encodings that can be stored: as they were proposed, explicit before implicit."""
    known = [one for one in proposed if one in TRANSFER_SYNTAXES]
    native = iter(sorted((one for one in known if one in _NATIVE), key=_NATIVE.index))
    return [next(native) if one in _NATIVE else one for one in known]
