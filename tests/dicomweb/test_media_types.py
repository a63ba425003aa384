"""What is accepted, and which of the forms on offer that gives."""

import pytest

from app.dicomweb.media_types import COMPRESSED, MediaType, Offer, accepted, choose, media_type
from fhir.errors import Invalid, NotAcceptable

JLS = "1.2.840.10008.1.2.4.80"
EXPLICIT = "1.2.840.10008.1.2.1"
PLAIN = Offer(("application/octet-stream",), EXPLICIT, multipart=True)
STORED = Offer(
    ("image/jls", "image/x-jls", "application/octet-stream"), JLS, multipart=True, as_stored=True
)
ALONE = Offer(("application/octet-stream",), EXPLICIT)
FRAME = (PLAIN, STORED, ALONE)


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("image/JPEG", "image/jpeg", {}),
        ("image/png;q=0.5", "image/png", {"q": "0.5"}),
        (
            'multipart/related; TYPE="application/dicom" ; boundary="a;b,c"',
            "multipart/related",
            {"type": "application/dicom", "boundary": "a;b,c"},
        ),
        (
            "multipart/related;type=image/jls;transfer-syntax=*;",
            "multipart/related",
            {"type": "image/jls", "transfer-syntax": "*"},
        ),
        (r'text/plain; x="a\"b"', "text/plain", {"x": 'a"b'}),
    ],
)
def test_a_media_type_is_read_with_its_parameters(
    text: str, name: str, parameters: dict[str, str]
) -> None:
    assert media_type(text) == MediaType(name, parameters)


@pytest.mark.parametrize(
    "text",
    ["", "image", "image/", "a b/c", 'image/png; x="a', "image/png; x", "image/png; q=2", "/"],
)
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        media_type(text)


def test_what_is_wanted_most_comes_first_and_else_the_clients_order_stays() -> None:
    names = [one.name for one in accepted("a/a;q=0.1, b/b;q=0.9, c/c, d/d;q=0.9, ,")]
    assert names == ["c/c", "b/b", "d/d", "a/a"]


@pytest.mark.parametrize(
    ("accept", "offer"),
    [
        # What dicomweb-client sends.
        ('multipart/related; type="*/*"', PLAIN),
        ('multipart/related; type="application/octet-stream"', PLAIN),
        (
            'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, '
            'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80',
            STORED,
        ),
        # What OHIF sends.
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", STORED),
        # Others.
        ("", PLAIN),
        ("*/*", PLAIN),
        ("*/*; transfer-syntax=*", STORED),
        ("multipart/*", PLAIN),
        ("multipart/related; type=image/*", STORED),
        ("multipart/related; type=image/x-jls", STORED),
        (f"multipart/related; type=application/octet-stream; transfer-syntax={JLS}", STORED),
        ("application/octet-stream", ALONE),
        ("application/*", ALONE),
        ("text/html, */*;q=0.1", PLAIN),
        ("multipart/related; type=application/octet-stream; q=0, */*", STORED),
        ("application/octet-stream;q=0.5, multipart/related;type=image/jls;q=0.9", STORED),
    ],
)
def test_the_form_is_the_first_that_fits_what_is_wanted_most(accept: str, offer: Offer) -> None:
    assert choose(accept, FRAME) == offer


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "image/jls",
        "multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.81",
        "multipart/related; type=image/jp2",
        "multipart/form-data",
        "*/*;q=0",
    ],
)
def test_what_does_not_fit_is_not_acceptable_and_the_message_lists_what_does(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        choose(accept, FRAME)
    assert refusal.value.message == (
        "Not available in what you accept, but as "
        'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1 '
        'or multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80 '
        "or application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1."
    )


def test_every_form_on_offer_is_what_its_own_text_asks_for() -> None:
    for syntax, names in COMPRESSED.items():
        offers = [Offer(names, syntax, multipart) for multipart in (True, False)]
        for offer in offers:
            assert choose(str(offer), offers) == offer
