#!/usr/bin/env bash
# One would expect: two processes that fit CountVectorizer to the same texts get equal state, as for other estimators.
# What happens: the fitted object keeps `_stop_words_id`, the address of its stop words (of None, when there are none), and
# pickle takes it along. Address space layout is random, so the state, the pickle and any digest of it are others in
# each process. TfidfVectorizer is a CountVectorizer. StandardScaler, the control, agrees.
# Versions: scikit-learn 1.9.1, NumPy 2.4.6. Seen 2026-11-28.
# Why it matters: a cache key or fingerprint of a text model made from what pickle takes finds nothing again after a restart, and
# everything is computed once more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'scikit-learn==1.9.1' 'numpy==2.4.6'
cat > "$work/fit.py" <<'PY'
import hashlib
import pickle

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import StandardScaler

text = CountVectorizer().fit(["a cat", "a dog"])
state = {name: value for name, value in vars(text).items() if name != "_stop_words_id"}
for each in (pickle.dumps(StandardScaler().fit([[1.0], [2.0]])), pickle.dumps(text), pickle.dumps(state)):
    print(hashlib.sha256(each).hexdigest()[:12])
PY
cd "$work"
runs=()
for _ in 1 2 3 4; do runs+=("$(PYTHONHASHSEED=0 timeout 100 v/bin/python fit.py | tr '\n' ' ')"); done
printf '%s\n' "${runs[@]}"
printf '%s\n' "${runs[@]}" | v/bin/python -c '
import sys
scaler, text, without = (len(set(column)) for column in zip(*(line.split() for line in sys.stdin)))
seen = scaler == 1 and text > 1 and without == 1
print("as seen:" if seen else "CHANGED:", f"{text} different pickles of one fitted vectorizer; without the address {without}; of the scaler {scaler}")
sys.exit(not seen)
'
