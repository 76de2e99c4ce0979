"""The loop: Accelerate for devices, precision and several processes; nothing of its own."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.data import Batches, load_batches
from spacy_bert_zh.pretrain.monitor import METRICS, Monitor, measure_peak, perplexity
from spacy_bert_zh.pretrain.network import MaskedBert, flops
from spacy_bert_zh.pretrain.optimization import build_optimizers, schedule
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.pretrain.packing import IGNORED
from spacy_bert_zh.pretrain.prepare import Prepared
from spacy_bert_zh.pretrain.state import load_state, save_state

CLIP = 1.0
HELD_OUT_ROWS, HELD_OUT_BATCH = 512, 8
WORTH_COMPILING = 512
"""Width: a network of 256 was as fast without torch.compile on an H100, which took it a minute."""


class Training:
    """One pretraining, from its checkpoint or from the start, to its last step.

    Args:
        model: The network; its parameters are changed in place.
        data: What to learn and to measure on.
        tokenizer: The tokenizer of the data.
        options: How to learn.
        work: Folder of checkpoint and metrics.
        settings: What a checkpoint must agree with to be gone on from.
        accelerator: Devices and processes.
    """

    def __init__(
        self,
        model: MaskedBert,
        data: Prepared,
        tokenizer: Tokenizer,
        options: Options,
        work: Path,
        settings: dict[str, Any],
        accelerator: Accelerator,
    ) -> None:
        self._model = model.to(accelerator.device)
        self._options = options
        self._work = work
        self._settings = settings
        self._accelerator = accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        self._batches, self._held_out = (
            Batches(corpus, tokenizer, options, rank, world, vectors)
            for corpus, vectors in zip((data.train, data.held_out), data.vectors, strict=True)
        )
        self._optimizers = build_optimizers(model, options)
        network = torch.compile(model) if self._compiles() else model
        self._network, *self._prepared = accelerator.prepare(network, *self._optimizers)
        config = model.model.config.to_dict()
        self._flops = flops(config, options.length, options.mask_rate)
        self._peak = measure_peak(accelerator.device, self._dtype())

    def run(self) -> None:
        """Train to the last step, leaving checkpoint and metrics in the work folder."""
        meta = load_state(self._work, self._model, self._optimizers)
        start = meta["step"] if meta else 0
        self._began = time.perf_counter() - (meta["seconds"] if meta else 0.0)
        main = self._accelerator.is_main_process
        monitor = Monitor(self._work / METRICS, start, self._options.steps, main)
        window = _Window(self._accelerator, time.perf_counter())
        try:
            for step, batch in self._steps(start):
                window.add(*self._learn(step, batch), batch["documents"])
                monitor.step()
                save = step == self._options.steps or step % self._options.save_every == 0
                if save or step % self._options.log_every == 0:
                    line = window.take(self._share)
                    monitor.log({"step": step, **self._rates(step), **line})
                    check_finite(line["loss"], step)
                if save:
                    with window.stopped():
                        if measured := self.measure():
                            monitor.log({"step": step, **self._rates(step), **measured})
                        self._save(step)
        finally:
            monitor.close()

    @property
    def epochs(self) -> float:
        """How often the whole run reads the corpus."""
        return self._options.steps * self._options.batch_size / self._batches.rows

    def measure(self) -> dict[str, float]:
        """Cross-entropy, perplexity and accuracy on the documents held out, or nothing.

        With a teacher, also how far from it they are.
        """
        accelerator = self._accelerator
        rows = min(HELD_OUT_ROWS, self._held_out.rows)
        mine = range(accelerator.process_index, rows, accelerator.num_processes)
        sums = torch.zeros(5, dtype=torch.float64, device=accelerator.device)
        self._model.eval()
        with torch.inference_mode(), accelerator.autocast():
            for start in range(0, len(mine), HELD_OUT_BATCH):
                numbers = mine[start : start + HELD_OUT_BATCH]
                batch = self._to_device(self._held_out.make(numbers))
                loss, found, taught = self._model(**batch)
                places = (batch["labels"] != IGNORED).sum()
                values = (loss, found, places, taught, torch.ones_like(taught))
                sums += torch.stack([value.double() for value in values])
        self._model.train()
        loss, found, places, taught, batches = accelerator.reduce(sums, "sum").tolist()
        if not places:
            return {}
        mean = loss / places
        lesson = {"held_out_taught_loss": taught / batches} if self._options.teacher else {}
        return {
            "held_out_loss": mean,
            "held_out_perplexity": perplexity(mean),
            "held_out_accuracy": found / places,
            **lesson,
        }

    def _steps(self, start: int) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        loader = load_batches(self._batches, start, self._options.steps, self._options.workers)
        for step, batch in enumerate(loader, start + 1):
            yield step, self._to_device(batch)

    def _to_device(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k: v.to(self._accelerator.device, non_blocking=True) for k, v in batch.items()}

    def _learn(self, step: int, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        options = self._options
        # Dropout is the only randomness left, and thus also a function of seed and step.
        torch.manual_seed(hash((options.seed, step, self._accelerator.process_index)))
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = options.learn_rate * schedule(step, options)
        loss, found, taught = self._network(**batch)
        places = (batch["labels"] != IGNORED).sum()
        # The mean over the places of all processes, which need not have equally many.
        world = self._accelerator.num_processes
        total = self._accelerator.reduce(places, "sum")
        self._accelerator.backward(loss * world / total + taught)
        self._accelerator.clip_grad_norm_(self._model.parameters(), CLIP)
        for optimizer in self._prepared:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach(), found, places, taught.detach()

    def _save(self, step: int) -> None:
        if self._accelerator.is_main_process:
            seconds = time.perf_counter() - self._began
            meta = {"step": step, "seconds": seconds, "settings": self._settings}
            save_state(self._work, self._model, self._optimizers, meta)
        self._accelerator.wait_for_everyone()

    def _rates(self, step: int) -> dict[str, float]:
        options = self._options
        tokens = step * options.batch_size * options.length
        return {
            "tokens": tokens,
            "seconds": time.perf_counter() - self._began,
            "learn_rate": options.learn_rate * schedule(step, options),
        }

    def _share(self, tokens_per_second: float) -> float:
        """The share of the peak that a speed over all processes needs."""
        return tokens_per_second * self._flops / (self._peak * self._accelerator.num_processes)

    def _dtype(self) -> torch.dtype:
        bf16 = self._accelerator.mixed_precision == "bf16"
        return torch.bfloat16 if bf16 else torch.float32

    def _compiles(self) -> bool:
        if (given := self._options.compile) is not None:
            return given
        wide = self._model.model.config.hidden_size >= WORTH_COMPILING
        return self._accelerator.device.type == "cuda" and wide


@dataclass
class _Window:
    """What happened since the last line of metrics."""

    accelerator: Accelerator
    start: float
    sums: list[torch.Tensor] = field(default_factory=list)

    def add(self, *values: torch.Tensor) -> None:
        *sums, documents = values
        pieces = (documents >= 0).sum()
        self.sums.append(torch.stack([v.double() for v in (*sums, pieces, pieces.new_ones(()))]))

    def take(self, share: Any) -> dict[str, float]:
        sums = self.accelerator.reduce(torch.stack(self.sums).sum(0), "sum")
        loss, found, places, taught, pieces, steps = sums.tolist()
        speed = pieces / (time.perf_counter() - self.start)
        self.start, self.sums = time.perf_counter(), []
        lesson = {"taught_loss": taught / steps} if taught else {}
        return {
            "loss": loss / places,
            **lesson,
            "accuracy": found / places,
            "tokens_per_second": speed,
            "mfu": share(speed),
        }

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave a stretch of time out of the speed."""
        begun = time.perf_counter()
        yield
        self.start += time.perf_counter() - begun


def check_finite(loss: float, step: int) -> None:
    """Stop before a spoilt checkpoint replaces a good one.

    Raises:
        BertZhError: The loss is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise BertZhError(
            f"The loss is {loss} at step {step}: lower --learn-rate, or use --precision fp32"
        )
