"""Whether a client and a registry understand each other. Both speak plain builtins here, whatever their versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict
from checkmaite.jobs import ConfigurationError, IncompatibleVersionError, Problem
from checkmaite.jobs.spi import Versions, check_versions, versions_here
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.wire import REGISTRY_PROTOCOL


def client_hello(
    asked: Mapping[str, Any], *, patience_s: float, scope: str, proof: bytes | None = None
) -> Mapping[str, Any]:
    """What a client says first.

    Args:
        asked: The registry's settings that it was given.
        patience_s: How long it waits.
        scope: Its scope.
        proof: What it shows for the scope's key; None for no key.
    """
    return {**_speaks(), "asked": dict(asked), "patience_s": patience_s, "scope": scope, "proof": proof}


def _speaks() -> Mapping[str, Any]:
    return {"protocol": REGISTRY_PROTOCOL, "versions": asdict(versions_here())}


def check_client(client: Mapping[str, Any], *, registry: str, settings: RegistrySettings) -> Mapping[str, Any]:
    """Refuse a client that this registry would misunderstand.

    Args:
        client: Its `client_hello`.
        registry: This registry's name.
        settings: What this registry keeps to.

    Returns:
        What this side speaks and runs, and where it keeps its journal.

    Raises:
        IncompatibleVersionError: The two speak different languages.
        ConfigurationError: The client asks for settings that this registry does not have.
    """
    there = client["protocol"]
    if there != REGISTRY_PROTOCOL:
        older = "client" if there < REGISTRY_PROTOCOL else "registry"
        remedy = (
            "Upgrade checkmaite-jobs-ray in the client."
            if older == "client"
            else "Start a registry of the newer version under another registry_actor_name, or end the old one when its "
            "jobs are final."
        )
        raise IncompatibleVersionError(
            f"the client speaks protocol {there}, but the registry {registry!r} speaks {REGISTRY_PROTOCOL}. {remedy}",
            here=f"protocol {REGISTRY_PROTOCOL}",
            there=f"protocol {there}",
        )
    check_versions(Versions(**client["versions"]), this_side="registry", other_side="client")
    has = asdict(settings)
    problems = [
        Problem(
            name,
            f"the registry {registry!r} runs with {_difference(name, has[name], value)}.",
            "Leave it out to use the registry as it is, or choose another registry_actor_name.",
        )
        for name, value in client["asked"].items()
        if name in has and has[name] != value
    ]
    if problems:
        raise ConfigurationError("The registry that runs already has other settings.", problems)
    return {**_speaks(), "journal_uri": settings.journal_uri}


def _difference(name: str, has: Any, asked: Any) -> str:
    """What a registry has instead of what was asked; of hooks the names alone, since their options may be secret."""
    if name != "hooks":
        return f"{has!r}, not {asked!r}"
    return f"other ones or other options of them; it has {', '.join(sorted(has or ())) or 'none'}"
