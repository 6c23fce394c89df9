"""Google Cloud Storage: options of gcsfs in the words of the deltalake library, which knows files and no tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkmaite.jobs import Problem

SAID = frozenset({"token", "endpoint_url"})
"""Options of gcsfs that the library is told."""
UNHEARD = frozenset({"project", "default_location", "access", "block_size", "consistency", "cache_timeout"})
"""Those that are about buckets, or about how gcsfs reads, except for a narrower `access`."""
GIVEN = frozenset(
    {"service_account", "service_account_path", "service_account_key", "application_credentials", "skip_signature"}
)
"""What the library calls credentials, where ``google_`` may stand before it."""

_WAYS = (None, "google_default", "cloud", "anon")
_KEY = ("private_key", "private_key_id", "client_email")
_KINDS = ("service_account", "authorized_user")
"""Of files of credentials, those that the library reads."""
_BASE = "storage/v1/"
_REMEDY = "Name the file of a service account's key, or leave it out: GOOGLE_APPLICATION_CREDENTIALS then names one."


def google_problems(options: Mapping[str, Any]) -> list[Problem]:
    """What the library cannot be told of these options of gcsfs."""
    problems, token = [], options.get("token")
    if isinstance(token, Mapping):
        if missing := [name for name in _KEY if not isinstance(token.get(name), str)]:
            cause = f"has no {missing[0]}: of credentials in a mapping the deltalake library takes a service account's."
            problems.append(Problem("storage_options.token", cause, _REMEDY))
    elif token not in _WAYS and not (isinstance(token, str) and _is_file(token)):
        cause = "is neither a file nor a service account's key: the deltalake library takes no token and no object."
        problems.append(Problem("storage_options.token", cause, _REMEDY))
    if options.get("access", "full_control") not in ("full_control", "read_write"):
        cause = "asks for less than the deltalake library does, which asks for what a writer needs."
        problems.append(Problem("storage_options.access", cause, "Leave it out; the bucket's policy can say the same."))
    return problems


def google_options(filesystem: Any) -> dict[str, str]:
    """What a filesystem of gcsfs goes by, as the library takes it: looked for anew, since a file may be another one.

    Raises:
        ValueError: It has found credentials that the library cannot use.
    """
    place = {"google_base_url": filesystem.base.removesuffix(_BASE).rstrip("/")}
    token, found = filesystem.credentials.token, filesystem.credentials.credentials
    if isinstance(token, Mapping):
        return {**place, "google_service_account_key": json.dumps({name: token[name] for name in _KEY})}
    if found is None:
        # With a key that is none the library does not look for one, nor fails for what it finds.
        nobody = {**dict.fromkeys(_KEY, ""), "disable_oauth": True}
        return {**place, "google_skip_signature": "true", "google_service_account_key": json.dumps(nobody)}
    file = token if token not in _WAYS else _file_around()
    is_of_machine = type(found).__module__.startswith("google.auth.compute_engine")
    if is_of_machine and file is None:
        return place
    kind = _kind_of(file) if file is not None and not is_of_machine else type(found).__module__
    if kind not in _KINDS:
        raise ValueError(
            f"the deltalake library takes no credentials of the kind {kind}, but files of the key of a service account "
            "or of a user, and the machine's account where there is no file: name one in GOOGLE_APPLICATION_CREDENTIALS"
        )
    return {**place, "google_application_credentials": str(file)}


def _is_file(token: str) -> bool:
    """Whether it is, or is meant to be: one that is on the workers alone need not be here."""
    return token.endswith(".json") or os.path.exists(token)  # noqa: PTH110 - a token may be too long for a Path


def _file_around() -> str | None:
    """The file in which google-auth looks for an application's credentials, if there is one."""
    if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return named
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    file = Path(folder, "application_default_credentials.json")
    return str(file) if file.exists() else None


def _kind_of(file: str) -> object:
    content = json.loads(Path(file).read_text())
    return content.get("type") if isinstance(content, dict) else None
