"""Global random generators, which begin each job from fresh entropy."""

from __future__ import annotations

import os
import random
import struct
import sys
from typing import Any

_ENTROPY = "=4I2Q"
"""128 bits for each generator, as NumPy and Python take them."""


def from_fresh_entropy() -> None:
    """Seed Python's global random generator, and those of NumPy and PyTorch where they are loaded.

    Otherwise a job would go on where the one before it on its process stopped, and PyTorch begins every process at the
    same place. Left to themselves Python and NumPy take 20 KB of entropy, which costs a job of no work more than it
    does itself; 128 bits of it are enough.
    """
    *words, low, high = struct.unpack(_ENTROPY, os.urandom(struct.calcsize(_ENTROPY)))
    random.seed(high << 64 | low)
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed(words)
    if (torch := _torch()) is not None:
        seed = torch.default_generator.seed()
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


def _torch() -> Any:
    torch = sys.modules.get("torch")
    return torch if torch is not None and hasattr(torch, "default_generator") else None
