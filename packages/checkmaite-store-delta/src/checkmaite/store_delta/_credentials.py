"""What a process finds around it for the deltalake library, which finds less by itself, or in another order.

The filesystem of fsspec beside it finds S3 credentials in files, profiles and programs too, by botocore, and the tables
have the same. Of Google Cloud Storage and Azure the library is told all that the filesystem goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_delta import _azure, _google
from checkmaite.store_delta._places import service_of

_GIVEN = {
    "s3": frozenset({"access_key_id", "role_arn", "web_identity_token_file"}),
    "google": _google.GIVEN,
    "azure": _azure.GIVEN,
}
_NOBODY = "aws_skip_signature"
_OF: Mapping[str, Callable[[Any], dict[str, str]]] = {
    "google": _google.google_options,
    "azure": _azure.azure_options,
}
"""Says what a filesystem goes by."""


class FoundOptions:
    """What the store's filesystem finds: looked for again once a store has refused it, and renewed where it ends.

    Args:
        objects: The store's other objects, whose filesystem is another one after its credentials were refused.
        options: The options of the library that were given.
        profile: Of which profile of S3; None for that of the environment.
    """

    def __init__(self, objects: ObjectStore, options: Mapping[str, str], profile: str | None) -> None:
        self._given = {_bare(name) for name in options}
        self._service = service_of(objects.root)
        self._has_credentials = bool(self._given & _GIVEN.get(self._service or "", frozenset()))
        self._is_nobody = options.get(_NOBODY) == "true"
        self._objects = objects
        self._profile = profile
        self._found: tuple[Any, Any] = (None, None)

    def options(self) -> dict[str, str]:
        """The options of now, as the library takes them.

        Raises:
            StoreError: There are no credentials, or the library cannot use them, or the service's extra is missing.
        """
        if self._service == "s3":
            return {} if self._has_credentials or self._is_nobody else self._of_s3()
        if self._service is None:
            return {}
        filesystem = self._objects.filesystem
        with self._objects.errors_of(""):
            found = _OF[self._service](filesystem)
        return self._unless_given(found)

    def _of_s3(self) -> dict[str, str]:
        filesystem, (of, session) = self._objects.filesystem, self._found
        if of is not filesystem:
            from botocore.session import Session  # what has just opened the filesystem brings it

            session = Session(profile=self._profile)
            self._found = filesystem, session
        with self._objects.errors_of(""):
            credentials = session.get_credentials()  # those it once found, renewed by itself where they end
            if credentials is None:
                from botocore.exceptions import NoCredentialsError

                raise NoCredentialsError
            frozen = credentials.get_frozen_credentials()
            region = session.get_config_variable("region")
        found = {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "aws_session_token": frozen.token,
            "aws_region": region,
        }
        return self._unless_given({name: value for name, value in found.items() if value})

    def _unless_given(self, found: Mapping[str, str]) -> dict[str, str]:
        hidden = self._given | (_GIVEN[self._service or ""] if self._has_credentials else frozenset())
        return {name: value for name, value in found.items() if _bare(name) not in hidden}


def _bare(name: str) -> str:
    """The name of an option without the words that the library takes it without, too."""
    bare = name.lower()
    for prefix in ("aws_", "google_", "azure_", "storage_"):
        bare = bare.removeprefix(prefix)
    return bare
