"""Addresses of clusters, and what is said where none answers."""

from __future__ import annotations

from checkmaite.jobs import ConfigurationError

CLIENT = "ray://"


def no_cluster(address: str, cause: str) -> ConfigurationError:
    """The error that no Ray cluster answers at an address, with what to do."""
    remedy = (
        "Start one with `ray start --head`, or pass its address."
        if address == "auto"
        else "Check host and port, and that the cluster runs (`ray status` on its head node); "
        + ("its client server listens on port 10001 by default; " if address.startswith(CLIENT) else "")
        + 'address="local" needs no cluster.'
    )
    return ConfigurationError(f"No Ray cluster answers at address={address!r}: {cause.strip().rstrip('.')}. {remedy}")
