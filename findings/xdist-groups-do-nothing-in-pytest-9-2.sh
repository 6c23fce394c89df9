#!/usr/bin/env bash
# One would expect: with `pytest -n 2 --dist loadgroup`, tests with one mark xdist_group("a") run in one worker, as the manual of
# pytest-xdist says, or pytest refuses the combination.
# What happens: with pytest 9.2 they are spread over all workers, one by one, without a word. pytest-xdist appends the group to `_nodeid`
# of each item, which pytest no longer reads. `--dist loadfile` and `loadscope` work, and so does loadgroup with pytest 8.4.
# Versions: pytest 9.2.0, pytest-xdist 3.8.0; control: pytest 8.4.2. Seen 2026-11-28.
# Why it matters: tests that must not run at the same time, or that share a costly fixture, run at the same time and make it in each worker.
# What to do: `--dist loadfile`, or a scheduler of one's own by the hook pytest_xdist_make_scheduler.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cat > "$work/test_groups.py" <<'PY'
import os
import pathlib
import time

import pytest


@pytest.mark.parametrize("number", range(10))
@pytest.mark.xdist_group("together")
def test_one(number):
    time.sleep(0.1)
    pathlib.Path(os.environ["WORKERS"], os.environ["PYTEST_XDIST_WORKER"]).touch()
PY
changed=0
for versions in '9.2.0 2' '8.4.2 1'; do
  read -r pytest expected <<< "$versions"
  mkdir "$work/$pytest"
  python3 -m venv "$work/v-$pytest"
  "$work/v-$pytest/bin/pip" install -qq --disable-pip-version-check "pytest==$pytest" 'pytest-xdist==3.8.0'
  (cd "$work" && WORKERS="$work/$pytest" timeout 60 "v-$pytest/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup \
    test_groups.py > "$work/said" 2>&1) || { cat "$work/said"; exit 1; }
  ran=$(find "$work/$pytest" -type f | wc -l)
  text="pytest $pytest: the ten tests of one group ran in $ran worker(s)"
  if [ "$ran" -eq "$expected" ]; then echo "as seen: $text"; else echo "CHANGED: $text"; changed=1; fi
done
exit "$changed"
