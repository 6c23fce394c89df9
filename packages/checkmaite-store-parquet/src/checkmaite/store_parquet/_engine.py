"""Says what to do where pyarrow is there and cannot be imported beside this NumPy."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from checkmaite.jobs import MissingDependencyError

try:
    import pyarrow as pa  # noqa: F401 - what of it is used, each module imports by itself
except ImportError as error:
    try:
        numpy, arrow = version("numpy"), version("pyarrow")
    except PackageNotFoundError:  # then the import says it
        raise error from None
    if int(numpy.partition(".")[0]) >= 2 or "NumPy" not in str(error):
        raise
    raise MissingDependencyError(
        f"pyarrow {arrow} needs NumPy 2, and NumPy {numpy} is installed, as the CheckMAITE package asks for it. "
        "An earlier pyarrow works with both.",
        requirement="pyarrow<26",
    ) from error
