"""Which requests are taken: those of a browser of this machine that was given the address. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

_HOSTS = ("127.0.0.1", "localhost", "[::1]")

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""With each answer. The address holds the token, so no page that is linked to is told of it."""


class RefusedError(Exception):
    """The request is not taken; the text says why."""


def path_below(target: str, token: str, headers: Mapping[str, str], *, changes: bool = False) -> str:
    """The path behind the token.

    Args:
        target: Path of the request, without its query.
        token: What the path must begin with.
        headers: Those of the request, by names such as ``Origin``.
        changes: Whether the request carries a question in its body, as POST does: then a browser has to say where it
            comes from.

    Raises:
        RefusedError: Another host name was asked for (a foreign name may point at this machine), the request comes
            from a page of another origin, or the token is another one.
    """
    host = headers.get("Host", "")
    name, _, port = host.rpartition(":")
    if (name if port.isdigit() else host) not in _HOSTS:
        raise RefusedError("This page answers to 127.0.0.1 and localhost alone.")
    origin = headers.get("Origin")
    if origin is None and changes:
        raise RefusedError("A question has to come from this page.")
    if origin is not None and origin != f"http://{host}":
        raise RefusedError("This page answers to itself alone, and not to pages of another origin.")
    _, given, *rest = [*target.split("/", 2), ""]
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        raise RefusedError("The address is not complete: take it whole, as `checkmaite-jobs ui` has printed it.")
    return rest[0]
