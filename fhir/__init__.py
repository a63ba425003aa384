"""The language: FHIR resources, the DICOM mapping, search and the guarded repository.

The library `fhir.resources` lives in the same top-level name; extending the path keeps both.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
