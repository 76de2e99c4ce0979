"""Reads damaged folders one after the other; a line for each that is neither read nor refused.

Run as ``python -m tests.loading.damage_worker SUBJECTS SEED FIRST END``: SUBJECTS holds folders of
pipelines and checkpoints, FIRST to END are the numbers of the damages.
"""

import faulthandler
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading.pipeline import load_pipeline
from spacy_bert_zh.package.flow import read_facts, read_pipeline
from spacy_bert_zh.package.model_card import render_model_card
from tests.conftest import make_docs
from tests.loading.mutations import damaged_copy

MOST_MEMORY = 2_000_000_000
MOST_SECONDS = 10
TEXTS = ["味道不错，推荐ab" * 20, "", "[CLS] x\0字"]


def read_as_pipeline(folder: Path) -> None:
    nlp = load_pipeline(folder)
    for doc in nlp.pipe(TEXTS):
        assert all(0 <= score <= 1 for score in doc.cats.values()), doc.cats


def read_as_checkpoint(folder: Path, random: Random) -> None:
    build: Any = random.choice([build_torch_backbone_v1, build_onnx_backbone_v1])
    model = build(name=str(folder), max_length=64, stride=8, pooling="mean")
    model.initialize()
    model.predict(make_docs(TEXTS))


def read_for_package(folder: Path) -> None:
    config, meta = read_pipeline(folder / "pipeline")
    facts = [read_facts(folder / "metrics.json"), read_facts(folder / "report.json", data=True)]
    render_model_card({**meta, "version": "1", "license": "MIT"}, config.interpolate(), [], *facts)


def read(folder: Path, kind: str, random: Random) -> None:
    if kind == "package":
        read_for_package(folder)
    elif kind.startswith("checkpoint"):
        read_as_checkpoint(folder, random)
    else:
        read_as_pipeline(folder)


class Watch:
    """Ends the process where one damage takes too much time or memory."""

    def __init__(self) -> None:
        self.doing, self.begin = "", time.process_time()
        threading.Thread(target=self._run, daemon=True).start()

    def next(self, doing: str) -> None:
        self.doing, self.begin = doing, time.process_time()
        # For what doesn't let go of Python's lock.
        faulthandler.dump_traceback_later(90, exit=True)

    def _run(self) -> None:
        while True:
            time.sleep(0.02)
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            if resident > MOST_MEMORY:
                self._end(f"{resident / 1e9:.1f} GB")
            if time.process_time() - self.begin > MOST_SECONDS:
                self._end(f"{MOST_SECONDS} s")

    def _end(self, why: str) -> None:
        faulthandler.dump_traceback(all_threads=True)
        print(f"FAILED {self.doing}: {why}", flush=True)
        os._exit(1)


def main(subjects: Path, seed: str, first: int, end: int) -> None:
    kinds = sorted(path.name for path in subjects.iterdir())
    for kind in kinds:  # imports take their time, and are nobody's damage
        read(subjects / kind, kind, Random(0))
    watch = Watch()
    counts = {"read": 0, "refused": 0}
    for number in range(first, end):
        random = Random(f"{seed} {number}")
        kind = random.choice(kinds)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / kind
            what = f"{number} {damaged_copy(subjects / kind, folder, random)}"
            print(what, flush=True)
            watch.next(what)
            try:
                read(folder, kind, random)
                counts["read"] += 1
            except BertZhError as error:
                counts["refused"] += 1
                if "\n" in str(error) or not str(error).strip():
                    print(f"FAILED {what}: more than a line: {str(error)!r}", flush=True)
            except BaseException as error:  # a panic of Rust is no Exception
                traceback.print_exc()
                print(f"FAILED {what}: {type(error).__name__}: {str(error)[:200]!r}", flush=True)
            finally:
                faulthandler.cancel_dump_traceback_later()
                shutil.rmtree(folder, ignore_errors=True)
    print("DONE", json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
