"""The DICOMweb door."""
