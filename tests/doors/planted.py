"""A study that says something in every element, in words that are found nowhere else."""

from tests.build import dicom, uid

STUDY = uid("planted", "study")
SERIES = uid("planted", "series")
INSTANCE = uid("planted", "instance")

# What may be read off an answer only by whoever may read one of the coordinates beside it.
WORDS = {
    "PLANTEDMRN": ("Patient.identifier",),
    "Zzplantedname": ("Patient.name",),
    "+15550199": ("Patient.telecom",),
    "Zzplantedstreet": ("Patient.address",),
    "1961-04-12": ("Patient.birthDate",),
    "PLANTEDACC": ("ImagingStudy.identifier", "ImagingStudy.basedOn"),
    "PLANTEDADM": ("ImagingStudy.encounter",),
    "Zzplantedreferrer": ("ImagingStudy.referrer",),
    "Zzplantedreader": ("ImagingStudy.interpreter",),
    "Zzplantedprocedure": ("ImagingStudy.procedureCode",),
    "Zzplantedreason": ("ImagingStudy.reasonCode",),
    "Zzplanteddescription": ("ImagingStudy.description",),
    "Zzplantednote": ("ImagingStudy.note",),
    "Zzplantedseries": ("ImagingStudy.series.description",),
    "Zzplantedoperator": ("ImagingStudy.series.performer",),
    "PLANTEDSPECIMEN": ("ImagingStudy.series.specimen",),
    "2023-06-07": ("ImagingStudy.started", "ImagingStudy.series.started"),
}


def planted() -> bytes:
    return dicom(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=SERIES,
        SOPInstanceUID=INSTANCE,
        PatientID="PLANTEDMRN",
        PatientName="Zzplantedname^Given",
        PatientTelephoneNumbers="+15550199",
        PatientAddress="1 Zzplantedstreet",
        PatientBirthDate="19610412",
        PatientSex="F",
        AccessionNumber="PLANTEDACC",
        StudyID="7",
        AdmissionID="PLANTEDADM",
        ReferringPhysicianName="Zzplantedreferrer^A",
        NameOfPhysiciansReadingStudy="Zzplantedreader^B",
        ProcedureCodeSequence=[
            {
                "CodeValue": "24627-2",
                "CodingSchemeDesignator": "LN",
                "CodeMeaning": "Zzplantedprocedure",
            }
        ],
        RequestAttributesSequence=[{"ReasonForTheRequestedProcedure": "Zzplantedreason"}],
        StudyDescription="Zzplanteddescription",
        elements={0x00324000: ("LT", "Zzplantednote")},
        SeriesDescription="Zzplantedseries",
        SeriesNumber=3,
        InstanceNumber=5,
        BodyPartExamined="CHEST",
        Laterality="L",
        OperatorsName="Zzplantedoperator^C",
        SpecimenDescriptionSequence=[
            {"SpecimenIdentifier": "PLANTEDSPECIMEN", "SpecimenUID": uid("planted", "specimen")}
        ],
        InstitutionalDepartmentName="Department",
        StudyDate="20230607",
        StudyTime="101112",
        SeriesDate="20230607",
        SeriesTime="101512",
        TimezoneOffsetFromUTC="+0200",
        WindowCenter=40,
        WindowWidth=400,
        RescaleIntercept=-1024,
        RescaleSlope=1,
        PixelSpacing=[0.5, 0.5],
        SliceThickness=1.25,
        ImagePositionPatient=[0, 0, 0],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
