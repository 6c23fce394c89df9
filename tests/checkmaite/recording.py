"""What the CheckMAITE package's classes look like from outside, for the stand-ins of `tests/standins`.

Only names, signatures and types are recorded, none of the package's code. `hatch run checkmaite:record` writes it anew;
a test compares it.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import checkmaite
from checkmaite.core import report
from checkmaite.core.capability_core import Capability, CapabilityRunBase

from tests.checkmaite.cases import CASES, exported, name_of

RECORD = Path(__file__).parents[1] / "standins" / "checkmaite-0.6.1.json"


def recorded() -> dict[str, Any]:
    """The record, as JSON has it."""
    return {
        "version": checkmaite.__version__,  # type: ignore[attr-defined]
        "capability": {"run": _parameters(Capability.run), "_create_config": _parameters(Capability._create_config)},
        "run": {
            "fields": sorted(CapabilityRunBase.model_fields),
            "compute_uid": _parameters(CapabilityRunBase.compute_uid),
            "extract": _parameters(CapabilityRunBase.extract),
            "collect_md_report": _parameters(CapabilityRunBase.collect_md_report),
            "run_uid": _kind(inspect.getattr_static(CapabilityRunBase, "run_uid")),
        },
        "reports": {
            name: {
                "fields": {
                    key: repr(field.default) for key, field in sorted(getattr(report, name).model_fields.items())
                }
            }
            for name in ("ArtifactReport", "InlineTextReport")
        },
        "most_inline_bytes": report.MAX_INLINE_REPORT_BYTES,
        "capabilities": {name_of(kind): _capability(kind) for kind in sorted(exported(), key=name_of)},
        "cases": sorted(CASES),
    }


def _capability(kind: type[Any]) -> dict[str, Any]:
    made = kind()
    try:
        default = made._create_config()
        said: Any = {"class": type(default).__name__, "fields": sorted(type(default).model_fields)}
    except Exception as error:  # noqa: BLE001 - a class may have no default: that is recorded too
        said = {"error": type(error).__name__}
    return {
        "id": made.id,
        "default_config": said,
        "compute_uid_without_config": _refusal(kind, made.id),
        "run_type": kind._RUN_TYPE.__name__.partition("[")[0],
    }


def _refusal(kind: type[Any], capability_id: str) -> str | None:
    """The kind of error that a run's uid raises where the config is None; None when it has one."""
    try:
        kind._RUN_TYPE.compute_uid(
            capability_id=capability_id, config=None, dataset_metadata=[], model_metadata=[], metric_metadata=[]
        )
    except Exception as error:  # noqa: BLE001 - likewise
        return type(error).__name__
    return None


def _parameters(function: Any) -> list[list[Any]]:
    """Each parameter's name, kind and default."""
    return [
        [each.name, each.kind.name, None if each.default is each.empty else repr(each.default)]
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
    ]


def _kind(attribute: object) -> str:
    return type(attribute).__name__


if __name__ == "__main__":
    RECORD.write_text(json.dumps(recorded(), indent=1, sort_keys=True) + "\n")
