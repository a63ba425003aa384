"""The builders of the tests write what they are told."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.encaps import generate_frames, parse_basic_offsets, parse_fragments

from app.samples.encoding import DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED, ENCODERS, NATIVE
from tests.build import OffsetTable, dicom, multipart, ramp, study

WITHOUT_PYDICOM_DECODER = {
    ENCAPSULATED_UNCOMPRESSED,
    DEFLATED_FRAMES,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
}
FURTHEST: dict[str, int] = {uid.JPEGLSNearLossless: 2, uid.JPEG2000: 600}


@pytest.mark.parametrize(
    "transfer_syntax", sorted([*NATIVE, *(ENCODERS.keys() - WITHOUT_PYDICOM_DECODER)])
)
def test_pydicom_reads_the_frames_back(transfer_syntax: str) -> None:
    frames = ramp(3, 16, 16)
    dataset = dcmread(BytesIO(dicom(pixels=frames, transfer_syntax=transfer_syntax)))
    furthest = np.abs(dataset.pixel_array.astype(int) - frames).max()
    assert dataset.NumberOfFrames == 3
    assert furthest <= FURTHEST.get(transfer_syntax, 0)


@pytest.mark.parametrize("transfer_syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
def test_lossless_jpeg_frames_are_exact(transfer_syntax: str) -> None:
    dataset = dcmread(BytesIO(dicom(transfer_syntax=transfer_syntax)))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    assert np.array_equal(imagecodecs.jpeg8_decode(frame), ramp()[0])


@pytest.mark.parametrize(
    ("table", "offsets", "fragments"), [("basic", 3, 6), ("none", 0, 6), ("extended", 0, 3)]
)
def test_offset_tables_and_fragments_are_as_asked(
    table: OffsetTable, offsets: int, fragments: int
) -> None:
    data = dicom(frames=3, transfer_syntax=uid.JPEGLSLossless, table=table, fragments=2)
    dataset = dcmread(BytesIO(data))
    assert len(parse_basic_offsets(dataset.PixelData)) == offsets
    after_table = dataset.PixelData[8 + 4 * offsets :]
    assert parse_fragments(after_table)[0] == fragments
    assert len(dataset.get("ExtendedOffsetTable", b"")) == (24 if table == "extended" else 0)


def test_keywords_replace_remove_and_nest() -> None:
    dataset = dcmread(
        BytesIO(
            dicom(
                PatientName="山田^太郎",
                PatientID=None,
                RequestAttributesSequence=[
                    {"RequestedProcedureCodeSequence": [{"CodeValue": "7"}]}
                ],
                meta={"SourceApplicationEntityTitle": "SCU"},
                elements={0x00090010: ("LO", "OURS"), 0x00091001: ("OB", b"12")},
            )
        )
    )
    assert str(dataset.PatientName) == "山田^太郎"
    assert "PatientID" not in dataset
    procedure = dataset.RequestAttributesSequence[0].RequestedProcedureCodeSequence[0]
    assert procedure.CodeValue == "7"
    assert dataset.file_meta.SourceApplicationEntityTitle == "SCU"
    assert dataset[0x00091001].value == b"12"


def test_fresh_files_differ_in_every_uid_and_a_study_shares_its_own() -> None:
    one, two = (dcmread(BytesIO(dicom())) for _ in range(2))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != two[keyword].value
    members = [dcmread(BytesIO(data)) for data in study(2, 2, StudyInstanceUID="1.2")]
    assert [member.SOPInstanceUID for member in members] == [
        "1.2.1.1",
        "1.2.1.2",
        "1.2.2.1",
        "1.2.2.2",
    ]
    assert {member.StudyInstanceUID for member in members} == {"1.2"}


def test_a_multipart_body_has_one_part_for_each_file() -> None:
    body, content_type = multipart([b"one", (b"{}", "application/dicom+json")], "b")
    assert content_type == 'multipart/related; type="application/dicom"; boundary="b"'
    assert body == (
        b"--b\r\nContent-Type: application/dicom\r\n\r\none\r\n"
        b"--b\r\nContent-Type: application/dicom+json\r\n\r\n{}\r\n"
        b"--b--\r\n"
    )
