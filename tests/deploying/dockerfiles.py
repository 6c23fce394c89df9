"""Dockerfiles, read as far as ours go: stages of FROM, ENV, WORKDIR, COPY, RUN, USER and CMD."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAMES = ("worker", "head")


@frozen
class Stage:
    """What follows one FROM: the image that it begins with, and instructions as (name, rest) in their order."""

    image: str
    name: str
    steps: list[tuple[str, str]] = field(factory=list)

    def of(self, instruction: str) -> list[str]:
        """What this instruction is given, each time."""
        return [rest for name, rest in self.steps if name == instruction]

    def env(self) -> dict[str, str]:
        """Its variables."""
        return dict(pair.split("=", 1) for rest in self.of("ENV") for pair in rest.split())


def read(name: str) -> list[Stage]:
    """The stages of an image's Dockerfile. Instructions before the first FROM are defaults of arguments."""
    text = (DEPLOY / f"{name}.Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, re.sub(r"\s*\\\n\s*", " ", text).splitlines()):
        instruction, _, rest = line.partition(" ")
        for argument, default in arguments.items():
            rest = rest.replace(f"${{{argument}}}", default)
        if instruction == "FROM":
            image, _, stage = rest.partition(" AS ")
            stages.append(Stage(image, stage))
        elif stages:
            stages[-1].steps.append((instruction, rest))
        else:
            assert instruction == "ARG", f"{instruction} before FROM"
            argument, _, default = rest.partition("=")
            arguments[argument] = default
    return stages
