"""Every capability class of the CheckMAITE package, with what it runs on here, or why it cannot."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import checkmaite.core as core
from checkmaite.core import image_classification as ic
from checkmaite.core import multiobject_tracking as mot
from checkmaite.core import object_detection as od
from checkmaite.core.capability_core import Capability
from checkmaite.core.image_classification.dataeval_sufficiency_capability import (
    DataevalSufficiency,
    DataevalSufficiencyConfig,
)
from checkmaite.core.image_classification.metrics import (
    accuracy_multiclass_torch_metric_factory as accuracy,
)
from checkmaite.core.image_classification.metrics import (
    f1score_multiclass_torch_metric_factory as f1_score,
)
from checkmaite.core.multiobject_tracking.metrics import clear_mot_metrics_factory as clear_mot
from checkmaite.core.object_detection.metrics import (
    map50_torch_metric_factory as map50,
)
from checkmaite.core.object_detection.metrics import (
    multiclass_map50_torch_metric_factory as class_map50,
)

from tests.checkmaite.digits import Classified, Classifier, Detector, Located, Tracker, Videos


class Case(NamedTuple):
    """What a capability runs on; a config of None is the capability's own default, and not every run has rows."""

    capability: type[Any]
    datasets: Callable[[], list[Any]]
    models: Callable[[], list[Any]] = list
    metrics: Callable[[], list[Any]] = list
    config: Callable[[], Any] = lambda: None
    has_rows: bool = True

    def arguments(self) -> dict[str, Any]:
        given = {"datasets": self.datasets(), "models": self.models(), "metrics": self.metrics()}
        return {**given, "config": self.config()}


def _brighter(kind: Any) -> Any:
    """Two steps of one perturbation instead of the package's default, which takes minutes."""
    from nrtk.impls.perturb_image.photometric.enhance import BrightnessPerturber
    from nrtk.impls.perturb_image_factory import PerturberStepFactory

    factory = PerturberStepFactory(perturber=BrightnessPerturber, theta_key="factor", start=1.0, stop=3.0, step=1.0)
    return kind(perturber_factory=factory)


def _saliency_of_images() -> Any:
    from xaitk_saliency.impls.gen_image_classifier_blackbox_sal.rise import RISEStack

    return ic.XaitkExplainableConfig(saliency_generator=RISEStack(n=10, s=4, p1=0.5, seed=0))


def _saliency_of_objects() -> Any:
    from xaitk_saliency.impls.gen_object_detector_blackbox_sal.drise import DRISEStack

    return od.XaitkExplainableConfig(saliency_generator=DRISEStack(n=10, s=4, p1=0.5, seed=0))


def _two_steps() -> Any:
    """A network is trained twice, by one batch each time: in as many seconds as it takes minutes by default."""
    return DataevalSufficiencyConfig(num_iters=1, device="cpu", use_amp=False, sufficiency_schedule=[32, 64])


def _images() -> list[Any]:
    return [Classified(12)]


def _scenes() -> list[Any]:
    return [Located(8)]


CASES = {
    "ic cleaning": Case(ic.DataevalCleaning, _images),
    "ic bias": Case(ic.DataevalBias, _images),
    "ic feasibility": Case(ic.DataevalFeasibility, _images),
    "ic shift": Case(ic.DataevalShift, lambda: [Classified(12), Classified(12, name="others", seed=5)]),
    "ic evaluation": Case(ic.MaiteEvaluation, _images, lambda: [Classifier()], lambda: [accuracy(num_classes=10)]),
    "ic evaluation, two metrics": Case(
        ic.MaiteEvaluation,
        _images,
        lambda: [Classifier()],
        lambda: [accuracy(num_classes=10), f1_score(num_classes=10)],
    ),
    "ic robustness": Case(
        ic.NrtkRobustness,
        _images,
        lambda: [Classifier()],
        lambda: [accuracy(num_classes=10)],
        lambda: _brighter(ic.NrtkRobustnessConfig),
    ),
    "ic saliency": Case(
        ic.XaitkExplainable, lambda: [Classified(1)], lambda: [Classifier()], list, _saliency_of_images
    ),
    "ic sufficiency": Case(
        DataevalSufficiency,
        lambda: [Classified(500, side=32)],
        metrics=lambda: [accuracy(num_classes=10)],
        config=_two_steps,
        has_rows=False,
    ),
    "od cleaning": Case(od.DataevalCleaning, _scenes),
    "od bias": Case(od.DataevalBias, _scenes),
    "od feasibility": Case(od.DataevalFeasibility, _scenes),
    "od shift": Case(od.DataevalShift, lambda: [Located(8), Located(8, name="others", seed=5)]),
    "od evaluation": Case(od.MaiteEvaluation, _scenes, lambda: [Detector()], lambda: [map50()]),
    "od evaluation, two metrics": Case(
        od.MaiteEvaluation, _scenes, lambda: [Detector()], lambda: [map50(), class_map50()]
    ),
    "od robustness": Case(
        od.NrtkRobustness,
        _scenes,
        lambda: [Detector()],
        lambda: [map50()],
        lambda: _brighter(od.NrtkRobustnessConfig),
    ),
    "od saliency": Case(od.XaitkExplainable, lambda: [Located(1)], lambda: [Detector()], config=_saliency_of_objects),
    "mot evaluation": Case(mot.MaiteEvaluation, lambda: [Videos()], lambda: [Tracker()], lambda: [clear_mot()]),
}

CANNOT: dict[str, str] = {}
"""Capability classes that cannot run on a CPU with data that needs no download, each with the reason."""


def exported() -> set[type[Any]]:
    """The capability classes of the package that are made for one problem, found by importing all of its modules."""
    for module in pkgutil.walk_packages(core.__path__, "checkmaite.core."):
        importlib.import_module(module.name)
    found, waiting = set[type[Any]](), [Capability]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        found.update(each for each in below if not inspect.isabstract(each) and not each.__name__.endswith("Base"))
    return {each for each in found if each.__module__.startswith("checkmaite.core.")}


def name_of(kind: type[Any]) -> str:
    """A class by its full name."""
    return f"{kind.__module__}.{kind.__qualname__}"
