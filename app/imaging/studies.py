"""Deriving the records of a study and its patient from the instances that are there."""

import asyncio
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Final

from app.store.entries import SeriesCount
from app.store.ledger import Ledger
from app.store.together import Together
from fhir.attributes import Attributes, integer, text
from fhir.dicom_answers import series_dicom, study_dicom
from fhir.dicom_keys import Catalogue
from fhir.from_dicom.imaging_study import assemble, imaging_study, subject
from fhir.from_dicom.patient import patient, patient_key
from fhir.from_dicom.series import series
from fhir.from_dicom.site import SITE_SYSTEM, Site, site_tags
from fhir.labels import NORMAL, RELEASED

Json = Any

ENDPOINT_ID: Final = "dicomweb"
_GONE: Final = frozenset({"deleted", "deleting"})


class Studies:
    """Records that are functions of the set of instances, whatever order they came in.

    A record is written only over the version that was read before counting, so that any
    interleaving of processes ends with the truth.
    """

    def __init__(self, ledger: Ledger, site: Site, *, release: bool, catalogue: Catalogue) -> None:
        """Set how headers are read, searched by, and whether patients see a new study at once."""
        self._ledger = ledger
        self._site = site
        self._release = release
        self._catalogue = catalogue
        self._settled = Together(self._settle)

    async def settle(self, study: str) -> None:
        """Make a study's record, and its patient's, true for the instances that are there now."""
        await self._settled(study)

    async def derive(self, study: str) -> None:
        """Derive a study's record again although its instances are the same."""
        while not await self._derived(study, anew=True):
            pass

    async def _settle(self, studies: list[str]) -> list[None]:
        async def settle(study: str) -> None:
            while not await self._derived(study, anew=False):
                pass

        await asyncio.gather(*(settle(study) for study in dict.fromkeys(studies)))
        return [None] * len(studies)

    async def _derived(self, study: str, *, anew: bool) -> bool:
        """Try once; say False if the ground moved meanwhile."""
        document = await self._ledger.study(study)
        counts = await self._ledger.series_of(study)
        if not counts or (document and not document.keys().isdisjoint(_GONE)):
            return True
        if document is None:
            await self._claim_again(study, counts[0])
            return False
        key = document["patientKey"]
        owner = await self._ledger.patient_id(key)
        derived_from = [owner, *([*_values(one)] for one in counts)]
        if anew or document.get("derivedFrom") != derived_from:
            headers = await self._ledger.headers_of([one.representative for one in counts])
            if len(headers) != len(counts):
                return False  # deleted meanwhile
            speaker = headers[min(headers)]
            if document.get("mixed"):
                speaker = await self._ledger.header_naming(study, key) or speaker
            spoken = self._spoken(study, speaker)
            record = self._record(document, owner, counts, headers)
            dicom = self._dicom(counts, headers, speaker)
            if not await self._ledger.save_study(document, record, derived_from, spoken, dicom):
                return False
        for former in document.get("formerKeys", ()):
            if former != key:
                await self._ledger.settle_patient(former)
        return await self._ledger.settle_patient(key)

    async def _claim_again(self, study: str, one: SeriesCount) -> None:
        """Give instances a study that came after it was deleted, from a process that then died."""
        for header in (await self._ledger.headers_of([one.representative])).values():
            await self._ledger.claim(study, patient_key(header, self._site), lease="")

    def _record(
        self,
        document: Mapping[str, Json],
        owner: str,
        counts: Iterable[SeriesCount],
        headers: Mapping[str, Attributes],
    ) -> dict[str, Json]:
        parts = []
        for one in counts:
            header = headers[one.representative]
            part = series(header, self._site, uniform_laterality=one.laterality)
            parts.append({**part, "numberOfInstances": one.instances})
        first = headers[min(headers)]
        record = assemble(
            imaging_study(first, self._site),
            id=document["_id"],
            subject=subject(owner, first),
            series=parts,
            endpoint=f"Endpoint/{ENDPOINT_ID}",
        )
        codes = [code for one in headers.values() if (code := self._site.code_of(one))]
        labels = self._labels(document)
        if tags := [*labels.get("tag", ()), *site_tags(codes)]:
            labels["tag"] = tags
        return {**record, "meta": labels}

    def _dicom(
        self,
        counts: Iterable[SeriesCount],
        headers: Mapping[str, Attributes],
        speaker: Attributes,
    ) -> dict[str, Json]:
        """Write what DICOM searches have of the study, its series in the order of numbers."""
        listed = [(headers[one.representative], one) for one in counts]
        listed.sort(key=lambda pair: (_number(pair[0]), pair[1].uid))
        parts = [series_dicom(header, one.instances, self._catalogue) for header, one in listed]
        patient = {tag: one for tag, one in speaker.items() if tag.startswith("0010")}
        return study_dicom({**headers[min(headers)], **patient}, parts, self._catalogue)

    def _spoken(self, study: str, header: Attributes) -> dict[str, Json]:
        """Give what a study says of its patient, and its rank among the patient's studies."""
        rank = f"{text(header, 'StudyDate') or ''}|{study}"
        return {"rank": rank, "resource": patient(header, self._site)}

    def _labels(self, document: Mapping[str, Json]) -> dict[str, Json]:
        """Keep the labels of a known study; a new one is normal, and released if so configured."""
        if "resource" in document:
            meta = document["resource"].get("meta", {})
            tags = [one for one in meta.get("tag", ()) if one.get("system") != SITE_SYSTEM]
            labels = {"security": meta.get("security"), "tag": tags}
            return {name: value for name, value in labels.items() if value}
        return {"security": [NORMAL]} | ({"tag": [RELEASED]} if self._release else {})


def _number(header: Attributes) -> float:
    found = integer(header, "SeriesNumber")
    return inf if found is None else found


def _values(one: SeriesCount) -> tuple[str, int, str, str | None]:
    return one.uid, one.instances, one.representative, one.laterality
