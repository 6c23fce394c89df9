"""KubeRay's schemas, as far as our manifests use them: `hatch run manifests FOLDER` writes them down anew.

FOLDER has `rayclusters.v1.json` and `rayjobs.v1.json`, the OpenAPI schemas of KubeRay's custom resource definitions.
What is recorded in `kuberay.json` is what a test needs to find a misspelt field or a wrong type without them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deploying.dockerfiles import DEPLOY

RECORDED = Path(__file__).parent / "kuberay.json"
KINDS = {"RayCluster": "rayclusters", "RayJob": "rayjobs"}
_KEPT = ("type", "enum", "required", "minimum", "pattern", "anyOf", "x-kubernetes-int-or-string")


def manifests() -> list[dict[str, Any]]:
    """Every object of every manifest."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text("utf-8"))]


def pruned(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """The part of a schema that a value is held to; a field that the schema has not is left out, and so refused."""
    kept = {name: schema[name] for name in _KEPT if name in schema}
    if isinstance(value, dict) and "properties" in schema:
        properties = {
            name: pruned(schema["properties"][name], value[name]) for name in value if name in schema["properties"]
        }
        return {**kept, "properties": properties, "additionalProperties": False}
    if isinstance(value, dict) and "additionalProperties" in schema:
        return {**kept, "additionalProperties": pruned(schema["additionalProperties"], None)}
    if isinstance(value, list) and "items" in schema:
        items: dict[str, Any] = {}
        for each in value:
            items = merged(items, pruned(schema["items"], each))
        return {**kept, "items": items}
    return kept


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both parts of one schema."""
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        mine, others = one["properties"], other["properties"]
        both["properties"] = {name: merged(mine.get(name, {}), others.get(name, {})) for name in {**mine, **others}}
    for name in ("items", "additionalProperties"):
        if isinstance(one.get(name), dict) and isinstance(other.get(name), dict):
            both[name] = merged(one[name], other[name])
    return both


def record(folder: Path) -> dict[str, dict[str, Any]]:
    """What all manifests of a kind use of its schema."""
    recorded: dict[str, dict[str, Any]] = {}
    for kind, file in KINDS.items():
        schema = json.loads((folder / f"{file}.v1.json").read_text("utf-8"))["openAPIV3Schema"]
        for each in manifests():
            if each["kind"] == kind:
                found = pruned({**schema, "properties": {**schema["properties"], "metadata": {"type": "object"}}}, each)
                recorded[kind] = merged(recorded.get(kind, {}), found)
    return recorded


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{RECORDED.name}: {RECORDED.stat().st_size} bytes")  # noqa: T201
