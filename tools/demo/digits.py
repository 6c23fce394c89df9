"""How robust are three classifiers of handwritten digits? 36 evaluations as jobs on a Ray of this machine.

Run it with ``hatch run demo``. Each job evaluates one model on the 899 real digits that it was not trained on, under
one corruption at one severity. The results go to a Parquet store; the table and the plot come out of an SQL query over
it. All 36 are submitted again, and found there; then once more with another random forest, and its
12 are made anew.

A page of the jobs is served meanwhile, and written as a report at the end. ``hatch run demo --stay`` keeps it up.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from attrs import field, frozen
from checkmaite.jobs import (
    Job,
    Record,
    configure_job_backend,
    report_progress,
    shutdown_job_backend,
    submit_capabilities,
)
from checkmaite.jobs_ui import serve, write_report
from rich.console import Console
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.svm import SVC
from watching import accuracy_table, reuse_told, watch

OUTPUT = Path("demo-output")
SEVERITIES: Mapping[str, tuple[str, Sequence[float]]] = {
    "noise": ("grey levels", (2, 4, 6)),
    "blur": ("pixels", (0.4, 0.8, 1.2)),
    "rotation": ("degrees", (15, 30, 45)),
    "occlusion": ("pixels a side", (2, 3, 4)),
}
"""Of each corruption the unit of its severity, and the severities. A digit has 8 by 8 pixels of 16 grey levels.

Noise and blur are given by their standard deviations.
"""
QUESTION = """
select p.model_id, p.corruption, p.unit, p.severity, p.accuracy
from digit_robustness p
join runs r on r.run_uid = p.run_uid and r.entity_type = 'model'
order by p.model_id, p.corruption, p.severity
"""
BY_ROTATION = """
select severity as degrees, model_id, accuracy
from digit_robustness
where corruption = 'rotation'
order by all
"""
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
    """Which corruption, and how strong, in the unit that `SEVERITIES` names."""

    corruption: str
    severity: float


@frozen
class RobustnessRecord(Record):
    """One accuracy; a row of the table ``digit_robustness``."""

    table_name = "digit_robustness"

    model_id: str
    corruption: str
    severity: float
    unit: str
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
        generator = np.random.default_rng(round(1000 * config.severity))
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
        unit, _ = SEVERITIES[config.corruption]
        record = RobustnessRecord(
            model.metadata["id"], config.corruption, config.severity, unit, len(dataset), accuracy
        )
        return RobustnessRun(run_uid=RobustnessRun.compute_uid(config=config, **described), record=record, **described)


def corrupt(image: Images, config: RobustnessConfig, generator: np.random.Generator) -> Images:
    """One image (8, 8), corrupted; grey values stay 0 to 16."""
    match config.corruption:
        case "noise":
            changed = image + generator.normal(0, config.severity, image.shape)
        case "blur":
            changed = ndimage.gaussian_filter(image, sigma=config.severity)
        case "rotation":
            changed = ndimage.rotate(image, angle=config.severity, reshape=False, order=1)
        case "occlusion":
            changed, size = image.copy(), int(config.severity)
            top, left = generator.integers(0, 8 - size, 2)
            changed[top : top + size, left : left + size] = 0
        case unknown:
            raise ValueError(f"unknown corruption {unknown!r}")
    return np.clip(changed, 0, 16)


def fitted_models(images: Images, labels: Any, *, trees: int = 200) -> list[Classifier]:
    """Three classifiers, fitted on clean digits."""
    kinds = {
        "logistic-regression": LogisticRegression(max_iter=5000),
        "svc": SVC(gamma=0.001),
        "random-forest": RandomForestClassifier(n_estimators=trees, random_state=0),
    }
    flat = images.reshape(len(images), -1)
    return [Classifier(kind.fit(flat, labels), {"id": name}) for name, kind in kinds.items()]


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Accuracy against severity, a panel for each corruption and a line for each model."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SEVERITIES), figsize=(14, 3.6), sharey=True, layout="constrained")
    for panel, (corruption, (unit, severities)) in zip(panels, SEVERITIES.items(), strict=True):
        for model in sorted({row["model_id"] for row in rows}):
            line = [row for row in rows if (row["model_id"], row["corruption"]) == (model, corruption)]
            panel.plot([row["severity"] for row in line], [row["accuracy"] for row in line], marker="o", label=model)
        panel.set(title=corruption, xlabel=f"severity ({unit})", xticks=severities, ylim=(0, 1.02))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy")
    panels[0].legend(loc="lower left")
    figure.suptitle("Accuracy of digit classifiers under corruption")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def evaluate(console: Console, models: Sequence[Classifier], dataset: Digits) -> list[Job]:
    """Submit all evaluations, and watch them to their ends."""
    asked = [
        (model, corruption, severity)
        for model in models
        for corruption, (_, severities) in SEVERITIES.items()
        for severity in severities
    ]
    jobs = submit_capabilities(
        [
            {
                "capability": Robustness(),
                "models": [model],
                "datasets": [dataset],
                "metrics": [Accuracy()],
                "config": RobustnessConfig(corruption, severity),
                "job_name": f"{model.metadata['id']} {corruption} {severity:g}",
            }
            for model, corruption, severity in asked
        ]
    )
    cells: dict[tuple[str, str], list[tuple[str, Job]]] = {}
    for (model, corruption, severity), job in zip(asked, jobs, strict=True):
        cells.setdefault((model.metadata["id"], corruption), []).append((f"{severity:g}", job))
    watch(console, cells)
    console.print(reuse_told(jobs), soft_wrap=True)
    return jobs


def main() -> None:
    """Submit, follow, query, plot; twice more; and leave a report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stay", action="store_true", help="serve the page until Ctrl-C")
    stays = parser.parse_args().stay
    began = time.monotonic()
    console = Console(highlight=False)
    digits = load_digits()
    half = len(digits.images) // 2
    train = digits.images[:half], digits.target[:half]
    dataset = Digits(digits.images[half:], digits.target[half:], {"id": "sklearn-digits-second-half"})
    console.print(f"Fitting three classifiers on {half} of {len(digits.images)} handwritten digits ...")
    models = fitted_models(*train)
    console.print("Starting Ray on this machine ...")
    logging.disable(logging.WARNING)  # Ray greets at length; errors are still told
    backend = configure_job_backend(
        "ray",
        address="local",
        idempotency_scope="digits-demo",
        num_cpus=2,
        object_store_memory=100_000_000,
        analytics_store={"backend": "parquet", "uri": OUTPUT / "analytics_store"},
    )
    store = backend.analytics_store
    with serve(title="digits-demo") as page:
        console.print("See it in a browser, live, while this runs:")
        console.print(page.url, style="bold cyan", soft_wrap=True)

        console.print("\n[bold]First: 36 evaluations[/]")
        evaluate(console, models, dataset)
        rows = store.query_sql(QUESTION).to_pylist()
        console.print()
        console.print(accuracy_table(rows, "Accuracy, by SQL over the store"))
        picture = (OUTPUT / "accuracy.png").resolve()
        plot(rows, picture)

        console.print("\n[bold]Second: the same 36 again[/]")
        evaluate(console, models, dataset)

        console.print("\n[bold]Third: with a random forest of 20 trees in place of 200, under the same name[/]")
        evaluate(console, fitted_models(*train, trees=20), dataset)
        changed = [row for row in store.query_sql(QUESTION).to_pylist() if row["model_id"] == "random-forest"]
        console.print()
        console.print(
            accuracy_table(changed, "Its accuracy now; the results of before are revision 1 of the same runs")
        )

        report = write_report(OUTPUT / "report", title="digits-demo", queries=[BY_ROTATION.strip(), QUESTION.strip()])
        console.print()
        console.print(f"Results: {store.uri}", soft_wrap=True)
        console.print(f"Plot:    {picture}", soft_wrap=True)
        console.print(f"Report:  {report.resolve()}  (open it in a browser; it needs no server)", soft_wrap=True)
        console.print(f"Done in {time.monotonic() - began:.0f} s.")
        if stays:
            console.print("The page is served until Ctrl-C.")
            page.wait()
    shutdown_job_backend()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        shutdown_job_backend(wait=False)
