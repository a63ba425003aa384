"""The files that pydicom ships are found on disk."""

from pathlib import Path

from pydicom.data import get_testdata_file

from app.samples.archive import pydicom_files


def test_known_files_are_listed() -> None:
    paths = list(pydicom_files())
    names = {path.name for path in paths}
    assert {"CT_small.dcm", "chrH31.dcm", "no_meta.dcm", "JPEG2000.dcm"} <= names
    assert Path(str(get_testdata_file("CT_small.dcm"))) in paths


def test_order_is_fixed_and_nothing_comes_twice() -> None:
    paths = list(pydicom_files())
    assert paths == sorted(set(paths))


def test_files_without_a_suffix_are_found_and_media_directories_are_not() -> None:
    paths = list(pydicom_files())
    assert len(paths) == 184
    assert sum(path.suffix == "" for path in paths) == 81
    assert not [path for path in paths if path.name.startswith("DICOMDIR")]


def test_what_is_listed_is_dicom() -> None:
    bare = [path.name for path in pydicom_files() if path.read_bytes()[128:132] != b"DICM"]
    assert bare == [
        "ExplVR_BigEndNoMeta.dcm",
        "ExplVR_LitEndNoMeta.dcm",
        "no_meta.dcm",
        "rtstruct.dcm",
    ]
