"""A large payload travels as a buffer of its own: nobody's pickle holds a copy, and views of it are handed on."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import ray
from checkmaite.jobs_ray.cluster import arrived, keep_payload
from checkmaite.jobs_ray.config import RayOptions
from checkmaite.jobs_ray_simple.cluster import carried, is_large

LARGE = bytes(1_000_000)


def as_ray_sends(payload: Any) -> tuple[int, Any]:
    """Through pickle as Ray uses it: the size of the pickle without its buffers, and what comes out."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps({"payload": carried(payload)}, protocol=5, buffer_callback=buffers.append)
    return len(pickled), pickle.loads(pickled, buffers=[each.raw() for each in buffers])["payload"]


def test_a_large_payload_is_not_in_the_pickle_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    size, came = as_ray_sends(LARGE)
    view = arrived(came)
    assert size < 200
    assert view.obj is LARGE
    assert is_large(view)
    put: list[Any] = []
    monkeypatch.setattr(ray, "put", lambda given: put.append(given) or "reference")
    assert keep_payload(view) == "reference"
    assert put[0].raw().obj is view


def test_a_small_payload_is_bytes_all_the_way() -> None:
    small = b"small"
    _, came = as_ray_sends(small)
    assert came == arrived(came) == keep_payload(small) == small
    assert type(arrived(came)) is bytes


def test_through_a_pickle_without_buffers_it_is_bytes() -> None:
    assert arrived(pickle.loads(pickle.dumps(carried(LARGE), protocol=5))) == LARGE


def test_a_model_of_200_mb_with_a_dataset_of_500_mb_is_sent_along_by_default() -> None:
    assert RayOptions(idempotency_scope="s").max_payload_bytes >= 700_000_000
