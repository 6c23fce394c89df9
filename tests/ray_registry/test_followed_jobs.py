"""Each client hears of its jobs once, however often they change before it asks."""

from __future__ import annotations

from checkmaite.jobs_ray.registry.subscriptions import FollowedJobs


def test_changes_are_kept_for_who_follows() -> None:
    followed = FollowedJobs()
    followed.follow("one", ["a", "b"], 0.0)
    followed.follow("two", ["b", "c"], 0.0)
    assert followed.changed(["a"]) == {"one"}
    assert followed.changed(["b", "b", "nobody's"]) == {"one", "two"}
    assert followed.changed([]) == set()
    assert followed.take("one", 10, 1.0) == ["a", "b"]
    assert followed.take("one", 10, 1.0) == []
    assert followed.take("two", 10, 1.0) == ["b"]


def test_an_answer_is_bounded_and_the_rest_comes_next() -> None:
    followed = FollowedJobs()
    jobs = [f"job {number}" for number in range(7)]
    followed.follow("one", jobs, 0.0)
    followed.changed(jobs)
    assert followed.take("one", 3, 0.0) == jobs[:3]
    followed.changed(jobs[:1])
    assert followed.take("one", 3, 0.0) == jobs[3:6]
    assert followed.take("one", 3, 0.0) == [jobs[6], jobs[0]]


def test_what_is_not_followed_is_not_told() -> None:
    followed = FollowedJobs()
    followed.follow("one", ["a", "b"], 0.0)
    followed.changed(["a", "b"])
    followed.unfollow("one", ["a", "unknown"])
    followed.unfollow("unknown", ["a"])
    assert followed.changed(["a"]) == set()
    assert followed.take("one", 10, 0.0) == ["b"]
    assert set(followed._of_job) == {"b"}


def test_silent_clients_are_forgotten() -> None:
    followed = FollowedJobs()
    followed.follow("quiet", ["a"], 0.0)
    followed.follow("asks", ["a"], 0.0)
    followed.follow("follows", ["a"], 0.0)
    followed.take("asks", 1, 10.0)
    followed.follow("follows", ["b"], 10.0)
    assert followed.drop_silent(5.0) == ["quiet"]
    assert list(followed._clients) == ["asks", "follows"]
    assert followed.changed(["a"]) == {"asks", "follows"}
    assert followed.drop_silent(11.0) == ["asks", "follows"]
    assert not followed._of_job
