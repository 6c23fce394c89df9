"""Keeping the code that clients have sent, for jobs that outlive them.

Ray deletes an uploaded folder once the client that uploaded it has gone. A job that starts later, on a node that has no
copy, would find nothing. A pin keeps the folder for a time; the registry renews it while a live job needs it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

_log = logging.getLogger("checkmaite.jobs")
_PIN_S = 3_600
_RENEW_AFTER_S = 1_200.0
_UPLOADED = "gcs://"


class Packages:
    """Which uploaded folders are pinned, and since when."""

    def __init__(self) -> None:
        self._pinned_at: dict[str, float] = {}

    def keep(self, environments: Iterable[Mapping[str, Any] | None]) -> None:
        """Pin the folders that these runtime environments name, unless that was done lately."""
        now = time.monotonic()
        for uri in {uri for each in environments if each for uri in _uploads(each)}:
            if now - self._pinned_at.get(uri, -_RENEW_AFTER_S) >= _RENEW_AFTER_S:
                self._pinned_at[uri] = now
                _pin(uri)
        for uri in [uri for uri, at in self._pinned_at.items() if now - at > _PIN_S]:
            del self._pinned_at[uri]


def _uploads(environment: Mapping[str, Any]) -> list[str]:
    named = [environment.get("working_dir"), *(environment.get("py_modules") or ())]
    return [each for each in named if isinstance(each, str) and each.startswith(_UPLOADED)]


def _pin(uri: str) -> None:
    from ray.experimental import internal_kv  # an interface without promises; the only module that uses it

    try:
        internal_kv._pin_runtime_env_uri(uri, expiration_s=_PIN_S)
    except Exception:  # noqa: BLE001 - without the pin jobs still run while their client lives, so it is only said
        _log.warning("%s may be gone when its client has gone: it cannot be kept", uri, exc_info=True)
