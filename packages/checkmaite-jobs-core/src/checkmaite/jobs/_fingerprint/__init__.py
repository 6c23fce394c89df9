"""Fingerprints: short digests of what a submission stands on."""

from checkmaite.jobs._fingerprint._code import note_imported_code
from checkmaite.jobs._fingerprint._fingerprinting import Fingerprinter, fingerprints_of, identity_of
from checkmaite.jobs._fingerprint._given import each_given, id_of
from checkmaite.jobs._fingerprint._prints import (
    SCHEME,
    Content,
    Fingerprints,
    ObjectPrint,
    differences,
    incomparable,
)
from checkmaite.jobs._fingerprint._records import field_names, is_record
from checkmaite.jobs._fingerprint._walk import Opaque

__all__ = [
    "SCHEME",
    "Content",
    "Fingerprinter",
    "Fingerprints",
    "ObjectPrint",
    "Opaque",
    "differences",
    "each_given",
    "field_names",
    "fingerprints_of",
    "id_of",
    "identity_of",
    "incomparable",
    "is_record",
    "note_imported_code",
]
