"""Each client hears of its jobs once, however often they change before it asks."""

from __future__ import annotations

from checkmaite.jobs_ray.registry.subscriptions import Followers


def test_changes_are_kept_for_who_follows() -> None:
    followers = Followers()
    followers.follow("one", ["a", "b"], 0.0)
    followers.follow("two", ["b", "c"], 0.0)
    assert followers.changed(["a"]) == {"one"}
    assert followers.changed(["b", "b", "nobody's"]) == {"one", "two"}
    assert followers.changed([]) == set()
    assert followers.take("one", 10, 1.0) == ["a", "b"]
    assert followers.take("one", 10, 1.0) == []
    assert followers.take("two", 10, 1.0) == ["b"]


def test_an_answer_is_bounded_and_the_rest_comes_next() -> None:
    followers = Followers()
    jobs = [f"job {number}" for number in range(7)]
    followers.follow("one", jobs, 0.0)
    followers.changed(jobs)
    assert followers.take("one", 3, 0.0) == jobs[:3]
    followers.changed(jobs[:1])
    assert followers.take("one", 3, 0.0) == jobs[3:6]
    assert followers.take("one", 3, 0.0) == [jobs[6], jobs[0]]


def test_what_is_not_followed_is_not_told() -> None:
    followers = Followers()
    followers.follow("one", ["a", "b"], 0.0)
    followers.changed(["a", "b"])
    followers.unfollow("one", ["a", "unknown"])
    followers.unfollow("unknown", ["a"])
    assert followers.changed(["a"]) == set()
    assert followers.take("one", 10, 0.0) == ["b"]
    assert set(followers._of_job) == {"b"}


def test_silent_clients_are_forgotten() -> None:
    followers = Followers()
    followers.follow("quiet", ["a"], 0.0)
    followers.follow("asks", ["a"], 0.0)
    followers.follow("follows", ["a"], 0.0)
    followers.take("asks", 1, 10.0)
    followers.follow("follows", ["b"], 10.0)
    assert followers.drop_silent(5.0) == ["quiet"]
    assert list(followers._clients) == ["asks", "follows"]
    assert followers.changed(["a"]) == {"asks", "follows"}
    assert followers.drop_silent(11.0) == ["asks", "follows"]
    assert not followers._of_job
