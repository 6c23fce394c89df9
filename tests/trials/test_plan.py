"""A seed is a trial."""

from __future__ import annotations

import pytest

from tools.trials.plan import KILLS, KINDS, S3_FAULTS, ClockStep, FullDisk, Kill, S3Fault, plan

SEEDS = range(300)


def test_a_seed_gives_the_same_trial_each_time() -> None:
    assert [plan(seed) for seed in SEEDS] == [plan(seed) for seed in SEEDS]


def test_everything_that_can_go_wrong_does() -> None:
    trials = [plan(seed) for seed in SEEDS]
    assert {each.kind for each in trials} == set(KINDS)
    assert {each.store for each in trials} == {"disk", "small disk", "s3"}
    faults = [fault for each in trials for fault in each.faults]
    assert {each.what for each in faults if isinstance(each, Kill)} == set(KILLS)
    assert {each.what for each in faults if isinstance(each, S3Fault)} == set(S3_FAULTS)
    assert {type(each) for each in faults} == {Kill, S3Fault, ClockStep, FullDisk}


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_of_one_kind_has_its_faults_alone(kind: str) -> None:
    its = {"kills": {Kill}, "s3": {S3Fault}, "clock": {ClockStep}, "disk": {FullDisk}}
    for seed in SEEDS:
        trial = plan(seed, kind)
        kinds = {type(fault) for fault in trial.faults}
        assert kinds == its[kind] if kind in its else Kill in kinds and len(kinds) > 1
        if FullDisk in kinds:
            assert trial.store == "small disk"
        if S3Fault in kinds:
            assert trial.store == "s3"


def test_where_no_disk_can_be_full_clocks_are_set() -> None:
    trials = [plan(seed, small_disks=False) for seed in SEEDS]
    assert {each.store for each in trials} == {"disk", "s3"}
    assert {each.kind for each in trials} == {*KINDS} - {"disk"}


def test_runs_are_shared_and_the_same_wherever_they_are() -> None:
    for seed in SEEDS:
        trial = plan(seed)
        batches = [batch for notebook in trial.notebooks for batch in notebook]
        runs = [run for batch in batches for run in batch.runs]
        assert all(trial.runs[run.uid] == run for run in runs)
        assert all(len({run.uid for run in batch.runs}) == len(batch.runs) for batch in batches)
    assert any(len(plan(seed).runs) < sum(len(b.runs) for n in plan(seed).notebooks for b in n) for seed in SEEDS)
