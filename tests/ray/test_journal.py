"""Nothing accepted is lost: registries, clusters and scripts are killed, and the same scope shows the same jobs."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError, StoreNotFoundError, read_job_history, read_job_logs

from tests.ray.clusters import CONTROLLER, REGISTRY, Client, Cluster, another_core, listens, wait_until
from tests.ray.conftest import PATIENCE, end_actors
from tests.ray_simple.conftest import SLIM, free_port

CREDENTIALS = {"key": "test-access-key", "secret": "test-secret-key"}
LEASE = {"heartbeat_interval_s": 0.5}
"""Controllers keep the default lease: on a busy machine one may be silent for seconds, and would lose its jobs."""

CAPABILITIES = """
import uuid
from attrs import frozen
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore

@frozen
class Reports(SampleRun):
    def collect_md_report(self, threshold):
        return f"# a report of {self.run_uid}"

def stop_after_the_write(folder):
    # The run is stored by then, and nobody but its worker knows.
    write = ParquetStore.write_with_receipt

    def stop(store, run, **more):
        receipt = write(store, run, **more)
        Path(folder, f"stored-{run.run_uid}").touch()
        while True:
            time.sleep(0.01)
        return receipt

    ParquetStore.write_with_receipt = stop

class Acts:
    id = "acts"

    def __init__(self, act="return", ballast=0):
        self.act, self.folder, self.ballast = act, os.environ["FOLDER"], os.urandom(ballast)

    def run(self, *, config, **_):
        uid = config["run_uid"]
        Path(self.folder, f"start-{uid}-{uuid.uuid4().hex}").touch()
        print(f"{uid} prints")
        if self.act == "die":
            os.write(2, b"last words\\n")
            os.kill(os.getpid(), 9)
        if self.act == "fail":
            raise ValueError(f"{uid} was told to fail")
        if self.act == "wait":
            while not Path(self.folder, "go").exists():
                time.sleep(0.01)
        time.sleep(0.02)
        if self.act == "stop-after-write":
            stop_after_the_write(self.folder)
        return Reports(run_uid=uid, capability_id=self.id)

def submission(uid, act="return", ballast=0, **more):
    return {"capability": Acts(act, ballast), "config": {"run_uid": uid}, "job_name": uid, **more}

def seen(job):
    facts = {"id": job.job_id, "name": job.job_name, "created": job.created_at.isoformat(), "status": str(job.status)}
    error = job.exception(0) if facts["status"] == "FAILED" else None
    facts["error"] = error and [type(error).__name__, error.error_message]
    facts["uid"] = job.result(0).run_uid if facts["status"] == "COMPLETED" else None
    facts["report"] = str(job.result(0).report) if facts["status"] == "COMPLETED" else None
    return facts

"""
LIST = "say(json.dumps([seen(job) for job in list_jobs(10_000)]))\n"
FINISH = """
jobs = list_jobs(10_000)
wait_all(jobs, 120)
say(json.dumps([seen(job) for job in jobs]))
say(get_job_backend().analytics_store.query_sql("select count(*) from sample_scores")[0][0])
"""


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Any]:
    """A scope of the test's own, with the default journal: in the analytics store."""
    (tmp_path / "marks").mkdir()
    return {
        "idempotency_scope": "the-scope",
        "registry_namespace": f"namespace-{uuid.uuid4().hex}",
        "analytics_store": {"backend": "parquet", "uri": str(tmp_path / "store")},
    }


@pytest.fixture
def new_cluster(cluster: Cluster) -> Cluster:
    """Another cluster than the test's own one. It is new to the scope."""
    return cluster


@pytest.fixture
def run(tmp_path: Path, place: dict[str, Any], attached: Any, cluster: Cluster) -> Iterator[Callable[..., Client]]:
    """Runs a script as a client of its own: `run(text, address, **changes_of_options)`.

    The registries that clients start on the cluster of all tests end with the test.
    """
    started: list[Client] = []
    namespaces: set[str] = set()

    def start(text: str, address: str, env: dict[str, str] | None = None, **changes: Any) -> Client:
        options = {**place, **LEASE, **PATIENCE, "address": address, **changes}
        here = {"FOLDER": str(tmp_path / "marks"), **(env or {})}
        if address == cluster.driver:
            namespaces.add(options["registry_namespace"])
        slim = SLIM if address == "local" else ""
        started.append(Client(slim + CAPABILITIES + text, tmp_path / f"client-{len(started)}", options, **here))
        return started[-1]

    yield start
    for each in started:
        each.kill()
    for namespace in namespaces:
        end_actors(attached, namespace)


def starts(folder: Path, uid: str) -> int:
    return len(list((folder / "marks").glob(f"start-{uid}-*")))


def journal_of(folder: Path) -> Path:
    (found,) = (folder / "store" / "_jobs").glob("namespace-*/*")
    return found


# -- a script on one machine ------------------------------------------------------------------------------------------


def test_a_local_script_is_killed_half_way_and_run_again(run: Callable[..., Client], tmp_path: Path) -> None:
    configure = "configure(num_cpus=2, object_store_memory=100_000_000)\n"
    submit = 'jobs = submit_capabilities([submission(f"run-{n}", "wait" if n > 9 else "return") for n in range(20)])\n'
    first = run(
        configure + submit + "wait_all(jobs[:10], 120)\nsay(json.dumps([seen(job) for job in jobs]))\ntime.sleep(600)",
        "local",
    )
    before = {each["id"]: each for each in json.loads(first.line())}
    wait_until(lambda: starts(tmp_path, "run-10"), "no job was running")
    other = run(f"try:\n    {configure}except ConfigurationError as error:\n    say(error)", "local")
    refused = "\n".join(other.rest())
    assert "journal_uri" in refused, "there is one registry on a machine while the first lives"
    assert "idempotency_scope" in refused
    os.kill(first.pid, signal.SIGKILL)
    second = run(
        configure + LIST + submit + "say(len(jobs))\nPath(os.environ['FOLDER'], 'go').touch()" + FINISH, "local"
    )
    listed = {each["id"]: each for each in json.loads(second.line())}
    assert listed.keys() == before.keys()
    done = {job_id: each for job_id, each in before.items() if each["status"] == "COMPLETED"}
    assert len(done) == 10
    assert {job_id: listed[job_id] for job_id in done} == done
    assert second.line() == "20"
    ended = {each["id"]: each for each in json.loads(second.line())}
    assert ended.keys() == before.keys(), "the same runs are the same jobs"
    assert Counter(each["status"] for each in ended.values()) == {"COMPLETED": 20}
    assert second.rest()[-1] == "20", "a run is in the store once"
    assert [starts(tmp_path, f"run-{n}") for n in range(10)] == [1] * 10, "finished jobs were run again"


def test_history_and_the_output_of_failed_jobs_outlive_their_cluster_as_long_as_they_are_listed(
    new_cluster: Cluster, run: Callable[..., Client], place: dict[str, Any], tmp_path: Path
) -> None:
    logs = "say(json.dumps({job.job_name: job.logs() for job in list_jobs()}))\n"
    submit = "submit_capabilities([submission(act, act, max_retries=0) for act in ('fail', 'die', 'return')])"
    with Cluster(num_cpus=2) as cluster:
        ends = f"configure()\njobs = {submit}\nsay(*wait_all(jobs, 120))\nsay(*[job.job_id for job in jobs[:2]])\n"
        first = run(ends, cluster.driver)
        assert first.line() == "FAILED FAILED COMPLETED"
        failed = first.line().split()

        def are_kept() -> bool:  # of a worker that has died, it is looked for: on a busy machine an end is told before
            return {each.name.partition(".")[0] for each in (journal_of(tmp_path) / "log").glob("*")} >= {*failed}

        wait_until(are_kept, "the output of failed jobs is not kept")
        cluster.head.kill()
    rows = {row["job_name"]: row for row in read_job_history("ray", **place).to_pylist()}
    assert_told_whole(rows, tmp_path)
    with pytest.raises(ConfigurationError, match="in memory"):
        read_job_history("ray", **place, journal_uri=None)
    with pytest.raises(ConfigurationError, match="no journal"):
        read_job_history("inline", analytics_store=place["analytics_store"])
    jobs = {name: row["job_id"] for name, row in rows.items()}
    kept = {"fail": "fail prints\n", "die": "die prints\nlast words\n"}
    assert {name: read_job_logs(jobs[name], **place) for name in kept} == kept
    with pytest.raises(StoreNotFoundError, match=jobs["return"]):
        read_job_logs(jobs["return"], **place)
    with pytest.raises(ConfigurationError, match="no journal"):
        read_job_logs(jobs["fail"], "inline", analytics_store=place["analytics_store"])
    again = (
        "jobs = submit_capabilities([submission(f'again-{n}') for n in range(3)])\nwait_all(jobs, 120)\n"
        "say(json.dumps({job.job_name: job.logs() for job in jobs}))\n"  # the others are being forgotten
    )
    second = run(
        f"configure(max_retained_terminal_jobs_per_scope=3, keep_logs='all')\n{logs}{again}time.sleep(600)",
        new_cluster.driver,
    )
    said = json.loads(second.line())
    assert {name: said[name] for name in kept} == kept
    assert "no longer kept" in said["return"]
    said = json.loads(second.line())
    assert [said[f"again-{n}"] for n in range(3)] == [f"again-{n} prints\n" for n in range(3)]

    def names() -> set[str]:
        return {each.name.partition(".")[0] for each in (journal_of(tmp_path) / "log").iterdir()}

    wait_until(lambda: len(names()) == 3 and names().isdisjoint(jobs.values()), "forgotten jobs' output stays")


def assert_told_whole(rows: dict[str, dict[str, Any]], folder: Path) -> None:
    """What history has of a job that completed and of one that failed."""
    good, bad = rows["return"], rows["fail"]
    assert (good["status"], good["run_uid"], good["error_type"], good["attempts"]) == ("COMPLETED", "return", None, 1)
    assert good["store_uri"] == f"{folder}/store/sample_scores/return.parquet"
    assert (good["commit_uri"], good["revision"]) == (f"{folder}/store/runs/return.parquet", 1)
    assert (bad["status"], bad["run_uid"], bad["error_type"]) == ("FAILED", None, "ValueError")
    for row in (good, bad):
        assert row["submitted_at"] <= row["started_at"] <= row["finished_at"]
        assert row["node"]
        assert row["submitted_by"] == f"{getpass.getuser()}@{socket.gethostname()}"
        assert row["capability_id"] == "acts"


# -- a whole cluster --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recovery", ["resubmit", "fail"])
def test_a_whole_cluster_is_killed_in_the_middle(
    new_cluster: Cluster, run: Callable[..., Client], tmp_path: Path, recovery: str
) -> None:
    def act(n: int) -> str:
        return {0: "stop-after-write", 1: "wait"}.get(n, "fail" if n % 40 == 3 else "return")

    acts = {f"run-{n}": act(n) for n in range(140)}
    submit = f"""
configure()
acts = {acts}
jobs = submit_capabilities([submission(uid, act, ballast=50_000 * (uid == "run-1")) for uid, act in acts.items()])
say("accepted")
sys.stdin.readline()
say(json.dumps([jobs[0].explain(), repr(jobs[0].info)]))
time.sleep(600)
"""
    watch = "configure()\nfinal = as_completed(list_jobs(1000), 120)\n[next(final) for _ in range(60)]\n"
    with Cluster(num_cpus=4) as cluster:
        first = run(submit, cluster.driver, recovery=recovery)
        assert first.line() == "accepted"
        watcher = run(watch + LIST, cluster.driver)
        told = {each["id"]: each for each in json.loads(watcher.line())}
        try:
            wait_until((tmp_path / "marks" / "stored-run-0").exists, "the run was not stored")
        except AssertionError as error:
            first.say()
            error.add_note(f"{starts(tmp_path, 'run-0')} starts; {first.line()}")
            raise
        wait_until(lambda: starts(tmp_path, "run-1"), "the job did not run")
        cluster.head.kill()
        first.kill()
    (tmp_path / "marks" / "go").touch()
    again = run("configure()\n" + LIST + FINISH, new_cluster.driver)
    listed = {each["id"]: each for each in json.loads(again.line())}
    ended = {each["id"]: each for each in json.loads(again.line())}
    rows = int(again.rest()[-1])
    assert listed.keys() == told.keys() == ended.keys()
    assert len(ended) == 140
    finals = {job_id: each for job_id, each in told.items() if each["status"] in ("COMPLETED", "FAILED")}
    assert {job_id: listed[job_id] for job_id in finals} == finals, "what was told as final has changed"
    for job_id, each in ended.items():
        assert (each["name"], each["created"]) == (told[job_id]["name"], told[job_id]["created"])
        if acts[each["name"]] == "fail":
            assert each["error"] in (
                ["JobFailedError", f"{each['name']} was told to fail"],
                *([each["error"]] if recovery == "fail" and each["error"][0] == "JobLostError" else []),
            )
        elif recovery == "resubmit":
            assert each["status"] == "COMPLETED"
        else:
            assert each["status"] == "COMPLETED" or each["error"][0] == "JobLostError"
    by_name = {each["name"]: each for each in ended.values()}
    assert (by_name["run-0"]["status"], starts(tmp_path, "run-0")) == ("COMPLETED", 1), "it was stored before"
    assert by_name["run-0"]["report"] == "# a report of run-0", "its report was stored with it"
    assert by_name["run-1"]["status"] == ("COMPLETED" if recovery == "resubmit" else "FAILED")
    assert rows == sum(each["status"] == "COMPLETED" for each in ended.values())
    finished = [each["name"] for each in finals.values()]
    assert {starts(tmp_path, uid) for uid in finished} == {1}, "finished jobs were run again"
    payloads = journal_of(tmp_path) / "payload"
    kept = {by_name["run-1"]["id"]} if recovery == "fail" else set()  # it may be run again
    wait_until(
        lambda: {each.name.rpartition("-")[0] for each in payloads.iterdir()} == kept,
        "a payload that nobody needs is left, or one that is kept is not",
    )


def test_secrets_are_not_written_and_come_from_the_next_client(
    new_cluster: Cluster, run: Callable[..., Client], tmp_path: Path
) -> None:
    secret = {"runtime_env": {"env_vars": {"TOKEN": "hunter2-in-env"}}}
    store = {"backend": "parquet", "uri": str(tmp_path / "store"), "storage_options": {"auto_mkdir": "hunter2-option"}}
    with Cluster(num_cpus=1) as cluster:
        first = run(
            "configure()\njob = submit_capability(**submission('kept', 'wait'))\nsay(job.job_id)\ntime.sleep(600)",
            cluster.driver,
            analytics_store=store,
            **secret,
        )
        job_id = first.line()
        wait_until(lambda: starts(tmp_path, "kept"), "the job did not run")
        cluster.head.kill()
        first.kill()
    (tmp_path / "marks" / "go").touch()
    journal = journal_of(tmp_path)
    objects = [path.read_bytes() for path in journal.rglob("*") if path.is_file()]
    assert len(objects) > 2
    for content in objects:
        _, _, body = content.partition(b"\n")
        assert b"hunter2" not in content + zlib.decompress(body)
    poor = run(
        f"configure()\njob = get_job({job_id!r})\n"
        "while 'env_vars.TOKEN' not in job.explain():\n    time.sleep(0.05)\n"
        "say(job.status.is_final, 'storage_options' in job.explain())",
        new_cluster.driver,
    )
    assert poor.rest() == ["False True"]
    rich = run(f"configure()\nsay(get_job({job_id!r}).wait(120))", new_cluster.driver, analytics_store=store, **secret)
    assert rich.rest() == ["COMPLETED"]


def test_a_store_that_can_never_be_asked_leaves_no_job_in_doubt(run: Callable[..., Client], tmp_path: Path) -> None:
    with Cluster(num_cpus=1) as cluster:
        first = run(
            "configure()\njob = submit_capability(**submission('kept', 'wait'))\nsay(job.job_id)\ntime.sleep(600)",
            cluster.driver,
        )
        job_id = first.line()
        wait_until(lambda: starts(tmp_path, "kept"), "the job did not run")
        cluster.head.kill()
        first.kill()
    with Cluster(num_cpus=0) as cluster:
        cluster.add_node(1, {}, **another_core("99.0.0", tmp_path / "site"))
        control = {"registry_resources": {"head": 1}, "controller_resources": {"head": 1}}
        again = run(f"configure()\nsay(get_job({job_id!r}).exception(120).error_type)", cluster.driver, **control)
        assert again.rest() == ["checkmaite.jobs.IncompatibleVersionError"]
    assert starts(tmp_path, "kept") == 1


# -- the registry alone -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["local", "s3"])
def a_place(request: pytest.FixtureRequest, place: dict[str, Any]) -> dict[str, Any]:
    """The place, on a disk and in a bucket."""
    if request.param == "local":
        return place
    bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
    store = {"backend": "parquet", "uri": f"s3://{bucket}/store", "storage_options": options}
    return {**place, "analytics_store": store}


def test_the_registry_is_killed_in_a_burst_of_submissions(
    run: Callable[..., Client], tmp_path: Path, cluster: Cluster, a_place: dict[str, Any]
) -> None:
    # Against the S3 server, which is this process, a submission takes several times as long.
    before_kill, count = (20, 50) if "://" not in a_place["analytics_store"]["uri"] else (12, 30)
    space = {**a_place, "registry_namespace": f"burst-{tmp_path.name}"}
    before = cluster.pids(REGISTRY)
    warm = run(
        "configure()\njob = submit_capability(**submission('long', 'wait'))\nsay(job.job_id)", cluster.driver, **space
    )
    long_job = warm.line()
    wait_until(lambda: starts(tmp_path, "long"), "the job did not run")
    (registry,) = cluster.pids(REGISTRY) - before
    burst = run(
        f"""
configure()
say("begins")
for n in range({count}):
    while True:
        try:
            say(submit_capability(**submission(f"run-{{n}}")).job_id)
            break
        except JobsError as error:
            assert error.retryable, error
""",
        cluster.driver,
        **space,
    )
    assert burst.line() == "begins"
    told = [burst.line() for _ in range(before_kill)]
    os.kill(registry, signal.SIGKILL)
    told += [burst.line() for _ in range(count - before_kill)]
    burst.rest()
    (tmp_path / "marks" / "go").touch()
    ended = run("configure()\n" + FINISH, cluster.driver, **space)
    jobs = {each["id"]: each for each in json.loads(ended.line())}
    assert set(told) | {long_job} == set(jobs), "a job that was returned is gone, or one is there that nobody has"
    assert len(set(told)) == count
    assert {each["status"] for each in jobs.values()} == {"COMPLETED"}
    assert ended.rest()[-1] == f"{count + 1}"
    assert starts(tmp_path, "long") == 1, "a job that was running was started again"


def test_the_registry_is_killed_just_after_it_accepted_large_payloads(
    run: Callable[..., Client], tmp_path: Path, cluster: Cluster, place: dict[str, Any]
) -> None:
    """Its copies in Ray's object store die with it, wherever they were on their way to; the journal has others."""
    space = {"registry_namespace": f"large-{tmp_path.name}", "lease_ttl_s": 120.0}  # longer than they are stopped

    def are_given() -> bool:
        return all(read_job_history("ray", **{**place, **space}).column("attempts").to_pylist())

    before = cluster.pids(REGISTRY) | cluster.pids(CONTROLLER)
    client = run(
        """
configure()
submit_capability(**submission("warm", ballast=60_000)).result(120)
say("warm")
sys.stdin.readline()
jobs = submit_capabilities([submission(f"run-{n}", ballast=60_000) for n in range(60)])
say("accepted")
wait_all(jobs, 120)
say(json.dumps([seen(job) for job in jobs]))
""",
        cluster.driver,
        **space,
    )
    assert client.line() == "warm"
    (registry,) = cluster.pids(REGISTRY) - before
    controllers = cluster.pids(CONTROLLER) - before
    assert controllers
    for pid in controllers:
        os.kill(pid, signal.SIGSTOP)
    try:
        client.say()
        assert client.line() == "accepted"
        wait_until(are_given, "the jobs are not on their way to the controllers, which cannot look at them")
        os.kill(registry, signal.SIGKILL)
    finally:
        for pid in controllers:
            os.kill(pid, signal.SIGCONT)
    ended = json.loads(client.line())
    client.rest()
    assert [each["error"] for each in ended if each["error"]] == []
    assert Counter(each["status"] for each in ended) == {"COMPLETED": 60}


def test_what_a_registry_knows_outlives_a_store_folder_that_was_deleted(
    run: Callable[..., Client], tmp_path: Path, cluster: Cluster, place: dict[str, Any]
) -> None:
    before = cluster.pids(REGISTRY)
    client = run(
        "configure()\nsay(submit_capability(**submission('early')).wait(120))\nsys.stdin.readline()\n"
        "say(submit_capability(**submission('late')).wait(120))\n",
        cluster.driver,
    )
    assert client.line() == "COMPLETED"
    (registry,) = cluster.pids(REGISTRY) - before
    journal = journal_of(tmp_path)
    (tmp_path / "store").rename(tmp_path / "deleted")
    wait_until(lambda: list(journal.glob("snap/0*")), "the registry has not noticed that its journal was deleted")
    client.say()
    assert client.rest() == ["COMPLETED"]
    assert read_job_history("ray", **place)["job_name"].to_pylist() == ["early", "late"]
    os.kill(registry, signal.SIGKILL)
    again = run("configure()\nsay(*sorted(job.job_name for job in list_jobs()))", cluster.driver)
    assert again.rest() == ["early late"]
    for snapshot in (journal / "snap").iterdir():
        snapshot.unlink()
    with pytest.warns(UserWarning, match="what is left of the journal, 1 jobs"):
        assert read_job_history("ray", **place)["job_name"].to_pylist() == ["late"]


def test_a_journal_that_is_away_for_a_while_costs_no_handle(
    run: Callable[..., Client], tmp_path: Path, cluster: Cluster, place: dict[str, Any]
) -> None:
    patience_s = 4.0
    with s3_process() as (endpoint, server):
        options = {**CREDENTIALS, "endpoint_url": endpoint}
        store = {"backend": "parquet", "uri": "s3://away/store", "storage_options": options}
        space = {**place, "analytics_store": store, "registry_namespace": f"away-{tmp_path.name}"}
        waits = run(
            "import checkmaite.jobs_ray.client.subscription as feed\nfeed._LEAST_PATIENCE_S = 0.0\n"
            "def made(call):  # on a busy machine an answer may take longer than the patience\n"
            "    while True:\n        try:\n            return call()\n"
            "        except BackendUnavailableError:\n            time.sleep(0.1)\n"
            "made(configure)\njob = made(lambda: submit_capability(**submission('waits', 'wait')))\n"
            "while str(job.status) != 'RUNNING':\n    time.sleep(0.01)\n"
            "say(job.status)\nsys.stdin.readline()\nsay(job.status)\n"
            "again = submission('again', force=True)\n"
            "try:\n    submit_capability(**again)\nexcept UnconfirmedError as error:\n"
            "    ids = error.job_ids\n    say(type(error).__name__, len(ids))\n"
            "while not (said := job.explain()).startswith('The journal in '):\n    pass\nsay(said)\n"
            "while True:\n    try:\n        second = submit_capability(**again)\n        break\n"
            "    except UnconfirmedError as error:\n        assert error.job_ids == ids\n"
            "say('the same job' if second.job_id == ids[0] else f'{second.job_id} is not {ids}')\n"
            "say(job.wait(120))\nsay(second.wait(120))\n",
            cluster.driver,
            **{**space, "registry_update_timeout_s": patience_s},
        )
        assert waits.line() == "RUNNING"
        server.send_signal(signal.SIGSTOP)
        try:
            time.sleep(4 * patience_s)  # twice what a client gives a registry that does not answer
            waits.say()
            assert waits.line() == "RUNNING"
            assert waits.line() == "UnconfirmedError 1"
            assert waits.line().startswith("The journal in s3://away/")
        finally:
            server.send_signal(signal.SIGCONT)
        assert waits.line() == "the same job"
        (tmp_path / "marks" / "go").touch()
        assert waits.rest() == ["COMPLETED", "COMPLETED"]
    assert starts(tmp_path, "again") == 1


@contextmanager
def s3_process() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An S3 server that can be stopped, with the bucket ``away``."""
    import s3fs

    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: listens(port), "the S3 server does not listen")
        endpoint = f"http://127.0.0.1:{port}"
        s3fs.S3FileSystem(**CREDENTIALS, endpoint_url=endpoint).mkdir("away")
        yield endpoint, server
    finally:
        server.kill()
        server.wait()


def test_a_registry_that_was_superseded_acknowledges_nothing(
    new_cluster: Cluster, run: Callable[..., Client], tmp_path: Path
) -> None:
    with Cluster(num_cpus=1) as one:
        old = run(
            "configure(registry_update_timeout_s=120)\nsay('up')\nsys.stdin.readline()\n"
            "try:\n    submit_capability(**submission('late'))\n    say('accepted')\n"
            "except JobsError as error:\n    say(type(error).__name__, error.retryable)\n    say(error)\n",
            one.driver,
        )
        assert old.line() == "up"
        (registry,) = one.pids(REGISTRY)
        os.kill(registry, signal.SIGSTOP)
        try:
            new = run(
                "configure()\nsay(submit_capability(**submission('early')).wait(120))\n" + LIST, new_cluster.driver
            )
            assert new.line() == "COMPLETED"
        finally:
            os.kill(registry, signal.SIGCONT)
        old.say()
        assert old.line() == "BackendUnavailableError True"
        assert "taken over" in old.line()
        names = run("configure()\nsay(*sorted(job.job_name for job in list_jobs()))", new_cluster.driver)
        assert names.rest() == ["early"]


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_journal_in_memory_says_so_once(run: Callable[..., Client], cluster: Cluster, tmp_path: Path) -> None:
    text = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    for _ in range(3):
        configure(journal_uri=None)
say(len(caught), caught[0].filename.endswith("script.py"), caught[0].message)
"""
    space = {"registry_namespace": f"memory-{tmp_path.name}"}
    said = run(text, cluster.driver, **space).rest()
    assert said[0].startswith("1 True")
    assert "journal_uri" in said[0]
    unaware = run(text.replace("journal_uri=None", ""), cluster.driver, **space).rest()
    assert unaware == said, "who joins a registry without a journal has none"
    assert not (tmp_path / "store" / "_jobs").exists()


DAMAGES: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "truncated": (lambda content: content[: len(content) // 2], "cut short"),
    "flipped": (lambda content: content[:-3] + bytes([content[-3] ^ 4]) + content[-2:], "checksum"),
    "missing": (lambda content: None, "missing"),
    "foreign": (lambda content: b"not ours", "not an object of a journal"),
}


@pytest.mark.usefixtures("attached")
def test_a_damaged_journal_is_refused_by_name(run: Callable[..., Client], cluster: Cluster, tmp_path: Path) -> None:
    first = run(
        "configure()\nsay(submit_capability(**submission('one')).wait(120))", cluster.driver, registry_namespace="a"
    )
    assert first.rest() == ["COMPLETED"]
    (journal,) = (tmp_path / "store" / "_jobs" / "a").iterdir()
    victims = {}
    for what, (damage, _) in DAMAGES.items():
        copy = tmp_path / "store" / "_jobs" / what / journal.name
        (copy / "seg").mkdir(parents=True)
        for path in (journal / "seg").glob("0*"):
            (copy / "seg" / path.name).write_bytes(path.read_bytes())
        victims[what] = victim = copy / "seg" / f"{2:012}"
        content = damage(victim.read_bytes())
        victim.unlink() if content is None else victim.write_bytes(content)
    text = f"""
for what in {[*DAMAGES]}:
    try:
        configure(registry_namespace=what)
        say("accepted")
    except JobsError as error:
        say(json.dumps(f"{{type(error).__name__}} {{error}}"))
"""
    told = dict(zip(DAMAGES, map(json.loads, run(text, cluster.driver).rest()), strict=True))
    for what, (_, said) in DAMAGES.items():
        assert str(victims[what]) in told[what]
        assert said in told[what]


def test_a_store_without_exclusive_create_keeps_no_journal(place: dict[str, Any]) -> None:
    from checkmaite.jobs import configure_job_backend

    with pytest.raises(ConfigurationError, match="journal_uri"):
        configure_job_backend("ray", address="local", journal_uri="memory://somewhere", **place)


@pytest.mark.usefixtures("attached")
def test_a_bucket_that_ignores_conditions_keeps_no_journal(
    run: Callable[..., Client], cluster: Cluster, s3_options: dict[str, Any], careless_bucket: str
) -> None:
    """The registry finds it out when it begins, and the client that configures is told."""
    import s3fs

    s3fs.S3FileSystem(**s3_options).mkdir(careless_bucket)
    store = {"backend": "parquet", "uri": f"s3://{careless_bucket}/store", "storage_options": s3_options}
    text = "try:\n    configure()\n    say('accepted')\nexcept ConfigurationError as error:\n    say(error)\n"
    changes = {"analytics_store": store, "registry_namespace": "careless"}
    said = "\n".join(run(text, cluster.driver, **changes).rest())
    assert f"journal_uri: s3://{careless_bucket}/store/_jobs/careless/" in said
    assert "win, so accepted jobs could be lost" in said or "was there already, so accepted jobs" in said
    assert "honours If-None-Match, or journal_uri=None" in said
    assert "accepted\n" not in said
