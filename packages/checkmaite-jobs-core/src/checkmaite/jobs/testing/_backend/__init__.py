"""The suite of job backends, in parts."""

import pytest

_PARTS = ("suite", "running", "cancelling", "handles", "results")

# Before they are imported, so that an assertion that fails shows its values.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))
