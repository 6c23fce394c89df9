"""Fingerprints: short digests of what a submission stands on."""

from checkmaite.jobs._submitters.fingerprint.code import note_imported_code
from checkmaite.jobs._submitters.fingerprint.field_classes import field_names, is_field_class
from checkmaite.jobs._submitters.fingerprint.fingerprinting import Fingerprinter, fingerprints_of, identity_of
from checkmaite.jobs._submitters.fingerprint.given import each_given, id_of
from checkmaite.jobs._submitters.fingerprint.hashing import Pace
from checkmaite.jobs._submitters.fingerprint.staged import staged_prints
from checkmaite.jobs._submitters.fingerprint.walk import Opaque

__all__ = [
    "Fingerprinter",
    "Opaque",
    "Pace",
    "each_given",
    "field_names",
    "fingerprints_of",
    "id_of",
    "identity_of",
    "is_field_class",
    "note_imported_code",
    "staged_prints",
]
