"""DICOM over its own network protocol (PS3.7, PS3.8): the door of modalities and workstations."""
