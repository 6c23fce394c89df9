"""Fingerprints of PyTorch's own objects; `Stateful` and NumPy stand in for them in tests/core."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from checkmaite.jobs._submitters.fingerprint import fingerprints_of

MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, rate=0.1, stride=1):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, stride=stride)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(rate)
        self.lstm = nn.LSTM(3, 4)
        self.attention = nn.TransformerEncoderLayer(8, 2)
        self.register_buffer("scale", torch.ones(3), persistent=False)
        self.eval()

    def forward(self, x):
        return self.norm(self.conv(x))
"""
space: dict[str, Any] = {"__name__": "net"}
exec(MODULE, space)
Net = space["Net"]


def digest(value: object) -> str:
    content = fingerprints_of(object(), models=[value]).objects[0].content
    assert content.reason == ""
    assert content.digest is not None
    return content.digest


def test_a_module_keeps_its_digest_while_it_is_used() -> None:
    net = Net()
    first = digest(net)
    net(torch.zeros(1, 1, 8, 8)).sum().backward()
    assert digest(net) == digest(Net()) == first
    saved = io.BytesIO()
    torch.save(net.state_dict(), saved)
    saved.seek(0)
    loaded = Net()
    torch.nn.init.zeros_(loaded.conv.weight)
    assert digest(loaded) != first
    loaded.load_state_dict(torch.load(saved))
    assert digest(loaded) == first


def test_a_module_that_would_give_another_result_has_another_digest() -> None:
    changed = Net()
    changed.conv.weight.data[0, 0, 0, 0] += 1  # no version counter tells of this
    others = [Net(), Net(stride=2), Net(rate=0.5), Net().train(), changed]
    assert len({digest(each) for each in others}) == len(others)


def test_a_view_counts_as_its_elements() -> None:
    whole = torch.arange(100_000.0).reshape(1000, 100)
    assert digest(whole[3]) == digest(whole[3].clone())
    assert digest(whole.T) == digest(whole.T.contiguous()) != digest(whole)
    assert digest(torch.tensor([1 + 2j]).conj()) == digest(torch.tensor([1 - 2j]))
    kinds = [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.int8, torch.bool)]
    kinds += [torch.tensor(1.0), torch.empty(0, 3), torch.eye(3).to_sparse(), torch.empty(3, device="meta")]
    assert len({digest(each) for each in kinds}) == len(kinds)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_scripted_module_counts_by_its_state() -> None:
    scripted = torch.jit.script(torch.nn.Linear(2, 2))
    before = fingerprints_of(object(), models=[scripted]).objects[0].content
    with torch.no_grad():
        scripted.weight += 1
    assert fingerprints_of(object(), models=[scripted]).objects[0].content.digest != before.digest


def test_a_module_has_its_digest_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE)
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, net\nfrom checkmaite.jobs._submitters.fingerprint import fingerprints_of\n"
        "made = net.Net()\n"
        "print([fingerprints_of(object(), models=[m]).digest for m in (made, pickle.loads(pickle.dumps(made)))])"
    )
    seen = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
        seen.add(run.stdout)
    (digests,) = seen
    assert len(set(eval(digests))) == 1


def test_pickle_s_own_bytes_would_not_do() -> None:
    whole = torch.arange(100_000.0).reshape(1000, 100)
    assert len(pickle.dumps(whole[3])) > whole.nbytes
