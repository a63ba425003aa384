"""One SOP instance as a picture: what its header says of it, and where its pixels are."""

import strawberry

from schema.arguments import slice_arguments
from schema.coordinates import computed, element, plumbing
from schema.datatypes import Coding
from schema.paging import PageInfo
from schema.scalars import Integer64

MOST_FRAMES = 1_000
_FRAMES = 100

# An address of pixels tells all of these.
_IN_ADDRESS = ("Image.study", "Image.series", "Image.numberOfFrames")


@strawberry.type(description="One frame of an image.")
class ImageFrame:
    """Number and address."""

    number: int | None = element("Image.pixels", "Counts from 1.", home=False)
    url: str | None = element(
        "Image.pixels",
        "WADO-RS address of the frame's bytes; needs the same token.",
        home=False,
    )


@strawberry.type(description="One SOP instance of any kind; what has no pixels has no frames.")
class Image:
    """Not a FHIR resource; ours."""

    id: strawberry.ID = element("Image.id", "SOP Instance UID.")
    study: strawberry.ID | None = element("Image.study", "Study Instance UID.")
    series: strawberry.ID | None = element("Image.series", "Series Instance UID.")
    number: int | None = element("Image.number", "InstanceNumber.")
    sopClass: Coding | None = element("Image.sopClass", "SOP class, as urn:oid.")
    title: str | None = element("Image.title", "Image type, or title of a document.")
    transferSyntax: str | None = element("Image.transferSyntax", "UID of the stored encoding.")
    size: Integer64 | None = element("Image.size", "Bytes of the stored object.")
    rows: int | None = element("Image.rows", "Pixels from top to bottom.")
    columns: int | None = element("Image.columns", "Pixels from left to right.")
    numberOfFrames: int | None = element(
        "Image.numberOfFrames", "Frames that are there; null without pixel data."
    )
    bitsAllocated: int | None = element("Image.bitsAllocated", "Bits of a stored sample.")
    bitsStored: int | None = element("Image.bitsStored", "Bits of a sample that are used.")
    photometricInterpretation: str | None = element(
        "Image.photometricInterpretation", "MONOCHROME2, RGB, …"
    )
    windowCenter: list[float] | None = element(
        "Image.windowCenter", "Centers of the windows that the header proposes."
    )
    windowWidth: list[float] | None = element(
        "Image.windowWidth", "Widths of the windows that the header proposes."
    )
    rescaleIntercept: float | None = element(
        "Image.rescaleIntercept", "Value of a stored 0 after the Modality LUT."
    )
    rescaleSlope: float | None = element(
        "Image.rescaleSlope", "What one stored step is after the Modality LUT."
    )
    pixelSpacing: list[float] | None = element(
        "Image.pixelSpacing", "Between rows, then between columns, in mm."
    )
    sliceThickness: float | None = element("Image.sliceThickness", "In mm.")
    imagePosition: list[float] | None = element(
        "Image.imagePosition", "x, y, z of the first pixel in the patient, in mm."
    )
    imageOrientation: list[float] | None = element(
        "Image.imageOrientation", "Direction cosines of the rows, then of the columns."
    )
    frames = computed(
        "Image.pixels",
        list[ImageFrame] | None,
        f"Frames and their addresses, at most {MOST_FRAMES:,} at once.",
        needs=_IN_ADDRESS,
        arguments=slice_arguments("frames", _FRAMES),
    )
    rendered: str | None = element(
        "Image.pixels",
        "Address of the picture as PNG or JPEG; needs the same token.",
        needs=_IN_ADDRESS,
        home=False,
    )
    thumbnail: str | None = element(
        "Image.pixels",
        "Address of a small picture; needs the same token.",
        needs=_IN_ADDRESS,
        home=False,
    )
    file: str | None = element(
        "Image.file",
        "Address of the DICOM object; needs the same token.",
        needs=("Image.study", "Image.series"),
    )


@strawberry.type(description="An image in a page.")
class ImagesEdge:
    """Relay's edge."""

    cursor: str = plumbing("Where the row stands; `after` begins behind it.")
    node: Image = plumbing("The image.")


@strawberry.type(description="A page of images.")
class ImagesConnection:
    """Relay's connection."""

    totalCount: int | None = plumbing("Images on all pages that you may see.")
    edges: list[ImagesEdge] = plumbing("The images of this page.")
    pageInfo: PageInfo = plumbing("Where this page stands.")
