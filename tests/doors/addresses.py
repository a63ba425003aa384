"""What leads to the planted records and bytes, and how else it may be written."""

from collections.abc import Iterator

from tests.doors.sight import Target

PART_10 = 'multipart/related; type="application/dicom"'


def addresses(target: Target) -> Iterator[tuple[str, str]]:
    """List what leads to the planted records and bytes, with what is accepted."""
    study = f"/dicomweb/studies/{target.study}"
    series = f"{study}/series/{target.series}"
    instance = f"{series}/instances/{target.instance}"
    yield from ((one, PART_10) for one in (study, series, instance))
    yield from (
        (f"{instance}/{one}", "*/*")
        for one in ("frames/1", "rendered", "frames/1/rendered", "thumbnail", "frames/1/thumbnail")
    )
    yield from ((f"{one}/thumbnail", "*/*") for one in (study, series))
    yield from (
        (f"{one}/{resource}", "*/*")
        for one in (study, series, instance)
        for resource in ("metadata", "bulkdata", "pixeldata")
    )
    yield from (
        (one, "*/*")
        for one in (
            f"/fhir/Patient/{target.patient}",
            f"/fhir/ImagingStudy/{target.study}",
            f"/postdicom/studies/{target.study}",
            f"/postdicom/images/{target.instance}",
            f"/postdicom/images/{target.instance}/data",
        )
    )


def spellings(path: str) -> Iterator[str]:
    """Write an address in other ways that somebody may take for the same."""
    head, _, last = path.rpartition("/")
    yield f"{path}/"
    yield f"/{path}"
    yield path.replace("/", "//", 2)
    yield f"{head}//{last}"
    yield f"{head}/./{last}"
    yield f"{head}/x/../{last}"
    yield f"/health/..{path}"
    yield f"/docs/..{path}"
    yield f"/fhir/metadata/../..{path}"
    yield f"{head}%2F{last}"
    yield f"{head}/%{ord(last[0]):02X}{last[1:]}"
    yield f"{head}/{last}%00"
    yield f"{head}/{last}%20"
    yield f"{path};jsessionid=1"
    yield f"{head};x=y/{last}"
    yield f"{path}?_format=json"
    yield f"{path}?_format=application/fhir%2Bjson&_summary=false&_elements=name"
    yield f"{path}?accept=application/dicom"
    yield f"{path}?patient=x&access_token=x"
    yield path.upper()
    yield f"{head}/{last.upper()}"
    yield path.replace("/fhir", "/FHIR").replace("/dicomweb", "/DICOMweb")
