"""Several processes give what one gives: same rows in every step, same losses, one folder, one output."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, PATCH, seasonal_frame
from tracetune.backbones.moment import Moment, MomentConfig

_TRAINING = """
import json, sys, torch
from torch import nn
from tracetune.base.errors import InputError
from tracetune.base.processes import from_main, is_main_process, join_processes, leave_processes
from tracetune.training.run import Run
from tracetune.training.checkpoints import train
from tracetune.training.config import TrainingConfig
from tracetune.training.trainer import TrainedModule, build_trainer


class Rows:
    def __init__(self, count):
        self.values = torch.randn(count, 3, generator=torch.Generator().manual_seed(count))

    def __len__(self):
        return len(self.values)

    def __getitems__(self, rows):
        return {"past": self.values[rows], "future_values": self.values[rows, :1] ** 2}


class Model(nn.Module):
    accepts_loss_kwargs = False

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, past, future_values):
        return {"loss": (self.line(past) - future_values).pow(2).mean()}


def refused():
    raise InputError("Expected more.")


torch.manual_seed(0)
with Run.at(None) as run:
    model = Model()
    config = TrainingConfig(max_steps=7, batch_size=5, evaluations=7, learning_rate=0.1, early_stopping_patience=9)
    trainer = build_trainer(TrainedModule(model), config, Rows(12), Rows(23), run)
    train(trainer)
    whole = sorted(path.parent.name for path in run.folder.glob("*/manifest.json"))
    states = len(list(run.folder.glob("checkpoint-7/rng_state*")))
try:
    from_main(refused)
except InputError as error:
    said = str(error)
if is_main_process():
    log = [[e.get("loss"), e.get("eval_loss"), e.get("grad_norm")] for e in trainer.state.log_history[:-1]]
    weights = model.line.weight.flatten().tolist()
    print(json.dumps({"log": log, "weights": weights, "whole": whole, "states": states, "said": said}))
del trainer, model  # as a command's are gone at its end
leave_processes()
"""


def run_processes(count: int, *arguments: str, folder: Path, fails: bool = False) -> list[str]:
    """Standard output of each of ``count`` processes that run Python with these arguments, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(count):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        several = {name: str(value) for name, value in place.items()} if count > 1 else {}
        environment = {**os.environ, **several, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment |= {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        started.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    ended = [process.communicate(timeout=300) for process in started]
    statuses = [process.returncode for process in started]
    assert statuses == [2 if fails else 0] * count, ended
    return [errors if fails else output for output, errors in ended]


def test_two_processes_train_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Batches of 5 of 12 rows: an odd number, and an epoch that ends with 2."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    exec(_TRAINING, {"__name__": "__main__"})
    said = capsys.readouterr().out, *run_processes(2, "-c", _TRAINING, folder=tmp_path)[:1]
    one, two = (json.loads(output.splitlines()[-1]) for output in said)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-5)
    for single, shared in zip(one["log"], two["log"], strict=True):
        for value, other in zip(single, shared, strict=True):
            assert other == (value if value is None else pytest.approx(value, rel=1e-5))
    assert one["whole"] == two["whole"]
    assert (one["states"], two["states"]) == (1, 2)
    assert one["said"] == two["said"] == "Expected more."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_gives_the_same_with_two_processes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    blocks = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
    config = MomentConfig(
        t5_config={**blocks, "feed_forward_proj": "gated-gelu"},
        seq_len=CONTEXT,
        patch_len=PATCH,
        partial_patches="fill",
        patch_dropout=0.0,  # draws other numbers where a batch is shared out
        head_dropout=0.0,
    )
    Moment(config).save_pretrained(tmp_path / "model")
    seasonal_frame().to_csv(tmp_path / "data.csv", index=False)
    settings = (
        f"-m tracetune finetune data.csv --model model --device cpu --prediction-length {HORIZON} --method trace "
        "--max-steps 10 --batch-size 15 --head-epochs 1 --validation-windows 33 --learning-rate 3e-3 --warmup-steps 2"
    ).split()
    run_processes(1, *settings, "--output", "one", folder=tmp_path)
    said = run_processes(2, *settings, "--output", "two", folder=tmp_path)
    assert said[1] == ""
    one, two = (json.loads((tmp_path / name / "trace.json").read_text()) for name in ("one", "two"))
    assert one["selection"]["kept"] == two["selection"]["kept"]
    for single, shared in zip(one["selection"]["rounds"], two["selection"]["rounds"], strict=True):
        assert single["open"] == shared["open"]
        assert shared["scores"] == pytest.approx(single["scores"], rel=1e-3, abs=1e-7)
    for single, shared in zip(one["candidates"], two["candidates"], strict=True):
        assert shared["validation_loss"] == pytest.approx(single["validation_loss"], rel=1e-5)
    refused = run_processes(2, *settings, "--output", "two", folder=tmp_path, fails=True)
    assert "is not empty" in refused[0]
    assert "Error" not in refused[1]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "data.csv", "one", "two"}
