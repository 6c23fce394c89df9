"""Jobs that say what their worker is like. They store nothing: their runs have no rows."""

from __future__ import annotations

from typing import Any


def worker_check() -> Any:
    """The capability. Its class is made here, so that it travels whole: workers need nothing of the command line."""

    class WorkerCheck:
        id = "checkmaite-jobs-doctor"

        def run(self, *, config: Any, **_: Any) -> Any:
            import importlib
            import json
            import platform
            import shutil
            import socket
            import subprocess
            from importlib.metadata import version
            from types import SimpleNamespace

            failures = {}
            for name in config["modules"]:
                try:
                    importlib.import_module(name)
                except Exception as error:  # noqa: BLE001 - a module may raise anything, which is what is to be told
                    failures[name] = f"{type(error).__name__}: {error}"
            gpus = []
            if shutil.which("nvidia-smi"):
                listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S607
                gpus = [line.partition(" (UUID")[0] for line in listed.stdout.splitlines() if line.startswith("GPU")]
            told = {
                "host": socket.gethostname(),
                "python": platform.python_version(),
                "core": version("checkmaite-jobs-core"),
                "gpus": gpus,
                "import_failures": failures,
            }
            return SimpleNamespace(
                run_uid=config["run_uid"],
                capability_id=self.id,
                dataset_metadata=[],
                model_metadata=[],
                metric_metadata=[],
                extract=list,
                collect_md_report=lambda threshold: json.dumps(told),
            )

    return WorkerCheck()


def store_check() -> Any:
    """A capability that examines the store from its worker, as ``doctor()`` of the store does; see `worker_check`."""

    class StoreCheck:
        id = "checkmaite-jobs-store-doctor"

        def run(self, *, config: Any, **_: Any) -> Any:
            import json
            import socket
            from types import SimpleNamespace

            import attrs
            from checkmaite.jobs.spi import store_of_job

            examine = getattr(store_of_job(), "doctor", None)
            checks = [attrs.asdict(each) for each in examine()] if examine is not None else []
            told = {"host": socket.gethostname(), "checks": checks}
            return SimpleNamespace(
                run_uid=config["run_uid"],
                capability_id=self.id,
                dataset_metadata=[],
                model_metadata=[],
                metric_metadata=[],
                extract=list,
                collect_md_report=lambda threshold: json.dumps(told),
            )

    return StoreCheck()
