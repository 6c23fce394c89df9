"""What a submission stands on: equal objects have equal digests, different ones differ, and nothing makes it fail."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from checkmaite.jobs._fingerprint import Fingerprints, differences, fingerprints_of, incomparable
from checkmaite.jobs.testing import SampleCapability


def model(name: str, **attributes: Any) -> SimpleNamespace:
    return SimpleNamespace(metadata={"id": name}, **attributes)


def test_a_difference_is_named() -> None:
    before = fingerprints_of(
        SampleCapability(),
        models=[model("lenet", weights=[1.0])],
        datasets={"test": model("digits")},
        config={"sigma": 1, "order": [1]},
    )
    after = fingerprints_of(
        SampleCapability(),
        models=[model("lenet", weights=[1.5]), model("resnet")],
        config={"sigma": 9, "order": [1]},
    )
    assert differences(before, before) == ()
    assert differences(before, after) == (
        "config: sigma",
        "models[0] 'lenet': content",
        "models[1] 'resnet': added",
        "datasets['test'] 'digits': left out",
    )
    assert before.digest != after.digest


def test_fingerprints_are_plain_json() -> None:
    found = fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in "ab"))], config={"a": {1, 2}})
    assert Fingerprints.from_plain(json.loads(json.dumps(found.to_plain()))) == found


def test_what_cannot_be_fingerprinted_counts_as_equal_and_is_said() -> None:
    before = fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in "ab"), scale=1)])
    after = fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in "cd"), scale=1)])
    changed = fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in "cd"), scale=2)])
    assert differences(before, after) == ()
    (said,) = incomparable(before, after)
    assert said.startswith("models[0] 'm': .lines cannot be fingerprinted: it is a generator, which pickle")
    assert differences(before, changed) == ("models[0] 'm': content",)
