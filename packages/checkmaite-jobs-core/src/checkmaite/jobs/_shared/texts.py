"""Text of bounded size that every file, journal and terminal can take."""

from __future__ import annotations

from bisect import bisect_right

_NOTE_BYTES = 160
"""What the line about the part that was left out may take, at most, with `whole` of at most 80 bytes."""


def shortened(text: str, limit: int, *, whole: str = "") -> str:
    r"""The text in at most `limit` bytes of UTF-8; of a longer one the middle is left out, and a line says how much.

    Lone surrogates, which UTF-8 cannot carry, become escapes such as ``\udc80``. However long the text is, no more
    than a few times `limit` is copied.

    Args:
        text: A string, or one of a subclass, whose own methods are not called.
        limit: Bytes, 256 or more.
        whole: Where more of the text is, for the reader; at most 80 bytes.
    """
    text = str.__str__(text)
    if len(text) <= limit:
        if text.isascii():
            return text
        encoded = _utf8(text)
        if len(encoded) <= limit:
            return encoded.decode()
    half = (limit - _NOTE_BYTES) // 2
    first = bisect_right(range(min(half, len(text)) + 1), half, key=lambda count: len(_utf8(text[:count]))) - 1
    rest = text[first:] if len(text) <= limit else text[max(first, len(text) - half) :]
    last = bisect_right(range(len(rest) + 1), half, key=lambda count: len(_utf8(rest[len(rest) - count :]))) - 1
    left_out = len(text) - first - last
    more = f"; {whole}" if whole else ""
    note = f"\n[... {left_out:,} characters left out{more} ...]\n"
    return f"{_utf8(text[:first]).decode()}{note}{_utf8(rest[len(rest) - last :]).decode()}"


def message_text(error: BaseException) -> str:
    """An exception's message, whatever its class does when it is asked for it."""
    try:
        return str.__str__(str(error))
    except BaseException as broken:  # noqa: BLE001 - it is the user's class, and may even exit
        return f"(its message cannot be shown: {class_name(broken)})"


def class_name(error: BaseException) -> str:
    """The name of an exception's class, in which neither the class nor its metaclass has a say."""
    return str(vars(type)["__name__"].__get__(type(error)))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
