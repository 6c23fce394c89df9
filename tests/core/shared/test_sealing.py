"""Payloads open with the right key alone, and for their job."""

from __future__ import annotations

import base64
import pickle
import secrets
import sys

import pytest
from checkmaite.jobs import MissingDependencyError, PayloadKeyError
from checkmaite.jobs._shared.sealing import check_key, opened, resealed, sealed
from checkmaite.jobs.spi import KeyPlace

pytest.importorskip("cryptography", reason="core's tests run where nothing else is installed")

KEY, OTHER = (base64.b64encode(bytes([fill]) * 32).decode() for fill in (251, 7))  # the first has + and / in it
PLACE = KeyPlace(env="THE_KEY")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("THE_KEY", KEY)
    return KEY


@pytest.mark.parametrize("payload", [b"", b"a marker", b"x" * 1_000_000])
def test_a_payload_opens_with_its_key(key: str, payload: bytes) -> None:
    one, two = sealed(payload, "job-1", PLACE), sealed(payload, "job-1", PLACE)
    assert one != two, "equal payloads are not seen to be equal"
    assert not payload or payload not in one
    assert len(one) - len(payload) < 100
    assert opened(one, "job-1") == opened(memoryview(two), "job-1") == payload


def test_a_payload_that_was_never_sealed_is_itself(key: str) -> None:
    payload = pickle.dumps({"any": "thing"})
    assert opened(payload, "job-1") is payload


def test_a_payload_is_sealed_anew_for_another_job(key: str) -> None:
    again = resealed(sealed(b"a marker", "job-1", PLACE), "job-1", "job-2", None)
    assert opened(again, "job-2") == b"a marker"
    with pytest.raises(PayloadKeyError):
        opened(again, "job-1")
    with pytest.raises(PayloadKeyError):
        resealed(again, "job-1", "job-3", None)
    assert resealed(b"open", "job-1", "job-2", None) == b"open"


def test_who_has_a_key_seals_with_it_what_was_open_or_had_another(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_LATER_KEY", OTHER)
    later = KeyPlace(env="A_LATER_KEY")
    again = [
        resealed(b"a marker", "job-1", "job-2", later),
        resealed(sealed(b"a marker", "job-1", PLACE), "job-1", "job-2", later),
    ]
    monkeypatch.delenv("THE_KEY")
    assert [opened(each, "job-2") for each in again] == [b"a marker"] * 2
    assert all(b"a marker" not in bytes(each) for each in again)


def test_either_alphabet_of_base64_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    content = sealed(b"content", "job-1", PLACE)
    monkeypatch.setenv("THE_KEY", KEY.replace("+", "-").replace("/", "_"))
    assert KEY.replace("+", "-").replace("/", "_") != KEY
    assert opened(content, "job-1") == b"content"


def test_another_key_another_job_and_a_changed_byte_do_not_open_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sealed(b"a marker", "job-1", PLACE)
    with pytest.raises(PayloadKeyError, match="job-2 cannot be decrypted"):
        opened(content, "job-2")
    for position in range(len(b"checkmaite-sealed-1 "), len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        for damaged in (changed, content[:position]):
            with pytest.raises(PayloadKeyError):
                opened(bytes(damaged), "job-1")
    monkeypatch.setenv("THE_KEY", OTHER)
    with pytest.raises(PayloadKeyError, match="the environment variable THE_KEY: it is another key") as caught:
        opened(content, "job-1")
    assert OTHER not in str(caught.value)
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(PayloadKeyError, match=r"THE_KEY is not set.*ray start"):
        opened(content, "job-1")


@pytest.mark.parametrize("wrong", ["no base64!", base64.b64encode(b"too short").decode(), KEY + KEY])
def test_what_is_no_key_is_refused_and_not_shown(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", wrong)
    with pytest.raises(ValueError, match="THE_KEY holds no key: that is 32 random bytes in base64") as caught:
        check_key(PLACE)
    assert wrong not in str(caught.value)


def test_who_has_no_cipher_is_told_what_to_install(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sealed(b"content", "job-1", PLACE)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    new = base64.b64encode(secrets.token_bytes(32)).decode()  # the cipher of another one is there already
    monkeypatch.setenv("THE_KEY", new)
    for act in (lambda: check_key(PLACE), lambda: opened(content, "job-1")):
        with pytest.raises(MissingDependencyError, match=r"checkmaite-jobs\[encryption\]"):
            act()
