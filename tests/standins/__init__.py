"""Stand-ins for the CheckMAITE package's classes, made from a record of the real ones.

`hatch run checkmaite:test` compares the record with the package, so that they cannot drift apart. Names, signatures and
types are the package's; what they compute is not.
"""

from __future__ import annotations

import hashlib
import json
from ast import literal_eval
from pathlib import Path
from typing import Any

import pydantic

RECORD: dict[str, Any] = json.loads((Path(__file__).parent / "checkmaite-0.6.1.json").read_text())


def _model(name: str, fields: list[str], defaults: dict[str, Any] | None = None) -> type[pydantic.BaseModel]:
    given = {each: (Any, (defaults or {}).get(each)) for each in fields}
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(arbitrary_types_allowed=True), **given)  # type: ignore[call-overload, no-any-return]


def _report(name: str) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {}
    for key, default in RECORD["reports"][name]["fields"].items():
        fields[key] = (Any, ...) if default == "PydanticUndefined" else (Any, literal_eval(default))
    made: type[pydantic.BaseModel] = pydantic.create_model(name, **fields)
    return made


InlineTextReport, ArtifactReport = _report("InlineTextReport"), _report("ArtifactReport")
_Run: Any = _model("CapabilityRunBase", RECORD["run"]["fields"])
_names = [name for name, *_ in RECORD["capability"]["run"]]
_uid_names = [name for name, *_ in RECORD["run"]["compute_uid"]]


class Run(_Run):  # type: ignore[misc, valid-type]
    """A run with a report of its config's."""

    @staticmethod
    def compute_uid(**given: Any) -> str:
        assert sorted(given) == sorted(_uid_names)
        said = [given["capability_id"], given["config"].model_dump_json(), sorted(given, key=str)]
        ids = [[each["id"] for each in given[name]] for name in _uid_names if name.endswith("metadata")]
        return hashlib.sha256(json.dumps([said, ids]).encode()).hexdigest()

    @property
    def run_uid(self) -> str:
        return self.compute_uid(**{name: getattr(self, name) for name in _uid_names})

    def extract(self) -> list[dict[str, Any]]:
        return [{"table_name": "standin", "config": self.config.model_dump_json()}]

    def collect_md_report(self, threshold: float) -> Any:
        return self.outputs(threshold)


def capability(name: str, *, report: Any = None) -> Any:
    """A stand-in for one of the package's capabilities.

    Args:
        name: Its full name.
        report: Called with the threshold for the report of its runs.
    """
    recorded = RECORD["capabilities"][name]
    default = recorded["default_config"]

    def created(cls: type[Any]) -> Any:
        if "error" in default:
            raise type(default["error"], (ValueError,), {})("this capability has no default")
        return _model(default["class"], default["fields"], dict.fromkeys(default["fields"], "as it is"))()

    def run(self: Any, **given: Any) -> Run:
        assert set(given) <= set(_names)
        named = {f"{kind}_metadata": [each.metadata for each in given.get(f"{kind}s") or ()] for kind in _KINDS}
        config = given.get("config") or self._create_config()
        return Run(capability_id=self.id, config=config, outputs=report or (lambda _: None), **named)

    made = type(name.rpartition(".")[2], (), {"run": run, "_RUN_TYPE": Run, "id": recorded["id"]})
    made._create_config = classmethod(created)  # type: ignore[attr-defined]
    return made()


_KINDS = ("dataset", "model", "metric")
