#!/usr/bin/env bash
# One would expect: a column that Parquet files have can be read from a dataset over them, and other columns anyway.
# What happens: pyarrow's dataset reader has columns of its own: __filename, __fragment_index, __batch_index and __last_in_fragment. A file
# with a column so called is written, and read by itself, without a word, but every read of a dataset over it fails, also one that asks for
# other columns only: "Multiple matches for FieldRef". Other names that begin with two underscores are fine in this version.
# Versions: pyarrow 26.0.1. Seen 2026-11-28.
# Why it matters: one writer with a column __filename makes a folder of results unreadable as a dataset, for everybody.
# What to do: refuse names that begin with two underscores when results are written.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'pyarrow==26.0.1' 'numpy>=2'
cd "$work"
timeout 100 "$work/v/bin/python" - <<'PY'
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

changed = []


def check(holds, text):
    print("as seen:" if holds else "CHANGED:", text)
    if not holds:
        changed.append(text)


def outcome(act):
    try:
        return act()
    except pa.ArrowInvalid as error:
        return str(error).split("(")[0]


for name in ("__filename", "__fragment_index", "__batch_index", "__last_in_fragment", "__other"):
    wanted = {name: [1, 2], "score": [3, 4]}
    pq.write_table(pa.table(wanted), "one.parquet")
    plain = pq.ParquetFile("one.parquet").read().to_pydict()
    dataset = ds.dataset("one.parquet")
    whole, score = outcome(lambda: dataset.to_table().to_pydict()), outcome(lambda: dataset.to_table(columns=["score"]).to_pydict())
    is_taken = name != "__other"
    check(plain == wanted, f"{name}: one file by itself gives {plain}")
    check((whole == wanted) != is_taken, f"{name}: a dataset gives {whole}")
    check((score == {"score": [3, 4]}) != is_taken, f"{name}: a dataset that is asked for score alone gives {score}")
sys.exit(1 if changed else 0)
PY
