"""Colour profiles of rendered pictures (PS3.18 8.3.5.1.5)."""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.imaging.layout import Undecodable
from app.imaging.lut import Bulk, bulk_range
from fhir.attributes import Attributes, items, tag

PROFILES: Final = ("no", "yes", "srgb", "adobergb")
"""`no` writes none, `yes` that of the instance, the others turn colours into theirs."""

MAX_BYTES: Final = 2**20
"""A longer profile is not written: a JPEG can carry hardly more."""

_SIGNATURE = slice(36, 40)


def own_profile_source(attributes: Attributes) -> Attributes:
    """Give where an instance keeps its profile: in itself, or in its first optical path."""
    if tag("ICCProfile") in attributes:
        return attributes
    paths = items(attributes, "OpticalPathSequence")
    return paths[0] if paths else attributes


def own_profile(attributes: Attributes, bulk: Bulk) -> bytes | None:
    """Give the profile of an instance, or None.

    Args:
        attributes: Of the instance.
        bulk: What `bulk_range` found in `own_profile_source`.
    """
    source = own_profile_source(attributes)
    where = bulk_range(source, "ICCProfile")
    if where is not None:
        found = bulk.get(where, b"")
    else:
        try:
            found = b64decode((source.get(tag("ICCProfile")) or {}).get("InlineBinary", ""))
        except NotBase64:
            return None
    return found if found[_SIGNATURE] == b"acsp" and len(found) <= MAX_BYTES else None


def with_profile(
    picture: NDArray[np.uint8], wanted: str, own: bytes | None
) -> tuple[NDArray[np.uint8], bytes]:
    """Give a picture in the colours of a profile, and the profile.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3); grey becomes colour.
        wanted: One of `PROFILES`, not `no`.
        own: Of the instance; without one its colours are taken for sRGB.

    Raises:
        Undecodable: The instance's own profile is of no use.
    """
    colours = picture
    if picture.ndim == 2:  # noqa: PLR2004 -- rows and columns
        colours, own = np.repeat(picture[..., None], 3, axis=2), None
    srgb = bytes(imagecodecs.cms_profile("srgb"))
    if wanted == "yes" or (wanted == "srgb" and own is None):
        return colours, own or srgb
    target = srgb if wanted == "srgb" else bytes(imagecodecs.cms_profile("adobergb"))
    try:
        turned = imagecodecs.cms_transform(
            colours, own or srgb, target, colorspace="rgb", outcolorspace="rgb"
        )
    except (RuntimeError, ValueError) as error:
        raise Undecodable("The colour profile of this instance cannot be used.") from error
    return np.ascontiguousarray(turned, np.uint8), target
