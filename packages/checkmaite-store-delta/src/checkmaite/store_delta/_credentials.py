"""S3 credentials for the deltalake library, which finds those of variables and of a machine alone.

The filesystem of fsspec beside it finds them in files, profiles and programs too, by botocore, and the tables have
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_delta._places import is_s3

_GIVEN = frozenset({"aws_access_key_id", "aws_role_arn", "aws_web_identity_token_file"})
_NOBODY = "aws_skip_signature"


class FoundCredentials:
    """What botocore finds for this process: looked for again once a store has refused it, and renewed where it ends.

    Args:
        objects: The store's other objects, whose filesystem is another one after its credentials were refused.
        options: The options of the library that were given.
        profile: Of which profile; None for that of the environment.
    """

    def __init__(self, objects: ObjectStore, options: Mapping[str, str], profile: str | None) -> None:
        self._given = {name.lower() for name in options}
        self._is_wanted = is_s3(objects.root) and not self._given & _GIVEN and options.get(_NOBODY) != "true"
        self._objects = objects
        self._profile = profile
        self._found: tuple[Any, Any] = (None, None)

    def options(self) -> dict[str, str]:
        """The credentials of now, as the library takes them; none where they were given.

        Raises:
            StoreError: There are none, or the extra of S3 is missing.
        """
        if not self._is_wanted:
            return {}
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
        return {name: value for name, value in found.items() if value and name not in self._given}
