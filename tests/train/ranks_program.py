"""A small run on several processes, as a program: `ranks_program.py FOLDER RANK RANKS PORT STRATEGY STEPS DELAY`."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from dojo.records import Batch
from dojo.train.engine import Alone, Engine
from dojo.train.optimise import OptimiseConfig
from dojo.train.train import TrainConfig, TrainResult, train

GLOBAL_BATCH = 6


def beside() -> ModuleType:
    specification = importlib.util.spec_from_file_location("training_run", Path(__file__).with_name("training_run.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def part_of(batch: Batch, number: int, rank: int, ranks: int) -> Batch:
    """This rank's rows of global batch `number`; every row has a name of its own, and some targets are unknown."""
    valid = np.random.default_rng(number).random(batch.valid.shape) < 0.8
    whole = replace(batch, valid=valid, clip_ids=tuple(f"{number}:{row}" for row in range(GLOBAL_BATCH)))
    cut = slice(rank, None, ranks)
    return Batch(
        **{name: np.ascontiguousarray(v[cut]) for name, v in vars(whole).items() if name != "clip_ids"},
        clip_ids=whole.clip_ids[cut],
    )


def run(folder: Path, rank: int, ranks: int, strategy: str, delay_s: float = 0.0, **options: object) -> TrainResult:
    program = beside()
    optimise = OptimiseConfig(learning_rate=3e-4, warmup_steps=20)
    config: TrainConfig = replace(
        program.CONFIG, ledger=True, log_every=1, numerics="fp32", optimise=optimise, **options
    )

    def batches(state) -> Iterator:
        number = int(state["number"]) if state else 0
        while True:
            time.sleep(delay_s)
            yield part_of(program.made_up(number, batch=GLOBAL_BATCH), number, rank, ranks), {"number": number + 1}
            number += 1

    torch.manual_seed(config.seed)
    policy = program.Policy(replace(program.MINIATURE, speed_dropout=0.0))
    engine: Engine = Alone()
    if strategy != "alone":
        from dojo.train import distributed

        distributed.meet("cpu")
        engine = distributed.Together(strategy, torch.device("cpu"))
    return train(policy, batches, config, folder, engine=engine)


if __name__ == "__main__":
    folder, rank, ranks, port, strategy, steps, delay = globals().get("ARGUMENTS") or sys.argv[1:8]
    torch.set_num_threads(1)
    os.environ |= {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    run(Path(folder), int(rank), int(ranks), strategy, float(delay), steps=int(steps), checkpoint_every=10)
    if strategy != "alone":
        from dojo.train import distributed

        distributed.part()
