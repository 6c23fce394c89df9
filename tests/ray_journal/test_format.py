"""Objects as bytes: they come back as they were, or not at all."""

from __future__ import annotations

import json
import math
import zlib
from typing import Any

import pytest
from checkmaite.jobs import IncompatibleVersionError, StoreCorruptError
from checkmaite.jobs_ray.journal.format import Kind, decode, encode
from hypothesis import given
from hypothesis import strategies as st

from tests.ray_journal.making import header

URI = "/journal/seg/000000000007"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def read(content: bytes, kind: Kind = Kind.SEGMENT, number: int = 7) -> Any:
    return decode(content, uri=URI, kinds=frozenset({kind}), number=number).rows()


@given(st.lists(json_values, max_size=6))
def test_rows_come_back(rows: list[Any]) -> None:
    assert read(encode(header(), iter(rows))) == rows


def test_many_rows_come_back_in_pieces() -> None:
    rows = [[number, "ü\n\ud800" * (number % 70), {"a": [None]}] for number in range(20_000)]
    stored = decode(encode(header(), rows), uri=URI, kinds=frozenset({Kind.SEGMENT}), number=7)
    pieces = list(stored.pieces())
    assert len(pieces) > 5
    assert [row for piece in pieces for row in piece] == rows


def test_a_row_longer_than_a_piece_comes_back() -> None:
    rows = [["x", "".join(map(str, range(300_000)))], ["y"]]
    assert read(encode(header(), rows)) == rows


@pytest.mark.parametrize("row", [[math.nan], [math.inf], [b"bytes"], [{1, 2}]])
def test_what_is_no_json_is_refused(row: list[Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(header(), [["fine"], row])


@given(st.lists(json_values, max_size=5), st.data())
def test_a_flipped_bit_is_found(rows: list[Any], data: st.DataObject) -> None:
    content = bytearray(encode(header(), rows))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreCorruptError, match=URI):
        read(bytes(content))


@given(st.lists(json_values, max_size=5), st.data())
def test_a_cut_is_found(rows: list[Any], data: st.DataObject) -> None:
    content = encode(header(), rows)
    with pytest.raises(StoreCorruptError, match="cut short"):
        read(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.binary())
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(StoreCorruptError, match=URI):
        read(content)


@given(st.binary(min_size=1))
def test_an_appendix_is_found(appendix: bytes) -> None:
    with pytest.raises(StoreCorruptError, match="checksum"):
        read(encode(header(), [[1]]) + appendix)


def test_another_place_or_kind_is_found() -> None:
    content = encode(header(), [[1]])
    for kind, number in ((Kind.SNAPSHOT, 7), (Kind.SEGMENT, 8)):
        with pytest.raises(StoreCorruptError, match=r"segment 7.*renamed"):
            read(content, kind, number)


def test_a_newer_protocol_says_which_side_to_change() -> None:
    line = b'{"magic":"checkmaite-jobs journal","protocol":99,"new":[1],"bytes":3'
    content = line + b',"crc":%d}\n' % zlib.crc32(line + b"abc") + b"abc"
    assert json.loads(content.partition(b"\n")[0])["protocol"] == 99
    with pytest.raises(IncompatibleVersionError, match="Upgrade checkmaite-jobs-ray here"):
        read(content)
