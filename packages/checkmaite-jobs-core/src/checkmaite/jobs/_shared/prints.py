"""Fingerprints of a submission as small plain values that can be stored, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

SCHEME = 1
"""Raised when equal objects would get other digests than before; digests of two schemes are not compared."""


@frozen(kw_only=True)
class Content:
    """The digest of one part of a submission: of the capability's state, its code, the config, or one object.

    Attributes:
        digest: 32 hexadecimal characters; None when nothing is known of the content.
        reason: What is not in the digest, and why; empty when all is.
        parts: Digests by name of a field or of a file, which tell what differs. Whether something differs, `digest`
            alone decides.
        default: The config in words, where it was left out and is the capability's default; empty otherwise.
    """

    digest: str | None
    reason: str = ""
    parts: Mapping[str, str] = field(factory=dict, hash=False)
    default: str = ""

    def to_plain(self) -> dict[str, Any]:
        """This as values that JSON knows."""
        plain: dict[str, Any] = {"digest": self.digest}
        if self.reason:
            plain["reason"] = self.reason
        if self.parts:
            plain["parts"] = dict(self.parts)
        if self.default:
            plain["default"] = self.default
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Content:
        """What `to_plain` made; what a later version has added is ignored."""
        return cls(
            digest=plain.get("digest"),
            reason=plain.get("reason", ""),
            parts=dict(plain.get("parts", {})),
            default=plain.get("default", ""),
        )


@frozen(kw_only=True)
class ObjectPrint:
    """The fingerprint of one model, dataset or metric.

    Attributes:
        path: Where it is in the submission: ``models[0]``, ``datasets['test']``, ``metrics``.
        id: Its ``metadata["id"]``; empty when it has none.
        content: Its content.
    """

    path: str
    id: str
    content: Content

    def to_plain(self) -> dict[str, Any]:
        """This as values that JSON knows."""
        return {"path": self.path, "id": self.id, **self.content.to_plain()}

    @property
    def name(self) -> str:
        """How a message names it."""
        return f"{self.path} {self.id!r}" if self.id else self.path


@frozen(kw_only=True)
class Fingerprints:
    """What a submission stands on beside its run key.

    Attributes:
        capability: The state of the capability.
        code: The code of the capability and of the classes that its arguments are made of, by file.
        distributions: Version by name of the installed distributions that the capability's code comes from.
        config: The config, whole.
        objects: Models, datasets and metrics, in this order.
        scheme: How the digests were made.
    """

    capability: Content
    code: Content
    config: Content
    distributions: Mapping[str, str] = field(factory=dict)
    objects: Sequence[ObjectPrint] = ()
    scheme: int = SCHEME

    @property
    def digest(self) -> str:
        """One digest of all that is known, 32 hexadecimal characters."""
        known = [
            self.scheme,
            self.capability.digest,
            self.code.digest,
            self.config.digest,
            sorted(self.distributions.items()),
            [(each.path, each.id, each.content.digest) for each in self.objects],
        ]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]

    @property
    def unknown(self) -> tuple[str, ...]:
        """What no digest covers, one sentence each, such as ``models[0] 'lenet': .handle is a TextIOWrapper, ...``."""
        return tuple(f"{name}: {content.reason}" for name, content in self._contents() if content.reason)

    def _contents(self) -> Iterator[tuple[str, Content]]:
        yield "capability", self.capability
        yield "code", self.code
        yield "config", self.config
        for each in self.objects:
            yield each.name, each.content

    def to_plain(self) -> dict[str, Any]:
        """This as values that JSON knows."""
        return {
            "scheme": self.scheme,
            "capability": self.capability.to_plain(),
            "code": self.code.to_plain(),
            "config": self.config.to_plain(),
            "distributions": dict(self.distributions),
            "objects": [each.to_plain() for each in self.objects],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Fingerprints:
        """What `to_plain` made; what a later version has added is ignored."""
        return cls(
            scheme=plain["scheme"],
            capability=Content.from_plain(plain["capability"]),
            code=Content.from_plain(plain["code"]),
            config=Content.from_plain(plain["config"]),
            distributions=dict(plain.get("distributions", {})),
            objects=tuple(
                ObjectPrint(path=each["path"], id=each["id"], content=Content.from_plain(each))
                for each in plain.get("objects", ())
            ),
        )


def differences(old: Fingerprints, new: Fingerprints) -> tuple[str, ...]:
    """What differs, such as ``models[0] 'lenet': content``, ``code: mycaps.py`` or ``config: sigma``.

    What is unknown on either side counts as equal; `incomparable` says so. Digests of another scheme are unknown.
    """
    if old.scheme != new.scheme:
        return ()
    found = [
        *_content_differences("capability", old.capability, new.capability),
        *_content_differences("code", old.code, new.code),
        *_distribution_differences(old.distributions, new.distributions),
        *_content_differences("config", old.config, new.config),
    ]
    before = {each.path: each for each in old.objects}
    after = {each.path: each for each in new.objects}
    for path, each in after.items():
        if path not in before:
            found.append(f"{each.name}: added")
        elif before[path].id != each.id:
            found.append(f"{each.name}: was {before[path].id!r}")
        else:
            found += _content_differences(each.name, before[path].content, each.content)
    found += [f"{each.name}: left out" for path, each in before.items() if path not in after]
    return tuple(found)


def incomparable(old: Fingerprints, new: Fingerprints) -> tuple[str, ...]:
    """What counts as equal because it is unknown on one side or both, and why."""
    if old.scheme != new.scheme:
        return (f"all content: fingerprinted by scheme {old.scheme} then and {new.scheme} now, which are not compared",)
    return tuple(dict.fromkeys((*old.unknown, *new.unknown)))


def _content_differences(name: str, old: Content, new: Content) -> list[str]:
    if old.digest is None or new.digest is None or old.digest == new.digest:
        return []
    names = sorted({*old.parts, *new.parts})
    changed = [part for part in names if old.parts.get(part) != new.parts.get(part)]
    return [f"{name}: {part}" for part in changed] or [f"{name}: content"]


def _distribution_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [
        f"code: {name} {old.get(name, '(not installed)')}, now {new.get(name, '(not installed)')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
