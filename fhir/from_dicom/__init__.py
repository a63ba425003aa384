"""DICOM to FHIR R4: what a header says, as Patient, ImagingStudy and Endpoint."""
