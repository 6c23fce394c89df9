"""How robust are three classifiers of handwritten digits? 36 evaluations as jobs on a Ray of this machine.

Run it with ``hatch run demo``. Each job evaluates one model on the 899 real digits that it was not trained on, under
one corruption at one severity. The results go to a Parquet store; the table and the plot come out of an SQL query over
it. A second run finds the results there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from attrs import field, frozen
from checkmaite.jobs import (
    Record,
    ReuseKind,
    as_completed,
    configure_job_backend,
    report_progress,
    shutdown_job_backend,
    submit_capabilities,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.svm import SVC

OUTPUT = Path("demo-output")
CORRUPTIONS = ("noise", "blur", "rotation", "occlusion")
SEVERITIES = (1, 2, 3)
Images = np.ndarray[Any, np.dtype[np.float64]]
"""Shape (images, 8, 8), grey values 0 to 16."""


@frozen
class Digits:
    """Labelled images in MAITE's shape: ``metadata["id"]``, a length, and items.

    Attributes:
        images: Shape (images, 8, 8).
        labels: Shape (images,), digits 0 to 9.
    """

    images: Images
    labels: Any
    metadata: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int, dict[str, Any]]:
        return self.images[index], int(self.labels[index]), {"id": index}


@frozen
class Classifier:
    """A fitted scikit-learn classifier in MAITE's shape."""

    fitted: Any
    metadata: Mapping[str, Any]

    def __call__(self, images: Images) -> Any:
        return self.fitted.predict(images.reshape(len(images), -1))


@frozen
class Accuracy:
    """The share of right answers."""

    metadata: Mapping[str, Any] = field(factory=lambda: {"id": "accuracy"})

    def __call__(self, truth: Any, answers: Any) -> float:
        return float(accuracy_score(truth, answers))


@frozen
class RobustnessConfig:
    """Which corruption, and how strong: 1 to 3."""

    corruption: str
    severity: int


@frozen
class RobustnessRecord(Record):
    """One accuracy; a row of the table ``digit_robustness``."""

    table_name = "digit_robustness"

    model_id: str
    corruption: str
    severity: int
    images: int
    accuracy: float


@frozen
class RobustnessRun:
    """One model's accuracy under one corruption."""

    run_uid: str
    capability_id: str
    dataset_metadata: Sequence[Mapping[str, Any]]
    model_metadata: Sequence[Mapping[str, Any]]
    metric_metadata: Sequence[Mapping[str, Any]]
    record: RobustnessRecord

    @staticmethod
    def compute_uid(
        *,
        capability_id: str,
        config: RobustnessConfig,
        dataset_metadata: Sequence[Mapping[str, Any]],
        model_metadata: Sequence[Mapping[str, Any]],
        metric_metadata: Sequence[Mapping[str, Any]],
    ) -> str:
        """The uid that these inputs always give, so that a stored run is found before it is computed again."""
        named = [each["id"] for each in (*dataset_metadata, *model_metadata, *metric_metadata)]
        return hashlib.sha256(repr((capability_id, config, named)).encode()).hexdigest()[:24]

    def extract(self) -> list[RobustnessRecord]:
        """The one record."""
        return [self.record]


class Robustness:
    """Accuracy of classifiers on corrupted images."""

    id = "digit-robustness"
    _RUN_TYPE = RobustnessRun

    def run(
        self,
        *,
        models: Sequence[Classifier],
        datasets: Sequence[Digits],
        metrics: Sequence[Accuracy],
        config: RobustnessConfig,
        use_cache: bool = False,
    ) -> RobustnessRun:
        """Evaluate one model on one dataset."""
        (model,), (dataset,), (metric,) = models, datasets, metrics
        corrupted = np.empty_like(dataset.images)
        generator = np.random.default_rng(config.severity)
        for index, image in enumerate(dataset.images):
            corrupted[index] = corrupt(image, config, generator)
            report_progress(index + 1, len(dataset), config.corruption)
        accuracy = metric(dataset.labels, model(corrupted))
        described = {
            "capability_id": self.id,
            "dataset_metadata": [dataset.metadata],
            "model_metadata": [model.metadata],
            "metric_metadata": [metric.metadata],
        }
        record = RobustnessRecord(model.metadata["id"], config.corruption, config.severity, len(dataset), accuracy)
        return RobustnessRun(run_uid=RobustnessRun.compute_uid(config=config, **described), record=record, **described)


def corrupt(image: Images, config: RobustnessConfig, generator: np.random.Generator) -> Images:
    """One image (8, 8), corrupted; grey values stay 0 to 16."""
    match config.corruption:
        case "noise":
            changed = image + generator.normal(0, 2.0 * config.severity, image.shape)
        case "blur":
            changed = ndimage.gaussian_filter(image, sigma=0.4 * config.severity)
        case "rotation":
            changed = ndimage.rotate(image, angle=15 * config.severity, reshape=False, order=1)
        case "occlusion":
            changed, size = image.copy(), 1 + config.severity
            top, left = generator.integers(0, 8 - size, 2)
            changed[top : top + size, left : left + size] = 0
        case unknown:
            raise ValueError(f"unknown corruption {unknown!r}")
    return np.clip(changed, 0, 16)


def fitted_models(images: Images, labels: Any) -> list[Classifier]:
    """Three classifiers, fitted on clean digits."""
    kinds = {
        "logistic-regression": LogisticRegression(max_iter=5000),
        "svc": SVC(gamma=0.001),
        "random-forest": RandomForestClassifier(n_estimators=200, random_state=0),
    }
    flat = images.reshape(len(images), -1)
    return [Classifier(kind.fit(flat, labels), {"id": name}) for name, kind in kinds.items()]


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Accuracy against severity, a panel for each corruption and a line for each model."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(CORRUPTIONS), figsize=(14, 3.6), sharey=True, layout="constrained")
    for panel, corruption in zip(panels, CORRUPTIONS, strict=True):
        for model in sorted({row["model_id"] for row in rows}):
            line = [row for row in rows if (row["model_id"], row["corruption"]) == (model, corruption)]
            panel.plot([row["severity"] for row in line], [row["accuracy"] for row in line], marker="o", label=model)
        panel.set(title=corruption, xlabel="severity", xticks=SEVERITIES, ylim=(0, 1.02))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy")
    panels[0].legend(loc="lower left")
    figure.suptitle("Accuracy of digit classifiers under corruption")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Submit, follow, query, plot."""
    began = time.monotonic()
    console = Console()
    digits = load_digits()
    half = len(digits.images) // 2
    dataset = Digits(digits.images[half:], digits.target[half:], {"id": "sklearn-digits-second-half"})
    console.print(f"Fitting three classifiers on {half} of {len(digits.images)} handwritten digits ...")
    models = fitted_models(digits.images[:half], digits.target[:half])
    console.print("Starting Ray on this machine ...")
    backend = configure_job_backend(
        "ray",
        address="local",
        idempotency_scope="digits-demo",
        num_cpus=2,
        object_store_memory=100_000_000,
        analytics_store={"backend": "parquet", "uri": OUTPUT / "analytics_store"},
    )
    jobs = submit_capabilities(
        [
            {
                "capability": Robustness(),
                "models": [model],
                "datasets": [dataset],
                "metrics": [Accuracy()],
                "config": RobustnessConfig(corruption, severity),
                "job_name": f"{model.metadata['id']} {corruption} {severity}",
            }
            for model in models
            for corruption in CORRUPTIONS
            for severity in SEVERITIES
        ]
    )
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("jobs", total=len(jobs))
        for job in as_completed(jobs):
            job.result()
            progress.update(bar, advance=1, description=job.job_name)
    if reused := sum(job.reuse.kind is ReuseKind.REUSED for job in jobs):
        console.print(f"{reused} of {len(jobs)} results are used again: they are of an earlier run.")
    for difference in sorted({each for job in jobs for each in job.reuse.differences}):
        console.print(f"Computed again, because this differs from an earlier run: {difference}")
    rows = backend.analytics_store.query_sql(
        """
        select p.model_id, p.corruption, p.severity, p.accuracy, r.job_id, r.completed_at
        from digit_robustness p
        join runs r on r.run_uid = p.run_uid and r.entity_type = 'model'
        order by p.model_id, p.corruption, p.severity
        """
    ).to_pylist()
    table = Table("model", "corruption", *(f"severity {severity}" for severity in SEVERITIES), title="Accuracy")
    for model_id, corruption in dict.fromkeys((row["model_id"], row["corruption"]) for row in rows):
        found = [row for row in rows if (row["model_id"], row["corruption"]) == (model_id, corruption)]
        table.add_row(model_id, corruption, *(f"{row['accuracy']:.3f}" for row in found))
    console.print(table)
    picture = (OUTPUT / "accuracy.png").resolve()
    plot(rows, picture)
    console.print(f"Results: {backend.analytics_store.uri}", soft_wrap=True)
    console.print(f"Plot:    {picture}", soft_wrap=True)
    console.print(f"Done in {time.monotonic() - began:.0f} s.")
    shutdown_job_backend()


if __name__ == "__main__":
    main()
