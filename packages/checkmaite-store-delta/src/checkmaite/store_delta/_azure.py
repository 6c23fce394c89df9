"""Azure Blob Storage: options of adlfs in the words of the deltalake library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from checkmaite.jobs import Problem

_KEPT = (
    "account_name",
    "account_key",
    "connection_string",
    "sas_token",
    "credential",
    "client_id",
    "client_secret",
    "tenant_id",
    "anon",
    "account_host",
)
SAID = frozenset(_KEPT)
"""Options of adlfs that the library is told, or that a token is found by, which the library is told."""
UNHEARD = frozenset({"blocksize", "max_concurrency", "version_aware", "assume_container_exists"})
"""Those that are about how adlfs reads."""
FINDING = frozenset(
    {
        "additionally_allowed_tenants",
        "authority",
        "broker_tenant_id",
        "interactive_browser_client_id",
        "interactive_browser_tenant_id",
        "managed_identity_client_id",
        "process_timeout",
        "shared_cache_tenant_id",
        "shared_cache_username",
        "workload_identity_client_id",
        "workload_identity_tenant_id",
    }
)
"""Options of what finds the credentials of a process, besides ``exclude_..._credential``."""
GIVEN = frozenset(
    {
        "access_key",
        "account_key",
        "bearer_token",
        "client_secret",
        "federated_token_file",
        "master_key",
        "sas_key",
        "sas_token",
        "skip_signature",
        "token",
        "use_azure_cli",
    }
)
"""What the library calls credentials, where ``azure_`` and ``storage_`` may stand before it."""

_SCOPE = "https://storage.azure.com/.default"
_HOST = "blob.core.windows.net"


def azure_problems(options: Mapping[str, Any]) -> list[Problem]:
    """What the library cannot be told of these options of adlfs."""
    problems = []
    text, credential = options.get("connection_string"), options.get("credential")
    if text is not None:
        try:
            _parts(text)
        except ValueError as error:
            remedy = "Copy it from the storage account's page of access keys."
            problems.append(Problem("storage_options.connection_string", f"{error}.", remedy))
    is_known = isinstance(credential, str) or any(hasattr(credential, each) for each in ("get_token", "signature"))
    if credential is not None and not is_known:
        cause = f"is a {type(credential).__name__}, of which the deltalake library can be told nothing."
        remedy = "Pass a key, a signature or one of azure-identity's, or leave it out."
        problems.append(Problem("storage_options.credential", cause, remedy))
    return problems


def azure_options(filesystem: Any) -> dict[str, str]:
    """What a filesystem of adlfs goes by, as the library takes it; its own order is kept.

    Of an identity the library is told a token of now. Whoever opens a table asks again: azure-identity keeps tokens,
    and renews them.
    """
    found = {name: getattr(filesystem, name, None) for name in _KEPT}
    if found["connection_string"]:
        said, place = _of_connection_string(found["connection_string"])
    else:
        said = _of_credentials(found, filesystem)
        place = "https://" + (found["account_host"] or f"{found['account_name']}.{_HOST}")
        said["azure_storage_account_name"] = str(found["account_name"])
    said |= {"azure_storage_endpoint": place, "azure_storage_use_emulator": "false"}
    if place.startswith("http://"):
        said["azure_allow_http"] = "true"
    return said


def _of_connection_string(text: str) -> tuple[dict[str, str], str]:
    parts = _parts(text)
    name, host = parts.get("ACCOUNTNAME"), parts.get("ENDPOINTSUFFIX", _HOST.partition(".")[2])
    place = parts.get("BLOBENDPOINT") or f"{parts.get('DEFAULTENDPOINTSPROTOCOL', 'https')}://{name}.blob.{host}"
    said = {"azure_storage_account_name": name or _account_at(place)}
    if key := parts.get("ACCOUNTKEY"):
        said["azure_storage_account_key"] = key
    elif signature := parts.get("SHAREDACCESSSIGNATURE"):
        said["azure_storage_sas_token"] = signature.lstrip("?")
    else:
        said["azure_skip_signature"] = "true"
    return said, place.rstrip("/")


def _of_credentials(found: Mapping[str, Any], filesystem: Any) -> dict[str, str]:
    credential = found["credential"]
    if signature := getattr(credential, "signature", None):
        return {"azure_storage_sas_token": signature.lstrip("?")}
    if isinstance(credential, str):
        is_signature = "sig=" in credential
        return {f"azure_storage_{'sas_token' if is_signature else 'account_key'}": credential.lstrip("?")}
    if credential is not None:
        return {"azure_storage_token": _token(credential, filesystem)}
    if found["account_key"]:
        return {"azure_storage_account_key": found["account_key"]}
    if found["sas_token"]:
        return {"azure_storage_sas_token": found["sas_token"].lstrip("?")}
    return {"azure_skip_signature": "true"}


def _token(credential: Any, filesystem: Any) -> str:
    """One of now: asked in the driver's own loop, where credentials are asynchronous."""
    from inspect import isawaitable

    from fsspec.asyn import sync  # what has opened the filesystem brings it

    async def ask() -> str:
        given = credential.get_token(_SCOPE)
        return str((await given if isawaitable(given) else given).token)

    token: Any = sync(filesystem.loop, ask)
    return str(token)


def _parts(text: object) -> dict[str, str]:
    """The settings of a connection string.

    Raises:
        ValueError: It is none, or says neither an account nor an endpoint; no part of it is in the message.
    """
    pairs = [part.partition("=") for part in str(text).strip().strip(";").split(";")]
    parts = {name.strip().upper(): value for name, separator, value in pairs if separator}
    if len(parts) != len(pairs) or not parts.keys() & {"ACCOUNTNAME", "BLOBENDPOINT"}:
        raise ValueError("is no connection string with AccountName or BlobEndpoint")
    return parts


def _account_at(endpoint: str) -> str:
    """The account whose endpoint it is: the first word of the host, or of the path where servers are on loopback."""
    place = urlsplit(endpoint)
    return place.path.strip("/").partition("/")[0] or (place.hostname or "").partition(".")[0]
