import pytest
from pydicom import uid
from pydicom.uid import UID

from app.imaging.part10 import Part10Parser
from fhir.burned_in import DECLARING, MEASURED, withheld
from tests.build import dicom

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def reason(**keywords: object) -> str | None:
    parser = Part10Parser()
    parser.feed(dicom(**keywords))  # type: ignore[arg-type]
    return withheld(parser.close().attributes)


def test_measured_images_leave() -> None:
    for sop_class in MEASURED:
        assert reason(SOPClassUID=sop_class, Modality="CT") is None
    assert reason(BurnedInAnnotation="NO", RecognizableVisualFeatures="NO") is None


@pytest.mark.parametrize("said", ["YES", "yes", "MAYBE"])
def test_what_declares_burned_in_text_stays(said: str) -> None:
    assert reason(BurnedInAnnotation=said) == "its header says that text is burned into its pixels"


def test_what_shows_a_face_stays_even_if_nothing_is_burned_in() -> None:
    found = reason(RecognizableVisualFeatures="YES", BurnedInAnnotation="NO")
    assert found == "its header says that somebody can be recognised in it"


@pytest.mark.parametrize("sop_class", sorted(DECLARING))
def test_what_may_hold_text_leaves_only_if_it_says_that_it_does_not(sop_class: str) -> None:
    assert DECLARING[sop_class] in str(reason(SOPClassUID=sop_class, Modality="US"))
    assert reason(SOPClassUID=sop_class, Modality="US", BurnedInAnnotation="NO") is None
    assert reason(SOPClassUID=sop_class, BurnedInAnnotation="YES") is not None
    assert reason(SOPClassUID=sop_class, BurnedInAnnotation="") is not None


@pytest.mark.parametrize(
    "keywords",
    [
        {"ConversionType": "WSD"},
        {"ConversionType": "DF"},
        {"Modality": "OT"},
        {"Modality": "US"},
        {"Modality": None},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "SCREEN SAVE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "DOSE_INFO"]},
        {"SamplesPerPixel": 3},
    ],
)
def test_a_measured_image_that_may_be_a_screen_save_needs_to_say_so(
    keywords: dict[str, object],
) -> None:
    assert str(reason(**keywords, image=False)).startswith("its header does not say")
    assert reason(**keywords, image=False, BurnedInAnnotation="NO") is None


@pytest.mark.parametrize(
    "sop_class",
    [
        uid.EncapsulatedPDFStorage,
        uid.BasicTextSRStorage,
        uid.KeyObjectSelectionDocumentStorage,
        uid.GrayscaleSoftcopyPresentationStateStorage,
        uid.RTPlanStorage,
        uid.RawDataStorage,
        UID("1.3.12.2.1107.5.9.1"),
        UID("1.2.840.10008.5.1.4.1.1.9999"),
    ],
)
def test_whatever_is_no_known_image_stays_whatever_it_says(sop_class: str) -> None:
    assert str(reason(SOPClassUID=sop_class, BurnedInAnnotation="NO")).startswith(
        "it is not of a kind"
    )


def test_an_overlay_in_the_bits_of_pixels_stays_and_one_of_its_own_leaves() -> None:
    overlay = {0x60000010: ("US", 16), 0x60000011: ("US", 16), 0x60000102: ("US", 12)}
    for group in (0, 2, 0x1E):
        within = {tag + (group << 16): value for tag, value in overlay.items()}
        found = reason(elements=within, BurnedInAnnotation="NO")
        assert found == "graphics lie in the bits of its pixel data"
        own = within | {0x60003000 + (group << 16): ("OW", bytes(2000))}
        assert reason(elements=own) is None


def test_no_sop_class_is_in_both_tables_and_all_are_images() -> None:
    assert MEASURED.isdisjoint(DECLARING)
    for sop_class in (*MEASURED, *DECLARING):
        assert UID(sop_class).type == "SOP Class"
        assert UID(sop_class).is_retired is False
