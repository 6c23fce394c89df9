"""Names of actors: stable, printable, derived from what the user chose."""

from __future__ import annotations

import hashlib
import re

_READABLE = 40


def registry_name(scope: str) -> str:
    """The default registry of a scope: readable, and told apart from similar scopes by a digest."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", scope).strip("-")[:_READABLE]
    return f"registry-{slug}-{hashlib.sha256(scope.encode()).hexdigest()[:10]}"


def controller_name(registry: str, number: int) -> str:
    """The controller with this number of a registry's pool."""
    return f"{registry}-controller-{number}"
