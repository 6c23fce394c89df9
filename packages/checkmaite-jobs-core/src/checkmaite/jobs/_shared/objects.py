"""Objects in a folder or bucket, created exclusively: the one storage primitive that everything durable is built on.

What filesystems are, `drivers` knows. What they raise never leaves this module: see `object_errors`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from checkmaite.jobs._shared import drivers
from checkmaite.jobs._shared.errors import (
    JobsError,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
)
from checkmaite.jobs._shared.files import create_file, list_folder, modified_in, probe_folder, sweep_hidden
from checkmaite.jobs._shared.object_errors import (
    has_no_words,
    means_conflict,
    means_exists,
    means_refused,
    means_unknown_caller,
    translation,
)

_T = TypeVar("_T")
_DAY_S = 24 * 3600.0
_CONFLICT_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Before an object is created again whose creation met another request about it, as S3 asks for (409), or was refused
because of one that is not there (412)."""

_WRITTEN_AT = ("LastModified", "last_modified", "mtime", "created")
"""What filesystems call the instant of an object in a listing."""
_SECRET_LENGTH = 4
_PROBE = "_probe"
_PROBED = b"Made by checkmaite-jobs, to see that objects can be created and read here. It may be deleted."


class ObjectStore:
    """Named objects below one root.

    Every key is relative to the root, with ``/`` between its parts. Safe to share between threads, and picklable: a
    copy opens its own connection. Opening makes no request.

    `create` is atomic and exclusive on local disks and on stores that honour ``If-None-Match``, such as S3. On fsspec's
    ``memory://`` it is so within one thread only.

    Args:
        uri: A folder, made absolute here, or an fsspec URL.
        storage_options: Given to the filesystem; never shown.
        private: Whether a folder and its files are for their owner alone, modes 0700 and 0600, whatever the umask is.
            Object stores have no modes: who may read there their policies say.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, Any] | None = None, private: bool = False) -> None:
        self._scheme, separator, _ = uri.partition("://")
        if not separator:
            self._scheme, uri = "file", os.path.abspath(os.path.expanduser(uri))
        elif self._scheme in ("file", "local"):
            self._scheme, uri = "file", os.path.abspath(uri.partition("://")[2])
        self._root = uri.rstrip("/") or "/"
        self._options = dict(storage_options or {})
        self._private = private
        self._lock = threading.RLock()  # what is wrong with the options is told while it is held
        self._filesystem: Any = None
        self._looks_again = False
        self._bucket_was_there = False

    def __repr__(self) -> str:
        return f"ObjectStore({self._root!r})"

    def __getstate__(self) -> tuple[str, Mapping[str, Any], bool]:
        return self._root, self._options, self._private

    def __setstate__(self, state: tuple[str, Mapping[str, Any], bool]) -> None:
        ObjectStore.__init__(self, *state)

    @property
    def root(self) -> str:
        """The absolute path or URL that keys are relative to."""
        return self._root

    @property
    def is_local(self) -> bool:
        """Whether the objects are files of this machine."""
        return self._scheme == "file"

    def uri_of(self, key: str) -> str:
        """Absolute path or URL of an object."""
        return f"{self._root}/{key}"

    def create(self, key: str, content: bytes | memoryview) -> bool:
        """Create an object durably, unless it is there already.

        Returns:
            True when this call created it; False when it was there, durable too. After a lost reply False may mean
            that an earlier try of this very call created it.
        """
        with self.errors_of(key):
            if self.is_local:
                return create_file(self.uri_of(key), content, self._root if self._private else None)
            for pause_s in (*_CONFLICT_PAUSES_S, None):
                try:
                    if self._create_remote(key, content):
                        return True
                except OSError as error:
                    if pause_s is None or not means_conflict(error):
                        raise
                if self.exists(key):  # a reply may say so of an object that is nowhere
                    return False
                if pause_s is not None:
                    time.sleep(pause_s)
            uri = self.uri_of(key)
            raise StoreUnavailableError(
                f"{uri}: the store says that it is there, and that it is not. Try again later.", uri=uri
            )

    def _create_remote(self, key: str, content: bytes | memoryview) -> bool:
        given = bytes(content)
        options = drivers.creation_options(self._scheme, len(given))
        try:
            self._ask(key, lambda filesystem: filesystem.pipe_file(self.uri_of(key), given, **options))
        except FileExistsError:
            return False
        except OSError as error:
            if means_exists(error):
                return False
            raise
        return True

    def read(self, key: str) -> bytes:
        """The content of an object.

        Raises:
            StoreNotFoundError: There is no such object.
        """
        with self.errors_of(key):
            return self._content(key)

    def find(self, key: str) -> bytes | None:
        """The content of an object, None when there is none; raises rather than guess."""
        with self.errors_of(key):
            try:
                if not self.is_local:
                    self.filesystem.invalidate_cache(self.uri_of(key).rpartition("/")[0])
                return self._content(key)
            except FileNotFoundError:
                if not self._bucket_was_there:
                    self._check_bucket()
                return None

    def _content(self, key: str) -> bytes:
        content: bytes = self._ask(key, lambda filesystem: filesystem.cat_file(self.uri_of(key)))
        return content

    def exists(self, key: str) -> bool:
        """Whether there is such an object; raises rather than guess. Costs one request, two when there is none."""
        with self.errors_of(key):
            try:
                if self.is_local:
                    os.stat(self.uri_of(key))
                else:
                    self.filesystem.invalidate_cache(self.uri_of(key).rpartition("/")[0])
                    self._ask(key, lambda filesystem: filesystem.info(self.uri_of(key)))
            except FileNotFoundError:
                if not self._bucket_was_there:
                    self._check_bucket()
                return False
            return True

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is fine."""
        with self.errors_of(key):
            if self.is_local:
                Path(self.uri_of(key)).unlink(missing_ok=True)
                return
            try:
                self._ask(key, lambda filesystem: filesystem.rm_file(self.path_of(key)))
            except FileNotFoundError:
                self._check_bucket()

    def probe(self) -> None:
        """See that objects can be created and read here, before there is anything to store.

        Nothing is listed, and any number of processes may probe at once. On a local disk a hidden file comes and goes;
        elsewhere one object, ``_probe``, stays: to create it again is refused only after the same permission was asked
        for.

        Raises:
            StoreError: They cannot; its kind and text say what to mend.
        """
        if self.is_local:
            with self.errors_of(""):
                probe_folder(self._root)
            return
        self.create(_PROBE, _PROBED)
        if self.read(_PROBE) != _PROBED:
            uri = self.uri_of(_PROBE)
            raise StoreCorruptError(
                f"{uri}: another content is there than was written. Check what answers at this address; if somebody "
                "else made that object, delete it or choose another folder.",
                uri=uri,
            )

    def names(self, prefix: str) -> list[str]:
        """Names of the objects directly below ``prefix/``, sorted; empty when there are none."""
        return self._listed(prefix, "file")

    def modified(self, prefix: str) -> dict[str, float]:
        """When each object directly below ``prefix/`` was written, in seconds since the epoch by the store's clock.

        One of which the store does not say it is left out.
        """
        names = self.names(prefix)
        with self.errors_of(prefix):
            if self.is_local:
                return modified_in(self.uri_of(prefix), names)
            found = dict[str, float]()
            for each in self._entries(prefix) if names else ():
                instants = [each[word] for word in _WRITTEN_AT if isinstance(each.get(word), datetime)]
                if instants:
                    found[each["name"].rpartition("/")[2]] = instants[0].timestamp()
            return {name: found[name] for name in names if name in found}

    def sweep(self, before: float | None = None) -> int:
        """Delete what writers that were killed have left of objects they were creating, if it is older than an instant.

        Only local disks have any.

        Args:
            before: The instant, in seconds since the epoch; a day ago when None.

        Returns:
            How many files were deleted.
        """
        with self.errors_of(""):
            return sweep_hidden(self._root, time.time() - _DAY_S if before is None else before) if self.is_local else 0

    def folders(self, prefix: str = "") -> list[str]:
        """Names of the folders directly below ``prefix/``, sorted; empty when there are none."""
        return self._listed(prefix, "directory")

    def _listed(self, prefix: str, kind: str) -> list[str]:
        with self.errors_of(prefix):
            try:
                if self.is_local:
                    found = list_folder(self._uri_at(prefix), folders=kind == "directory")
                else:
                    entries = self._entries(prefix)
                    found = [each["name"].rstrip("/").rpartition("/")[2] for each in entries if each["type"] == kind]
            except FileNotFoundError:
                if not self._bucket_was_there:
                    self._check_bucket()
                return []
            return sorted(name for name in found if name and not name.startswith("."))

    def _entries(self, prefix: str) -> list[Any]:
        uri = self._uri_at(prefix)
        entries: list[Any] = self._ask(prefix, lambda filesystem: filesystem.ls(uri, detail=True, refresh=True))
        return entries

    def _uri_at(self, key: str) -> str:
        return self.uri_of(key) if key else self._root

    def _check_bucket(self) -> None:
        """A missing folder is empty, but a missing bucket is an error."""
        if drivers.service_of(self._scheme) is not None:
            bucket = self._root.partition("://")[2].partition("/")[0]
            try:
                drivers.ask_about_bucket(self._scheme, self.filesystem, bucket)
            except Exception as error:
                if not means_refused(error):  # who may not ask about a bucket that is none is told so
                    raise
            self._bucket_was_there = True

    def _ask(self, key: str, ask: Callable[[Any], _T]) -> _T:
        """What a filesystem answers; asked once more, with credentials found anew, when it does not take those it had.

        Whoever renews the file, the environment or the token that they came from is thus seen by stores that are open.
        """
        filesystem = self.filesystem
        try:
            return ask(filesystem)
        except Exception as error:
            if not self.look_again(self._in_words(error, key), filesystem):
                raise
        return ask(self.filesystem)

    def look_again(self, error: Exception, filesystem: Any = None) -> bool:
        """Forget credentials that were refused, where they were found and not given; whether they were.

        Args:
            error: What the store said.
            filesystem: The one that it said that to, which may have been replaced since; the present one when None.
        """
        if not means_unknown_caller(error) or drivers.has_credentials(self._scheme, self._options):
            return False
        with self._lock:
            if filesystem is None or self._filesystem is filesystem:
                self._filesystem, self._looks_again = None, True
        return True

    @property
    def filesystem(self) -> Any:
        """The fsspec filesystem, for readers that take one; opened once, and again when its credentials are refused."""
        filesystem = self._filesystem
        if filesystem is None:
            with self._lock, self.errors_of(""):
                filesystem = self._filesystem = self._filesystem or drivers.opened(
                    self._root, self._options, looks_again=self._looks_again
                )
        return filesystem

    def path_of(self, key: str) -> str:
        """The object's path as `filesystem` takes it, without the scheme."""
        path: str = self.filesystem._strip_protocol(self.uri_of(key))
        return path

    @contextlib.contextmanager
    def errors_of(self, key: str) -> Iterator[None]:
        """Within the block, what a filesystem raises about the object becomes this project's `StoreError`."""
        uri = self.uri_of(key) if key else self._root
        try:
            yield
        except (JobsError, Warning):
            raise
        except Exception as error:
            raise self._told(self._in_words(error, key), uri) from error

    def _in_words(self, error: Exception, key: str) -> Exception:
        """The error, or what S3 says where the same object is read: its replies to HEAD have no words."""
        if has_no_words(error):
            try:
                self.filesystem.cat_file(self.uri_of(key), start=0, end=1)
            except Exception as said:  # noqa: BLE001 - whatever it is, it is about the same object
                return said
        return error

    def _told(self, error: Exception, uri: str) -> StoreError:
        """What users see; after it, credentials that were refused are looked for again."""
        return translation(error, uri, self._masked(error), renews=self.look_again(error))

    def _masked(self, error: Exception) -> str:
        """The first line of a foreign error, without any value of the options."""
        said = (str(error).strip().splitlines() or [""])[0]
        for value in _texts(self._options):
            said = said.replace(value, "***")
        return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _texts(value: object) -> Iterator[str]:
    """The texts in nested options that are long enough to be a secret."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and len(value) >= _SECRET_LENGTH:
        yield value
