"""What a pretraining leaves: a Hugging Face folder with a model card."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from spacy_bert_zh.files import whole
from spacy_bert_zh.pretrain.monitor import METRICS, draw_loss, read_metrics
from spacy_bert_zh.pretrain.network import MaskedBert
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.pretrain.vocabulary import pieces_of, write_vocabulary

FINE_TUNING_DROPOUT = 0.1


def write_checkpoint(
    output: Path,
    work: Path,
    network: MaskedBert,
    tokenizer: Tokenizer,
    options: Options,
    counts: dict[str, Any],
) -> None:
    """Write the model so that transformers and `TorchBackbone` load it."""
    model = network.model
    model.config.hidden_dropout_prob = FINE_TUNING_DROPOUT
    model.config.attention_probs_dropout_prob = FINE_TUNING_DROPOUT
    with whole(output) as folder:
        folder.mkdir()
        model.to(torch.float16 if options.half else torch.float32)
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        write_vocabulary(pieces_of(tokenizer), folder)
        lines = read_metrics(work / METRICS)
        (folder / METRICS).write_text((work / METRICS).read_text("utf-8"), "utf-8")
        (folder / "loss.svg").write_text(draw_loss(lines), "utf-8")
