"""Records without anybody's identity: what callers ask by and are given are pseudonyms.

It lies between the guard and the records. Policy scopes speak of records as they are stored
(`fhir.search.Stored`) and pass; everything else that comes from above is by pseudonym, and a real
id finds nothing, as if it were unknown.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson

from fhir.access import Action, Entry
from fhir.asked import OWN, PLAIN, REFERENCES, Ask, asks, meaning, searchable
from fhir.burned_in import withheld
from fhir.dicom_disguised import dicom_asks, dicom_disguised, dicom_meaning
from fhir.dicom_keys import PATIENT_ID, Level
from fhir.dicom_matching import Criterion, Equal
from fhir.dicom_rows import Asked, DicomRow, Portion
from fhir.disguised import Given, disguised, is_shown, marked
from fhir.errors import AccessDenied, Invalid
from fhir.pseudonyms import Disguise, Pseudonyms, Register
from fhir.repository import (
    Position,
    Record,
    Repository,
    Sort,
    StoredHeader,
    StoredImage,
    Tallied,
    Tally,
    Wanted,
)
from fhir.search import Filter, Has, all_of, any_of, stored

Json = Any


class Deidentified:
    """`fhir.repository.Repository` for one project; it refuses what would change records."""

    def __init__(
        self,
        repository: Repository,
        pseudonyms: Pseudonyms,
        register: Register,
        note: Callable[[Entry], None],
    ) -> None:
        """Stand before the records.

        Args:
            repository: The records as they are.
            pseudonyms: Of the project.
            register: Of the pseudonyms that were given out.
            note: Takes each refusal for the audit: the guard above has let it pass.
        """
        self._repository = repository
        self._pseudonyms = pseudonyms
        self._register = register
        self._note = note

    async def find(
        self,
        resource: str,
        tree: Filter,
        *,
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
        after: Position | None = None,
        skip: int = 0,
    ) -> list[Record]:
        """List records in a stable order, beginning after a position.

        Raises:
            AccessDenied: The type, or what is searched or sorted by, is not in this view.
            Invalid: The position is none that was given out here.
        """
        meant = await self._asked(resource, tree, [one.parameter for one in sort])
        records = await self._repository.find(
            resource,
            meant,
            wanted=_with_patient(resource, wanted),
            sort=sort,
            limit=limit,
            after=await self._place(resource, after, sort) if after else None,
            skip=skip,
        )
        given = Given(self._pseudonyms)
        found = [_record(resource, record, wanted, sort, given) for record in records]
        await self._save(given)
        return found

    async def find_each(
        self,
        resource: str,
        tree: Filter,
        *,
        parameter: str,
        values: Sequence[str],
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
    ) -> dict[str, tuple[int, list[Record]]]:
        """For each value of one parameter, count its records and list the first ones.

        Raises:
            AccessDenied: The type, or what is searched or sorted by, is not in this view.
        """
        tree = await self._asked(resource, tree, [parameter, *(one.parameter for one in sort)])
        asked = {value: Has(parameter, value) for value in values}
        real = await self._real(ask for has in asked.values() for ask in asks(resource, has))
        meant = {}
        for value, criterion in asked.items():
            found_as = meaning(resource, criterion, real)
            if isinstance(found_as, Has) and found_as.parameter == parameter:
                meant[found_as.value] = value
        groups = await self._repository.find_each(
            resource,
            tree,
            parameter=parameter,
            values=list(meant),
            wanted=_with_patient(resource, wanted),
            sort=sort,
            limit=limit,
        )
        given = Given(self._pseudonyms)
        found: dict[str, tuple[int, list[Record]]] = {value: (0, []) for value in values}
        for value, (total, records) in groups.items():
            shown = [_record(resource, record, wanted, sort, given) for record in records]
            found[meant[value]] = (total, shown)
        await self._save(given)
        return found

    async def count(self, resource: str, tree: Filter) -> int:
        """Count records.

        Raises:
            AccessDenied: The type, or what is searched by, is not in this view.
        """
        return await self._repository.count(resource, await self._asked(resource, tree))

    async def count_by(self, resource: str, tree: Filter, tallies: Sequence[Tally]) -> Tallied:
        """Count records by the values of parameters; codes that are not shown are not counted.

        Raises:
            AccessDenied: The type, or what is counted or searched by, is not in this view.
        """
        meant = await self._asked(resource, tree, [one.parameter for one in tallies])
        found = await self._repository.count_by(resource, meant, tallies)
        counts = {
            name: [(value, count) for value, count in some if is_shown(name, value)]
            for name, some in found.counts.items()
        }
        return Tallied(found.total, counts)

    async def images_of(
        self, studies: Sequence[str], elements: frozenset[str], limit: int | None = None
    ) -> dict[str, list[dict[str, Json]]]:
        """List the Image records of studies by series, number and id; by study."""
        real = await self._real(("uid", study) for study in studies)
        stored = await self._repository.images_of(list(real.values()), elements, limit)
        given = Given(self._pseudonyms)
        found: dict[str, list[dict[str, Json]]] = {study: [] for study in studies}
        for study, uid in real.items():
            images = ({"resourceType": "Image", **image} for image in stored[uid])
            found[study] = [disguised(image, given) for image in images]
        await self._save(given)
        return found

    async def stored_image(self, identifier: str, *, outdated: bool = False) -> StoredImage | None:
        """Give what serving an instance's bytes without identity needs, or None."""
        real = await self._real([("uid", identifier)])
        stored = await self._repository.stored_image(real.get(identifier, ""), outdated=outdated)
        return await self._shown_image(stored)

    async def remembered_image(self, identifier: str) -> StoredImage | None:
        """Give what `stored_image` gave some time ago, or None."""
        real = await self._real([("uid", identifier)])
        return await self._shown_image(
            await self._repository.remembered_image(real.get(identifier, ""))
        )

    async def _shown_image(self, stored: StoredImage | None) -> StoredImage | None:
        if stored is None:
            return None
        disguise = Disguise(self._pseudonyms, await self._patient_of(stored.study))
        given = Given(self._pseudonyms)
        shown = _disguised_image(stored, disguise, given)
        await self._save(given)
        return shown

    async def stored_images(
        self, study: str, series: str | None = None, *, headers: bool
    ) -> list[StoredImage]:
        """Give what serving the bytes of a study without identity needs, by series and number.

        Headers are read in any case: they tell whether the bytes may leave.
        """
        asked = [one for one in (study, series) if one is not None]
        real = await self._real(("uid", one) for one in asked)
        if len(real) < len(set(asked)):
            return []
        # what is withheld follows from the header, whoever needs it or not
        stored = await self._repository.stored_images(
            real[study], series and real[series], headers=True
        )
        if not stored:
            return []
        disguise = Disguise(self._pseudonyms, await self._patient_of(stored[0].study))
        given = Given(self._pseudonyms)
        shown = [_disguised_image(one, disguise, given) for one in stored]
        await self._save(given)
        return shown

    async def headers(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> AsyncIterator[list[StoredHeader]]:
        """Give the headers of a study's instances with the disguise that each needs, in batches."""
        asked = [one for one in (study, series, instance) if one is not None]
        real = await self._real(("uid", one) for one in asked)
        if len(real) < len(set(asked)):
            return
        disguise = Disguise(self._pseudonyms, await self._patient_of(real[study]))
        async for batch in self._repository.headers(
            real[study], series and real[series], instance and real[instance]
        ):
            given = Given(self._pseudonyms)
            shown = [_disguised_header(one, disguise, given) for one in batch]
            await self._save(given)
            yield shown

    async def find_dicom(self, asked: Asked, portion: Portion) -> list[DicomRow]:
        """List studies, their series, or instances, with what may stay of what they say.

        Raises:
            AccessDenied: What is searched by is not in this view.
        """
        portion = replace(portion, index=portion.index | {"patient"}, newest=False)
        with self._told("ImagingStudy"):
            meant = await self._meant_dicom(asked)
        rows = await self._repository.find_dicom(meant, portion)
        patients = await self._patients_of(rows)
        given = Given(self._pseudonyms)
        shown = [_disguised_row(row, patients[row.uids["study"]], given) for row in rows]
        await self._save(given)
        return shown

    async def count_dicom(self, asked: Asked) -> int:
        """Count what `find_dicom` would list without a limit.

        Raises:
            AccessDenied: What is searched by is not in this view.
        """
        return await self._repository.count_dicom(await self._meant_dicom(asked))

    async def create(self, resource: Mapping[str, Json]) -> Record:
        """Store nothing but what is the caller's own (`OWN`).

        Raises:
            AccessDenied: It is anything else.
        """
        if resource["resourceType"] in OWN:
            return await self._repository.create(resource)
        raise self._read_only("create", resource["resourceType"])

    async def replace(self, resource: Mapping[str, Json], version: int) -> Record | None:
        """Change nothing but what is the caller's own (`OWN`).

        Raises:
            AccessDenied: It is anything else.
        """
        if resource["resourceType"] in OWN:
            return await self._repository.replace(resource, version)
        raise self._read_only("update", resource["resourceType"])

    async def remove(self, resource: str, identifier: str) -> bool:
        """Delete nothing but what is the caller's own (`OWN`).

        Raises:
            AccessDenied: It is anything else.
        """
        if resource in OWN:
            return await self._repository.remove(resource, identifier)
        raise self._read_only("delete", resource)

    async def _meant_dicom(self, asked: Asked) -> Asked:
        """Write what is asked in real values; what is not known matches nothing."""
        listed = [one for some in asked.criteria.values() for one in some]
        uids = (asked.studies or frozenset()) | (asked.series or frozenset())
        asks: set[Ask] = {("uid", one) for one in uids}
        real = await self._real(asks.union(*(dicom_asks(one) for one in listed)))
        meant: dict[Level, tuple[Criterion, ...]] = {}
        rows = [await self._meant("ImagingStudy", asked.rows)]
        for level, some in asked.criteria.items():
            written = [dicom_meaning(one, real) for one in some]
            meant[level] = tuple(one for one in written if one.path != PATIENT_ID)
            rows += [_of_patients(one) for one in written if one.path == PATIENT_ID]
        return replace(
            asked,
            rows=all_of(rows),
            criteria=meant,
            studies=_known(asked.studies, real),
            series=_known(asked.series, real),
        )

    async def _patients_of(self, rows: Sequence[DicomRow]) -> dict[str, str]:
        """Name whom the studies of rows are about."""
        found = {row.uids["study"]: row.index.get("patient", ()) for row in rows}
        if unread := [study for study, patients in found.items() if not patients]:
            records = await self._repository.find(
                "ImagingStudy",
                any_of(Has("_id", study) for study in unread),
                wanted=Wanted(frozenset({"id"}), frozenset({"patient"})),
                limit=len(unread),
            )
            found |= {record.id: record.index.get("patient", ()) for record in records}
        return {
            study: str(patients[0]).removeprefix("Patient/") if patients else study
            for study, patients in found.items()
        }

    async def _patient_of(self, study: str) -> str:
        records = await self._repository.find(
            "ImagingStudy",
            Has("_id", study),
            wanted=Wanted(frozenset({"id"}), frozenset({"patient"})),
            limit=1,
        )
        return _patient("ImagingStudy", records[0]) if records else study

    async def _asked(self, resource: str, tree: Filter, by: Sequence[str] = ()) -> Filter:
        """Write criteria in real values.

        Args:
            resource: Type.
            tree: Criteria by pseudonym.
            by: Parameters whose values tell something of the answer in another way.

        Raises:
            AccessDenied: Something of it is not in this view.
        """
        with self._told(resource):
            for one in by:
                searchable(resource, one)
            return await self._meant(resource, tree)

    @contextmanager
    def _told(self, resource: str) -> Iterator[None]:
        """Note for the audit that a search is refused."""
        try:
            yield
        except AccessDenied as error:
            refused = tuple(sorted(error.coordinates))
            self._note(Entry("search", resource, "refused", refused=refused))
            raise

    def _read_only(self, action: Action, resource: str) -> AccessDenied:
        coordinate = f"{resource}.id"
        self._note(Entry(action, resource, "refused", refused=(coordinate,)))
        return AccessDenied(
            "Nothing can be changed in the de-identified view.", frozenset({coordinate})
        )

    async def _meant(self, resource: str, tree: Filter) -> Filter:
        """Write criteria in real values; what is not known matches nothing."""
        return meaning(resource, tree, await self._real(asks(resource, tree)))

    async def _place(self, resource: str, after: Position, sort: Sequence[Sort]) -> Position:
        """Write a position in real values."""
        keys = [
            Has(*pair)
            for pair in zip([*(one.parameter for one in sort), "_id"], after, strict=True)
        ]
        real = await self._real(ask for key in keys if key.value for ask in asks(resource, key))
        place = []
        for key in keys:
            meant = meaning(resource, key, real) if key.value else key
            if not isinstance(meant, Has):
                raise Invalid(
                    "this cursor is not one of ours for this order; begin at the first page"
                )
            place.append(meant.value)
        return tuple(place)

    async def _real(self, asked: Iterable[Ask]) -> dict[str, str]:
        named = set(asked)
        return await self._register.real(self._pseudonyms.project, named) if named else {}

    async def _save(self, given: Given) -> None:
        if given.given:
            await self._register.save(self._pseudonyms.project, given.given)


def _of_patients(criterion: Criterion) -> Filter:
    ids = [one for test in criterion.tests if isinstance(test, Equal) for one in test.values]
    return stored(any_of(Has("patient", f"Patient/{one}") for one in sorted(map(str, ids))))


def _known(uids: frozenset[str] | None, real: Mapping[str, str]) -> frozenset[str] | None:
    return None if uids is None else frozenset(real[one] for one in uids if one in real)


def _disguised_row(row: DicomRow, patient: str, given: Given) -> DicomRow:
    given.patient = patient
    return replace(
        row,
        uids={level: given.uid(uid) for level, uid in row.uids.items()},
        texts={text: dicom_disguised(said, given) for text, said in row.texts.items()},
    )


def _with_patient(resource: str, wanted: Wanted) -> Wanted:
    if resource != "ImagingStudy":
        return wanted
    return replace(wanted, index=wanted.index | {"patient"})


def _patient(resource: str, record: Record) -> str:
    """Name whom a record is about: by the id of the Patient, by the study where there is none."""
    if resource == "Patient":
        return record.id
    references = record.index.get("patient", ())
    return str(references[0]).removeprefix("Patient/") if references else record.id


def _record(
    resource: str, record: Record, wanted: Wanted, sort: Sequence[Sort], given: Given
) -> Record:
    if resource in PLAIN:
        return record
    given.patient = _patient(resource, record)
    shown = disguised(record.resource, given)
    if "id" not in shown:
        shown["id"] = _shown_id(resource, record.id, given)
    if resource != "Image" and (wanted.elements is None or "meta" in wanted.elements):
        shown.setdefault("meta", marked({}))
    values = (
        shown["id"] if one.parameter == "_id" else _shown_key(one.parameter, value, given)
        for one, value in zip(sort, record.position, strict=False)
    )
    return replace(
        record,
        id=shown["id"],
        resource=shown,
        last_updated=None,
        position=(*values, shown["id"]),
        stored_id=record.id,
        life=_shown_life(record.life, given),
    )


def _shown_life(life: str | None, given: Given) -> str | None:
    return life and given.pseudonyms.tag(life)


def _disguised_image(stored: StoredImage, disguise: Disguise, given: Given) -> StoredImage:
    return replace(
        stored,
        id=given.uid(stored.id),
        study=given.uid(stored.study),
        series=given.uid(stored.series),
        sha256=given.pseudonyms.tag(stored.sha256),
        stored_id=stored.id,
        stored_study=stored.study,
        known_at=stored.known_at and (_shown_life(stored.known_at[0], given), stored.known_at[1]),
        disguise=disguise,
        withheld=withheld(stored.attributes),
    )


def _disguised_header(header: StoredHeader, disguise: Disguise, given: Given) -> StoredHeader:
    return replace(
        header,
        id=given.uid(header.id),
        series=given.uid(header.series),
        stored_id=header.id,
        disguise=disguise,
        withheld=withheld(orjson.loads(header.text)),
    )


def _shown_id(resource: str, real: str, given: Given) -> str:
    return given.patient_id(real) if resource == "Patient" else given.uid(real)


def _shown_key(name: str, value: Json, given: Given) -> Json:
    return given.reference(value) if value and name in REFERENCES else value
