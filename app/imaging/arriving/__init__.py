"""Reads a DICOM object while it arrives, one room for each part of it."""
