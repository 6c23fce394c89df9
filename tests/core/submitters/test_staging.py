"""A reference to a staged object stands for the object: in what jobs get, in identity, and in what is refused."""

from __future__ import annotations

import copy
import itertools
import json
import os
import pickle
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    ConfigurationError,
    FailureKind,
    Job,
    JobFailedError,
    JobSubmissionError,
    NotConfiguredError,
    Staged,
    StagedObjectError,
    configure_job_backend,
    shutdown_job_backend,
    stage,
    submit_capabilities,
    submit_capability,
    unstage,
    wait_all,
)
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._submitters.fingerprint import fingerprints_of
from checkmaite.jobs._submitters.run_key import run_key

numpy = pytest.importorskip("numpy")

SOON_S = 120.0


class Model:
    def __init__(self, weight: float, **more: Any) -> None:
        self.metadata = {"id": "net"}
        self.weights = numpy.full(1000, weight)
        self.__dict__.update(more)


@frozen
class Config:
    model: Any
    name: str = "a"


class Takes:
    """Calls what it was made with, in this process, with what the job got."""

    id = "takes"

    def __init__(self, take: Callable[..., Any], **more: Any) -> None:
        self.take = take
        self.__dict__.update(more)

    def __deepcopy__(self, memo: dict[int, Any]) -> Takes:
        held = {name: copy.deepcopy(value, memo) for name, value in vars(self).items() if name != "take"}
        return Takes(self.take, **held)

    def fingerprint(self) -> str:
        return "takes"

    def run_key(self, **given: Any) -> str:
        return "key"

    def run(
        self,
        *,
        models: Any = None,
        datasets: Any = None,
        metrics: Any = None,
        config: Any = None,
        use_cache: bool = False,
    ) -> Any:
        self.take(SimpleNamespace(models=models, datasets=datasets, metrics=metrics, config=config, capability=self))
        return SimpleNamespace(
            run_uid=os.urandom(4).hex(),
            capability_id=self.id,
            dataset_metadata=[],
            model_metadata=[],
            metric_metadata=[],
            extract=list,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where objects are staged."""
    return tmp_path / "artifacts" / "_staged"


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.setenv("CHECKMAITE_STAGED_CACHE", str(tmp_path / "cache"))
    given = {"analytics_store": {"backend": "null"}, "artifact_store": {"uri": str(tmp_path / "artifacts")}}
    yield lambda **changes: configure_job_backend("inline", **{**given, **changes})
    shutdown_job_backend(wait=False)


@pytest.fixture
def backend(configure: Callable[..., Any]) -> Any:
    return configure()


def got(**arguments: Any) -> Any:
    """What a job gets that is submitted with these arguments."""
    seen: list[Any] = []
    submit_capability(Takes(seen.append), **arguments).result(SOON_S)
    return seen[0]


def failed(job: Job) -> JobFailedError:
    error = job.exception(SOON_S)
    assert isinstance(error, JobFailedError)
    return error


@pytest.mark.usefixtures("backend")
def test_a_job_gets_the_object_itself_wherever_its_reference_stands() -> None:
    model = Model(0.5)
    reference = stage(model)
    given = got(
        models=[reference],
        datasets={"test": Config(reference)},
        metrics=(reference,),
        config={"deep": [{"model": reference}]},
    )
    (first,), (metric,) = given.models, given.metrics
    assert type(first) is Model
    assert first is not model
    assert (first.weights == model.weights).all()
    assert first.weights.flags.writeable
    assert first is metric is given.datasets["test"].model is given.config["deep"][0]["model"]  # as the object would be


@pytest.mark.usefixtures("backend")
def test_a_capability_may_hold_a_reference_too() -> None:
    seen: list[Any] = []
    submit_capability(Takes(seen.append, model=stage(Model(0.5)))).result(SOON_S)
    assert type(seen[0].capability.model) is Model


@pytest.mark.usefixtures("backend")
def test_what_a_job_does_to_its_object_no_other_job_sees() -> None:
    model = Model(0.5)
    reference = stage(model)

    def change(given: Any) -> None:
        (mine,) = given.models
        assert (mine.weights == 0.5).all()
        mine.weights += 1
        mine.metadata["id"] = "changed"

    jobs = submit_capabilities([{"capability": Takes(change), "models": [reference]} for _ in range(3)])
    assert [job.exception(SOON_S) for job in jobs] == [None] * 3
    assert (model.weights == 0.5).all()


@pytest.mark.usefixtures("backend")
def test_what_is_staged_is_the_object_as_it_was() -> None:
    model = Model(0.5)
    reference = stage(model)
    model.weights += 1
    assert (got(models=[reference]).models[0].weights == 0.5).all()


@pytest.mark.usefixtures("backend")
def test_two_references_are_two_objects_even_with_the_same_content() -> None:
    one, other = got(models=[stage(Model(0.5)), stage(Model(0.5))]).models
    assert one is not other


@pytest.mark.usefixtures("backend")
def test_an_object_may_hold_what_was_staged_before() -> None:
    outer = got(models=[stage(Model(0.5, teacher=stage(Model(0.25))))]).models[0]
    assert (outer.teacher.weights == 0.25).all()


def _cyclic() -> Model:
    model = Model(0.5)
    model.layers = [SimpleNamespace(parent=model, shared=model.weights) for _ in range(3)]
    return model


OBJECTS: dict[str, Callable[[], Any]] = {
    "arrays": lambda: Model(0.5),
    "cycle": _cyclic,
    "opaque part": lambda: Model(0.5, thing=object()),
    "file": lambda: Model(0.5, path=__file__),
    "array": lambda: numpy.arange(100.0),
    "mapping of arrays": lambda: {"a": numpy.ones(3), "b": [numpy.zeros(2)]},
    "told": lambda: SimpleNamespace(metadata={"id": "x", "digest": "abc"}),
    "nothing in it": lambda: SimpleNamespace(),
    "large empty": lambda: numpy.zeros((0, 3)),
}
PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "model": lambda held: {"models": [held]},
    "only model": lambda held: {"models": held},
    "dataset": lambda held: {"datasets": {"test": held}},
    "part of a model": lambda held: {"models": [Model(1.0, inner={"a": [held, held]})]},
    "in a cycle": lambda held: {"models": [_around(held)]},
    "config": lambda held: {"config": held},
    "field of a config": lambda held: {"config": Config(held)},
    "item of a config": lambda held: {"config": {"threshold": 0.5, "model": held}},
    "list in a config": lambda held: {"config": [held, 1]},
}


def _around(held: Any) -> Any:
    outer = SimpleNamespace(metadata={"id": "outer"}, held=held)
    inner = SimpleNamespace(outer=outer)
    outer.back = [outer, inner, held, inner]  # the second time it is told by the objects that were met between
    return outer


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("kind", "place"),
    [each for each in itertools.product(OBJECTS, PLACES) if each != ("mapping of arrays", "only model")],
)
def test_it_counts_in_fingerprints_as_the_object_does(kind: str, place: str) -> None:
    held, where = OBJECTS[kind](), PLACES[place]
    reference = pickle.loads(pickle.dumps(stage(held)))  # as another process has it
    assert isinstance(reference, Staged)
    capability = Takes(print)
    assert fingerprints_of(capability, **where(reference)) == fingerprints_of(capability, **where(held))


@pytest.mark.usefixtures("backend")
def test_it_counts_in_the_capability_as_the_object_does() -> None:
    model = Model(0.5)
    one, other = (fingerprints_of(SimpleNamespace(model=each)) for each in (model, stage(model)))
    assert one == other


@pytest.mark.usefixtures("backend")
def test_it_counts_in_the_run_key_as_the_object_does() -> None:
    model, capability = Model(0.5), SimpleNamespace(id="c")
    one, other = (run_key(capability, models=[each], config=Config(each)).value for each in (model, stage(model)))
    assert one == other


@pytest.mark.usefixtures("backend")
def test_a_changed_object_is_another_one() -> None:
    one, other = stage(Model(0.5)), stage(Model(0.25))
    assert one != other
    assert fingerprints_of(object(), models=[one]) != fingerprints_of(object(), models=[other])


@pytest.mark.usefixtures("backend")
def test_equal_content_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = stage(Model(0.5))
    monkeypatch.setattr(ObjectStore, "create", None)
    assert stage(Model(0.5)) == first
    assert stage(first) is first


def test_a_reference_shows_what_it_is(backend: Any, folder: Path) -> None:
    reference = stage(Model(0.5))
    kind = f"{__name__}.Model"
    shown = f"<Staged {kind}, {reference.size / 1000:.1f} kB, sha256 {reference.digest[:16]}, in {folder.parent}>"
    assert repr(reference) == shown
    assert len(pickle.dumps(reference)) < 4000
    with pytest.raises(AttributeError, match=r"is a reference, and has no 'predict': only a job .* has the object"):
        _ = reference.predict


@pytest.mark.usefixtures("backend")
def test_outside_a_job_it_stays_a_reference() -> None:
    reference = stage(Model(0.5))
    for other in (pickle.loads(pickle.dumps(reference)), copy.deepcopy(reference), copy.copy(reference)):
        assert isinstance(other, Staged)
        assert (other, other.metadata) == (reference, {"id": "net"})
        assert type(got(models=[other]).models[0]) is Model


def test_it_goes_in_parts(backend: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkmaite.jobs._shared.staged_objects.PART_BYTES", 700)
    reference = stage(Model(0.5, name="a" * 1000, others=[numpy.arange(7.0), numpy.zeros(0)]))
    (published,) = folder.iterdir()
    parts = sorted(published.glob("*.part"))
    assert len(parts) == -(-reference.size // 700) > 10
    (model,) = got(models=[reference]).models
    assert (len(model.name), model.others[0].tolist()) == (1000, [0, 1, 2, 3, 4, 5, 6])
    written = {each: each.read_bytes() for each in parts}
    for each in parts[3:7]:  # what a rule of a bucket, or an interrupted call, has left out
        each.unlink()
    assert stage(got(models=[reference]).models[0]) == reference
    assert {each: each.read_bytes() for each in published.glob("*.part")} == written


# -- what goes wrong ------------------------------------------------------------------------------------------------


def test_nothing_is_staged_without_a_backend() -> None:
    with pytest.raises(NotConfiguredError):
        stage(Model(0.5))


def test_nothing_is_staged_where_nobody_could_read_it(configure: Callable[..., Any]) -> None:
    configure(artifact_store=None)
    with pytest.raises(ConfigurationError, match=r"artifact_store: is not configured.*Pass artifact_store={"):
        stage(Model(0.5))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: Model(0.5, lock=threading.Lock()), "Model"),
        (lambda: lambda: None, "function"),
        (lambda: type("Local", (), {})(), "Local"),
    ],
    ids=["lock", "lambda", "local class"],
)
def test_what_does_not_pickle_is_refused(make: Callable[[], Any], kind: str, folder: Path) -> None:
    with pytest.raises(JobSubmissionError, match=f"Nothing was staged.*\n.*obj: a {kind} cannot be sent") as caught:
        stage(make())
    assert caught.value.phase == "serialize"
    assert not folder.exists()


@pytest.mark.usefixtures("backend")
def test_an_object_that_changes_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(0.5)

    def changed_on_the_way(*_: Any) -> list[str]:
        model.weights += 1
        return []

    monkeypatch.setattr(ObjectStore, "names", changed_on_the_way)
    with pytest.raises(StagedObjectError, match="was changed while it was staged"):
        stage(model)


@pytest.mark.usefixtures("backend")
def test_a_job_whose_object_was_removed_says_so() -> None:
    reference = stage(Model(0.5))
    assert unstage(reference)
    assert not unstage(reference)
    error = failed(submit_capability(Takes(print), models=[reference]))
    assert (error.kind, error.phase) == (FailureKind.STAGED_OBJECT, "load")
    assert "is not there any more" in error.error_message
    assert "Stage the object again" in error.error_message
    assert reference.digest[:16] in error.error_message


@pytest.mark.parametrize("what", ["part", "manifest", "manifest of another"])
def test_changed_bytes_are_never_unpickled(backend: Any, folder: Path, what: str) -> None:
    reference, other = stage(Model(0.5)), stage(Model(0.25))
    published = folder / reference.name
    if what == "part":
        (part,) = published.glob("*.part")
        part.write_bytes(part.read_bytes()[:-1] + b"\0")
    elif what == "manifest":
        said = json.loads((published / "manifest.json").read_text())
        (published / "manifest.json").write_text(json.dumps({**said, "parts": ["0" * 64]}))
    else:
        for each in published.iterdir():
            each.write_bytes((folder / other.name / each.name).read_bytes())
    error = failed(submit_capability(Takes(print), models=[reference]))
    assert error.kind is FailureKind.STAGED_OBJECT
    assert "is not what was staged" in error.error_message
    assert "nothing of it was unpickled" in error.error_message


def test_a_store_that_the_worker_cannot_reach_is_told(backend: Any, folder: Path) -> None:
    reference = stage(Model(0.5))
    manifest = folder / reference.name / "manifest.json"
    manifest.unlink()
    manifest.mkdir()  # nobody can read a folder, not even root
    error = failed(submit_capability(Takes(print), models=[reference]))
    assert error.kind is FailureKind.STAGED_OBJECT
    assert "could not be brought to this node" in error.error_message


def test_what_was_staged_elsewhere_is_refused_before_anything_is_submitted(
    configure: Callable[..., Any], tmp_path: Path
) -> None:
    configure()
    reference = stage(Model(0.5))
    configure(artifact_store={"uri": str(tmp_path / "elsewhere")})
    with pytest.raises(
        JobSubmissionError, match=r"workers of this backend read in .*elsewhere.*Stage the object again"
    ):
        submit_capability(Takes(print), models=[reference])
    with pytest.raises(JobSubmissionError, match=r"submissions\[1\].submission: holds <Staged"):
        submit_capabilities([{"capability": Takes(print), "models": each} for each in ([], [reference])])
    with pytest.raises(StagedObjectError, match=r"is not in .*elsewhere"):
        unstage(reference)


@pytest.mark.usefixtures("backend")
def test_models_are_staged_one_by_one() -> None:
    with pytest.raises(JobSubmissionError, match=r"\[stage\(each\) for each in models\]"):
        submit_capability(KeyedById(print), models=stage([Model(0.5)]))


class KeyedById(Takes):
    run_key = None  # type: ignore[assignment]


def test_nothing_is_removed_that_a_job_of_this_process_waits_for(configure: Callable[..., Any], folder: Path) -> None:
    configure(max_workers=1)
    reference, go = stage(Model(0.5)), threading.Event()
    jobs = [
        submit_capability(Takes(lambda _: go.wait(SOON_S))),
        submit_capability(Takes(print), models=[{"nested": reference}]),
    ]
    with pytest.raises(StagedObjectError, match=f"was not deleted: {jobs[1].job_id} are not final"):
        unstage(reference)
    go.set()
    assert [str(each) for each in wait_all(jobs, SOON_S)] == ["COMPLETED"] * 2
    assert unstage(reference)
    assert list(folder.glob("*/*")) == []


def test_private_files_hold_for_staged_objects_too(configure: Callable[..., Any], folder: Path) -> None:
    configure(artifact_store={"uri": str(folder.parent), "private_files": True})
    stage(Model(0.5))
    modes = {stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}
    assert modes == {0o600, 0o700}
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
