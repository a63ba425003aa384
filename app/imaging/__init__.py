"""DICOM bytes: headers, frames, decoding, rendering, ingest."""
