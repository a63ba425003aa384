"""FHIR R4's datatypes, as far as the resources served here use them; names are FHIR's."""

import strawberry

from schema.coordinates import part
from schema.scalars import Date, DateTime, Instant


@strawberry.type(description="FHIR Extension: what the base resource has no element for.")
class Extension:
    """https://hl7.org/fhir/R4/extensibility.html."""

    url: str | None = part("Says what the extension means.")
    valueString: str | None = part("Value, if it is a string.")
    valueCode: str | None = part("Value, if it is a code.")
    valueUri: str | None = part("Value, if it is a URI.")
    valueBoolean: bool | None = part("Value, if it is a boolean.")
    valueInteger: int | None = part("Value, if it is an integer.")
    valueDecimal: float | None = part("Value, if it is a decimal.")
    valueDate: Date | None = part("Value, if it is a date.")
    valueDateTime: DateTime | None = part("Value, if it is a dateTime.")
    valueCoding: "Coding | None" = part("Value, if it is a Coding.")
    valueCodeableConcept: "CodeableConcept | None" = part("Value, if it is a CodeableConcept.")
    extension: "list[Extension] | None" = part("Parts, if there is no value.")


@strawberry.type(description="FHIR Coding: one code of one code system.")
class Coding:
    """https://hl7.org/fhir/R4/datatypes.html#Coding."""

    system: str | None = part("URI of the code system.")
    version: str | None = part("Version of the code system.")
    code: str | None = part("Symbol in the code system.")
    display: str | None = part("What the code system calls it.")
    userSelected: bool | None = part("Whether a person chose this coding.")


@strawberry.type(description="FHIR CodeableConcept: one concept in several codes, or in words.")
class CodeableConcept:
    """https://hl7.org/fhir/R4/datatypes.html#CodeableConcept."""

    coding: list[Coding] | None = part("The codes.")
    text: str | None = part("The words.")


@strawberry.type(description="FHIR Period: a time from its start to its end, both included.")
class Period:
    """https://hl7.org/fhir/R4/datatypes.html#Period."""

    start: DateTime | None = part("First moment.")
    end: DateTime | None = part("Last moment; absent while it lasts.")


@strawberry.type(description="FHIR Identifier: a number or code that others know a thing by.")
class Identifier:
    """https://hl7.org/fhir/R4/datatypes.html#Identifier."""

    use: str | None = part("usual, official, temp, secondary or old.")
    type: CodeableConcept | None = part("What kind of identifier: ACSN, MR, …")
    system: str | None = part("URI within which the value is unique.")
    value: str | None = part("The identifier itself.")
    period: Period | None = part("When it is or was in use.")
    assigner: "Reference | None" = part("Who gave it.")


@strawberry.type(description="FHIR Reference: points to another resource, or names it.")
class Reference:
    """https://hl7.org/fhir/R4/references.html."""

    reference: str | None = part("`Type/id`, or a URL.")
    type: str | None = part("Type of what is referred to.")
    identifier: Identifier | None = part("What it is known by, where no resource can be named.")
    display: str | None = part("What people call it; of `ImagingStudy.subject` it is a name.")


@strawberry.type(description="FHIR HumanName: one name of a person, in one script.")
class HumanName:
    """https://hl7.org/fhir/R4/datatypes.html#HumanName."""

    use: str | None = part("usual, official, temp, nickname, anonymous, old or maiden.")
    text: str | None = part("The whole name as it is shown.")
    family: str | None = part("Family name.")
    given: list[str] | None = part("Given names, the first one first.")
    prefix: list[str] | None = part("What stands before the name.")
    suffix: list[str] | None = part("What stands after the name.")
    period: Period | None = part("When it is or was in use.")
    extension: list[Extension] | None = part(
        "`iso21090-EN-representation` says in which script it is: ABC, IDE or SYL."
    )


@strawberry.type(description="FHIR ContactPoint: a telephone number or the like.")
class ContactPoint:
    """https://hl7.org/fhir/R4/datatypes.html#ContactPoint."""

    system: str | None = part("phone, fax, email, pager, url, sms or other.")
    value: str | None = part("The number or address.")
    use: str | None = part("home, work, temp, old or mobile.")
    rank: int | None = part("1 is tried first.")
    period: Period | None = part("When it is or was in use.")


@strawberry.type(description="FHIR Address: a postal address.")
class Address:
    """https://hl7.org/fhir/R4/datatypes.html#Address."""

    use: str | None = part("home, work, temp, old or billing.")
    type: str | None = part("postal, physical or both.")
    text: str | None = part("The whole address as it is written.")
    line: list[str] | None = part("Street, number, box.")
    city: str | None = part("City or village.")
    district: str | None = part("County or district.")
    state: str | None = part("State or province.")
    postalCode: str | None = part("Postal code.")
    country: str | None = part("Country.")
    period: Period | None = part("When it is or was in use.")


@strawberry.type(description="FHIR Annotation: a note with its author and time.")
class Annotation:
    """https://hl7.org/fhir/R4/datatypes.html#Annotation."""

    authorReference: Reference | None = part("Who wrote it, as a resource.")
    authorString: str | None = part("Who wrote it, in words.")
    time: DateTime | None = part("When it was written.")
    text: str | None = part("What it says, in Markdown.")


@strawberry.type(description="FHIR Meta: version, labels and tags of a resource.")
class Meta:
    """https://hl7.org/fhir/R4/resource.html#Meta."""

    versionId: str | None = part("Changes with every change of the resource.")
    lastUpdated: Instant | None = part("When the resource changed last.")
    source: str | None = part("Where the resource comes from.")
    profile: list[str] | None = part("Profiles that the resource claims to follow.")
    security: list[Coding] | None = part("Security labels: confidentiality, SUBSETTED, …")
    tag: list[Coding] | None = part("Tags, among them the release to patients.")
