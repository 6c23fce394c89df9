"""Fingerprints: short digests of what a submission stands on."""

from checkmaite.jobs._fingerprint._fingerprinting import Fingerprinter, fingerprints_of
from checkmaite.jobs._fingerprint._given import each_given, id_of
from checkmaite.jobs._fingerprint._prints import (
    SCHEME,
    UNKNOWN,
    Content,
    Fingerprints,
    ObjectPrint,
    differences,
    incomparable,
)

__all__ = [
    "SCHEME",
    "UNKNOWN",
    "Content",
    "Fingerprinter",
    "Fingerprints",
    "ObjectPrint",
    "differences",
    "each_given",
    "fingerprints_of",
    "id_of",
    "incomparable",
]
