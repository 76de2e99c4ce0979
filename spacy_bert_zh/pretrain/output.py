"""What a pretraining leaves: a Hugging Face folder with a model card."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

import spacy_bert_zh
from spacy_bert_zh.checkpoint import write_tokenizer
from spacy_bert_zh.files import made
from spacy_bert_zh.pretrain.monitor import METRICS, draw_loss, read_metrics
from spacy_bert_zh.pretrain.network import MaskedBert
from spacy_bert_zh.pretrain.options import Options

FINE_TUNING_DROPOUT = 0.1
# Attention without dropout takes torch's fast path, also in training.
ATTENTION_DROPOUT = 0.0

_OPTIONS = ("length", "mask_rate", "optimizer", "learn_rate", "steps", "batch_size", "seed")
_CARD = """\
---
language: zh
pipeline_tag: fill-mask
library_name: transformers
---

# Chinese BERT, {layers} layers × {hidden_size}

A BERT (Devlin et al. 2019) for Chinese with its masked-language-modelling head, pretrained from
{origin} by spacy-bert-zh {version}.

| | |
| --- | --- |
| parameters | {parameters:,} ({dtype}) |
| vocabulary | {vocab_size:,} word pieces |
| longest text | {max_positions:,} pieces; trained on {length}{positions} |

## Training

| | |
| --- | --- |
| corpus | {documents:,} documents, {characters:,} characters, {pieces:,} pieces |
| left out | {left_out} |
| read | {seen:,} places in rows; {epochs:.2f} times the corpus |
| objective | whole words by jieba, {mask_rate:.0%} masked{masking} |
| optimiser | {optimizer}, rate {learn_rate:g}, {steps:,} steps of {batch_size} rows, seed {seed} |
| hardware | {hardware} |
| time | {time} |
| held out | {held_out} |

Loss curve: `loss.svg`; every figure: `metrics.jsonl`.

## Use

```python
nlp.add_pipe("bert_textcat", config={{"model": {{"backbone": {{"name": "path/of/this/folder"}}}}}})
```

`transformers.AutoModel` and `AutoModelForMaskedLM` load it too.

## Limits

It has learnt the views, the errors and the gaps of its texts. Fill in here where they come from
and under which licence before you pass it on.
"""


@dataclass(frozen=True)
class Record:
    """What the card tells of a run.

    Attributes:
        options: How it was run.
        counts: Of the corpus, see `prepare.Prepared`.
        epochs: How often the corpus was read.
        hardware: What it ran on.
    """

    options: Options
    counts: dict[str, Any]
    epochs: float
    hardware: str


def write_checkpoint(
    output: Path, work: Path, network: MaskedBert, tokenizer: Tokenizer, record: Record
) -> None:
    """Write the model so that transformers and `TorchBackbone` load it.

    Args:
        output: The folder to make or replace.
        work: Where the metrics are.
        network: The trained network.
        tokenizer: Its tokenizer.
        record: For the card.
    """
    model = network.model
    model.config.hidden_dropout_prob = FINE_TUNING_DROPOUT
    model.config.attention_probs_dropout_prob = ATTENTION_DROPOUT
    if not record.options.checkpoint:
        fill_positions(model.bert.embeddings.position_embeddings.weight, record.options.length)
    lines = read_metrics(work / METRICS)
    with made(output, "pretrain") as folder:
        folder.mkdir()
        network.to(torch.float16 if record.options.half else torch.float32)
        model.save_pretrained(folder, safe_serialization=True)
        (folder / "model.safetensors").chmod(0o644)  # written for the owner alone
        write_tokenizer(tokenizer, folder, model.config.max_position_embeddings)
        (folder / METRICS).write_text((work / METRICS).read_text("utf-8"), "utf-8")
        (folder / "loss.svg").write_text(draw_loss(lines), "utf-8")
        (folder / "README.md").write_text(render_card(model, record, lines), "utf-8")


def fill_positions(table: torch.Tensor, trained: int) -> None:
    """Continue the trained position embeddings by their later half, over and over.

    A position that no training row was long enough for would stay random noise (copying
    as in Beltagy et al. 2020, "Longformer", section 5).

    Args:
        table: Position embeddings, changed in place; shape (positions, hidden size).
        trained: How many of them were trained.
    """
    with torch.no_grad():
        later = table[trained // 2 : trained].clone()
        for start in range(trained, len(table), len(later)):
            part = table[start : start + len(later)]
            part.copy_(later[: len(part)])


def render_card(model: Any, record: Record, lines: list[dict[str, Any]]) -> str:
    """Describe a pretrained model to those who find it, in Markdown."""
    config, options, counts = model.config, record.options, record.counts
    return _CARD.format(
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        origin=f"the checkpoint {options.checkpoint.name}" if options.checkpoint else "scratch",
        version=spacy_bert_zh.__version__,
        parameters=model.num_parameters(),
        dtype=str(model.dtype).removeprefix("torch."),
        vocab_size=config.vocab_size,
        max_positions=config.max_position_embeddings,
        positions="" if options.checkpoint else ", further positions are copies",
        left_out=_left_out(counts),
        seen=lines[-1]["tokens"],
        epochs=record.epochs,
        masking=_masking(options),
        hardware=record.hardware,
        time=_time(lines),
        held_out=_held_out(lines),
        **{name: counts[name] for name in ("documents", "characters", "pieces")},
        **{name: getattr(options, name) for name in _OPTIONS},
    )


def describe_hardware(device: torch.device, processes: int, precision: str) -> str:
    """The device's kind and number, for the record."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"
    return f"{processes} × {name}, {precision}, torch {torch.__version__}"


def _left_out(counts: dict[str, Any]) -> str:
    reasons = {k: n for k, n in counts.items() if k.startswith(("excluded", "rejected"))}
    return ", ".join(f"{n:,} {reason}" for reason, n in reasons.items()) or "nothing"


def _masking(options: Options) -> str:
    parts = []
    if len(options.ngrams) > 1:
        parts.append("; n-grams " + "/".join(f"{share:g}" for share in options.ngrams))
    if options.similar:
        parts.append("; similar characters in place of [MASK]")
    if options.teacher:
        parts.append(f"; beside them the vectors of whole texts that {options.teacher.name} has")
    return "".join(parts)


def _time(lines: list[dict[str, Any]]) -> str:
    seconds = [line["seconds"] for line in lines if "seconds" in line]
    speeds = sorted(line["tokens_per_second"] for line in lines if "tokens_per_second" in line)
    if not seconds or not speeds:
        return "not recorded"
    median = speeds[len(speeds) // 2]
    return f"{seconds[-1] / 60:,.0f} minutes; {median:,.0f} pieces/s in the median"


def _held_out(lines: list[dict[str, Any]]) -> str:
    measured = [line for line in lines if "held_out_loss" in line]
    if not measured:
        return "not measured: too few texts"
    last = measured[-1]
    return (
        f"perplexity {last['held_out_perplexity']:.2f}, "
        f"masked pieces found {last['held_out_accuracy']:.1%}"
    )
