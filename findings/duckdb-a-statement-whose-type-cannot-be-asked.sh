#!/usr/bin/env bash
# One would expect: a statement that extract_statements() gives says its type, so that a guard can let SELECT pass and refuse all others.
# What happens: for UPDATE EXTENSIONS, asking for the type raises ValueError, "29 is not a valid StatementType": the enumeration of DuckDB's
# Python lacks what the engine knows. PIVOT without IN is MULTI, not SELECT, although it is asked like one.
# Versions: duckdb 2.0.1. Seen 2026-11-28.
# Why it matters: a guard that reads `statement.type` lets a ValueError out where it should refuse, and refuses PIVOT.
# What to do: take a type that cannot be asked for one that is not allowed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'duckdb==2.0.1'
cd "$work"
timeout 100 "$work/v/bin/python" - <<'PY'
import sys

import duckdb

changed = []


def check(holds, text):
    print("as seen:" if holds else "CHANGED:", text)
    if not holds:
        changed.append(text)


def type_of(sql):
    (statement,) = duckdb.connect().extract_statements(sql)
    try:
        return statement.type.name
    except ValueError as error:
        return str(error)


for sql, seen in {
    "select 1": "SELECT",
    "update extensions": "29 is not a valid StatementType.",
    "pivot t on k using sum(x)": "MULTI",
    "pivot t on k in ('a') using sum(x)": "SELECT",
}.items():
    found = type_of(sql)
    check(found == seen, f"{sql}: {found}")
sys.exit(1 if changed else 0)
PY
