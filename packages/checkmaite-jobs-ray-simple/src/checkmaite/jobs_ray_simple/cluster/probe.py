"""Probes an address before Ray connects to it: Ray tries for minutes and does not say why it was refused.

Nothing imports this before there is an address to probe: gRPC's own Python is large.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import grpc
import ray.exceptions as rx
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs_ray_simple.cluster.addresses import CLIENT, no_cluster
from ray._private import ray_constants, services
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc, ray_client_pb2, ray_client_pb2_grpc

try:  # it adds this process's token and TLS settings to a channel
    from ray._private.grpc_utils import init_grpc_channel
except ImportError:  # where older versions of Ray have it
    from ray._private.utils import init_grpc_channel  # type: ignore[no-redef,attr-defined]

_grpc: Any = grpc  # these carry no types
_head: Any = gcs_service_pb2
_head_stubs: Any = gcs_service_pb2_grpc
_client: Any = ray_client_pb2
_client_stubs: Any = ray_client_pb2_grpc
_Code: Any = _grpc.StatusCode
_REMEDY = (
    "Before Python starts, set RAY_AUTH_MODE=token and give the cluster's token as RAY_AUTH_TOKEN, in a file named by "
    "RAY_AUTH_TOKEN_PATH, or in ~/.ray/auth_token."
)


def probe_address(address: str, timeout_s: float) -> None:
    """Return when a Ray cluster answers at an address and lets this process in.

    Args:
        address: "auto", "host:port" of a cluster, or "ray://host:port" of its client server.
        timeout_s: How long to wait for an answer.

    Raises:
        ConfigurationError: Nothing answers, or something else than Ray, or it refuses this process's token.
    """
    found = _found_by_ray(address) if address == "auto" else address
    host, _, port = found.removeprefix(CLIENT).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
    except (OSError, ValueError) as error:
        raise no_cluster(address, f"{found}: {error}" if found != address else str(error)) from error
    try:
        _ask(found, timeout_s)
    except _grpc.RpcError as error:
        if address == "auto" and error.code() is _Code.UNAUTHENTICATED and "RAY_AUTH_MODE" not in os.environ:
            return  # Ray itself looks for a token then
        raise _refused(address, found, error, timeout_s) from error
    except rx.RayError as error:  # Ray's own complaint about a token that it looked for
        raise _token_refused(address, "none is to be found here") from error


def _found_by_ray(address: str) -> str:
    try:
        return str(services.get_ray_address_from_environment(address, None))
    except ConnectionError as error:
        raise no_cluster(address, str(error)) from error


def _ask(address: str, timeout_s: float) -> None:
    channel: Any = init_grpc_channel(address.removeprefix(CLIENT), options=ray_constants.GLOBAL_GRPC_OPTIONS)
    try:
        if address.startswith(CLIENT):
            ping = _client.ClusterInfoRequest(type=_client.ClusterInfoType.PING)
            _client_stubs.RayletDriverStub(channel).ClusterInfo(ping, timeout=timeout_s)
        else:
            _head_stubs.NodeInfoGcsServiceStub(channel).CheckAlive(_head.CheckAliveRequest(), timeout=timeout_s)
    finally:
        channel.close()


def _refused(address: str, found: str, error: Any, timeout_s: float) -> ConfigurationError:
    code = error.code()
    if code in (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
        mode = os.environ.get("RAY_AUTH_MODE")
        if mode == "token":
            return _token_refused(address, "this process's is another")
        return _token_refused(address, f"this process sends none: RAY_AUTH_MODE is {mode or 'not set'}")
    if code is _Code.DEADLINE_EXCEEDED:
        return no_cluster(address, f"what listens at {found} said nothing within connect_timeout_s={timeout_s:g}")
    if code is _Code.UNIMPLEMENTED:
        other = "host:port" if found.startswith(CLIENT) else f"{CLIENT}host:port"
        return no_cluster(address, f"what listens at {found} is the part of Ray that is addressed as {other!r}")
    return no_cluster(address, f"what listens at {found} is not Ray ({error.details()})")


def _token_refused(address: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"The Ray cluster at address={address!r} asks for a token, and {why}. {_REMEDY}")
