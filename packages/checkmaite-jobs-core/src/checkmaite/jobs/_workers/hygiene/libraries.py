"""Settings of libraries that concern the whole process, of those that are loaded: none is imported for it.

Where a job was the first to import a library, its settings become those with which the library begins.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from checkmaite.jobs._workers.hygiene.setting import Setting

_NUMPY_AT_FIRST = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_PRINTS_AT_FIRST: Mapping[str, Any] = {
    "edgeitems": 3,
    "threshold": 1000,
    "floatmode": "maxprec",
    "precision": 8,
    "suppress": False,
    "linewidth": 75,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "formatter": None,
    "legacy": False,
}
_DECIMALS_AT_FIRST = (
    (28, "ROUND_HALF_EVEN", -999_999, 999_999, 1, 0, frozenset({"InvalidOperation", "DivisionByZero", "Overflow"})),
) * 2
_whole: dict[str, Any] = {}
"""Modules that were seen to be imported whole."""
_TORCH_AT_FIRST = ("cpu", "torch.float32", True, False, False, False, "highest")


def settings() -> Iterator[Setting]:
    """All of them."""
    yield Setting("default socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout)
    yield Setting("temporary folder", lambda: getattr(_loaded("tempfile"), "tempdir", None), _set_temporary)
    yield Setting("start method of multiprocessing", _start_method, _set_start_method)
    yield Setting("event loop", _event_loop, _set_event_loop)
    yield Setting(
        "NumPy's treatment of errors",
        _numpy_errors,
        lambda before: sys.modules["numpy"].seterr(**before),
        only_by_jobs=True,
    )
    yield Setting(
        "NumPy's way to print",
        _numpy_prints,
        lambda before: sys.modules["numpy"].set_printoptions(**before),
        only_by_jobs=True,
    )
    yield Setting("decimal arithmetic", _decimals, _set_decimals, only_by_jobs=True)
    yield Setting("PyTorch's defaults", _torch_defaults, _set_torch_defaults, only_by_jobs=True)


def _loaded(name: str) -> Any:
    """A module that is imported whole; None when it is not."""
    module = sys.modules.get(name)
    if module is None or module is _whole.get(name):
        return module
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        return None
    _whole[name] = module
    return module


def _set_temporary(before: str | None) -> None:
    sys.modules["tempfile"].tempdir = before  # type: ignore[attr-defined]  # a module's variable


def _start_method() -> str | None:
    multiprocessing = _loaded("multiprocessing")
    return multiprocessing.get_start_method(allow_none=True) if multiprocessing else None


def _set_start_method(before: str | None) -> None:
    sys.modules["multiprocessing"].set_start_method(before, force=True)


def _event_loop() -> tuple[Any, bool] | None:
    """The class of asyncio's policy, and whether this thread still gets an event loop when it asks for one.

    After ``asyncio.run`` it does not.
    """
    if _loaded("asyncio") is None or sys.version_info >= (3, 14):  # where loops are never made when asked for
        return None
    policy = sys.modules["asyncio"].get_event_loop_policy()
    local = getattr(policy, "_local", None)
    return type(policy), getattr(local, "_loop", None) is None and not getattr(local, "_set_called", False)


def _set_event_loop(before: tuple[Any, bool] | None) -> None:
    kind = before[0] if before else None
    sys.modules["asyncio"].set_event_loop_policy(kind() if kind else None)


def _decimals() -> tuple[Any, ...]:
    """Of the present context, and of those of threads to come."""
    decimal = _loaded("decimal")
    if decimal is None:
        return _DECIMALS_AT_FIRST
    return _arithmetic(decimal.getcontext()), _arithmetic(decimal.DefaultContext)


def _arithmetic(context: Any) -> tuple[Any, ...]:
    """A context as pickle takes it, which is many times faster than asking for each value; without its flags."""
    *values, _, traps = context.__reduce__()[1]
    return *values, _names_of(tuple(traps))


@cache
def _names_of(traps: tuple[type, ...]) -> frozenset[str]:
    return frozenset(signal.__name__ for signal in traps)


def _set_decimals(before: tuple[Any, ...]) -> None:
    decimal: Any = sys.modules["decimal"]
    for context, values in zip((decimal.getcontext(), decimal.DefaultContext), before, strict=True):
        context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp, traps = values
        for signal in list(context.traps):
            context.traps[signal] = signal.__name__ in traps


def _numpy_errors() -> Mapping[str, str]:
    numpy = _loaded("numpy")
    return numpy.geterr() if numpy else _NUMPY_AT_FIRST


def _numpy_prints() -> Mapping[str, Any]:
    numpy = _loaded("numpy")
    if numpy is None:
        return _NUMPY_PRINTS_AT_FIRST
    options = numpy.get_printoptions()
    return {name: options[name] for name in _NUMPY_PRINTS_AT_FIRST}


def _torch_defaults() -> tuple[Any, ...]:
    torch = _loaded("torch")
    if torch is None:
        return _TORCH_AT_FIRST
    return (
        str(torch.get_default_device()),
        str(torch.get_default_dtype()),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_float32_matmul_precision(),
    )


def _set_torch_defaults(before: tuple[Any, ...]) -> None:
    torch: Any = sys.modules["torch"]
    device, dtype, grad, deterministic, warn_only, anomaly, precision = before
    torch.set_default_device(None if device == "cpu" else device)
    torch.set_default_dtype(getattr(torch, dtype.removeprefix("torch.")))
    torch.set_grad_enabled(grad)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.autograd.set_detect_anomaly(anomaly)
    torch.set_float32_matmul_precision(precision)
