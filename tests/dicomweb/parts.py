"""Reading multipart answers in tests, and naming addresses."""

from io import BytesIO

import httpx
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from tests.build import uid


def parts_of(answer: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Give headers and body of each part, checking the frame around them."""
    kind, *parameters = answer.headers["content-type"].split("; ")
    assert kind == "multipart/related"
    boundary = dict(one.split("=", 1) for one in parameters)["boundary"]
    opening, *parts, closing = answer.content.split(f"--{boundary}".encode())
    assert (opening, closing) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        assert head.startswith(b"\r\n")
        assert body.endswith(b"\r\n")
        lines = head.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        found.append((headers, body[:-2]))
    return found


def address(data: bytes) -> str:
    """Give the path of an object's instance resource."""
    dataset = read(data)
    return (
        f"/dicomweb/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def read(data: bytes) -> Dataset:
    """Read a DICOM object with pydicom."""
    return dcmread(BytesIO(data), force=True)


def shipped(name: str) -> bytes:
    """A file of pydicom as it is, but for UIDs: several of them are the same instance."""
    path = get_testdata_file(name)
    assert isinstance(path, str)
    dataset = dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid())
    dataset.StudyInstanceUID = UID(uid())
    written = BytesIO()
    dcmwrite(written, dataset)
    return written.getvalue()
