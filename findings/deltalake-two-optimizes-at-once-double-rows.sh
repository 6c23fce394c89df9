#!/usr/bin/env bash
# One would expect: of two commits of the deltalake library that take away the same files the second is refused, as the Delta protocol asks for.
# What happens: `optimize.compact()` and `optimize.z_order()` from a version that another optimize has already rewritten succeed. Each adds its own
# copy of the rows, and the table holds every row twice. `max_commit_retries=0` and application transactions, both passed in
# `commit_properties`, change nothing: the commit has neither. An overwrite with a predicate of the same rows is refused as it should be.
# Versions: deltalake 1.6.6. Seen 2026-11-28.
# Why it matters: two maintenance jobs on one table, or one that was started again, double every row, and no error says so.
# What to do: compact by `write_deltalake(mode="overwrite", predicate=...)`, or see to it that one process alone optimizes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'deltalake==1.6.6' 'pyarrow==26.0.1' 'numpy>=2'
cd "$work"
timeout 100 "$work/v/bin/python" - <<'PY'
import sys

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

changed = []


def check(holds, text):
    print("as seen:" if holds else "CHANGED:", text)
    if not holds:
        changed.append(text)


def rows_after(name, rewrite):
    """How many of five rows there are after two rewrites that both begin at the same version, and whether the second was refused."""
    for x in range(5):
        write_deltalake(name, pa.table({"x": [x]}), mode="append")
    one, two = DeltaTable(name), DeltaTable(name)
    rewrite(one)
    refused = False
    try:
        rewrite(two)
    except CommitFailedError:
        refused = True
    return DeltaTable(name).to_pyarrow_table().num_rows, refused


once = CommitProperties(max_commit_retries=0, app_transactions=[Transaction("rewrites", 1)])
for name, rewrite, seen in (
    ("compact", lambda table: table.optimize.compact(), (10, False)),
    ("compact_once", lambda table: table.optimize.compact(commit_properties=once), (10, False)),
    ("z_order", lambda table: table.optimize.z_order(["x"]), (10, False)),
    ("overwrite", lambda table: write_deltalake(table, table.to_pyarrow_table(), mode="overwrite", predicate="x >= 0"), (5, True)),
):
    found = rows_after(name, rewrite)
    check(found == seen, f"{name}: {found[0]} rows of 5, the second one {'is refused' if found[1] else 'succeeds'}")
print("transactions of the optimized table:", DeltaTable("compact_once").transaction_version("rewrites"))
sys.exit(1 if changed else 0)
PY
