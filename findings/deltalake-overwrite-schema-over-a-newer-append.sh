#!/usr/bin/env bash
# One would expect: an overwrite with another schema that began before somebody else's append is refused, or replaces what was appended, too.
# What happens: it succeeds and leaves the appended file in the table, whose columns are of the old type. A reader casts it, or cannot read the
# whole table any more: here a whole number that no float keeps. `max_commit_retries=0` makes the library refuse it.
# Versions: deltalake 1.6.6. Seen 2026-11-28.
# Why it matters: widening a column beside writers may make a table unreadable, and no error says so when it happens.
# What to do: pass `CommitProperties(max_commit_retries=0)` where an overwrite changes the schema, and begin anew when it is refused.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'deltalake==1.6.6' 'pyarrow==26.0.1' 'numpy>=2'
cd "$work"
timeout 100 "$work/v/bin/python" - <<'PY'
import sys

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

changed = []


def check(holds, text):
    print("as seen:" if holds else "CHANGED:", text)
    if not holds:
        changed.append(text)


def widened_after_an_append(name, **options):
    """Whether an overwrite is refused that began before an append, and what reading the table says then."""
    write_deltalake(name, pa.table({"x": [1]}))
    table = DeltaTable(name)
    write_deltalake(name, pa.table({"x": [2**60]}), mode="append")
    refused = False
    try:
        write_deltalake(table, pa.table({"x": [1.0]}), mode="overwrite", schema_mode="overwrite", **options)
    except CommitFailedError:
        refused = True
    try:
        return refused, DeltaTable(name).to_pyarrow_table().column("x").to_pylist()
    except pa.ArrowInvalid as error:
        return refused, type(error).__name__


found = widened_after_an_append("plain")
check(found == (False, "ArrowInvalid"), f"as it is: refused {found[0]}, reading gives {found[1]}")
found = widened_after_an_append("once", commit_properties=CommitProperties(max_commit_retries=0))
check(found == (True, [2**60, 1]), f"with max_commit_retries=0: refused {found[0]}, reading gives {found[1]}")
sys.exit(1 if changed else 0)
PY
