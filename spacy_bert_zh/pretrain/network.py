"""The network of pretraining: `transformers.BertForMaskedLM` over packed rows."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from spacy_bert_zh.checkpoint import (
    check_shapes,
    load_checkpoint,
    network_settings,
    structure,
)
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.distillation import pool, taught_loss
from spacy_bert_zh.pretrain.packing import IGNORED


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep transformers 4 from importing TensorFlow too, which it does wherever it finds it.

    It looks into the environment when it is imported itself, and that may have happened:
    spacy-transformers does so as soon as spaCy collects its plugins.
    """
    given = os.environ.get("USE_TF")
    os.environ["USE_TF"] = "0"
    from transformers.utils import import_utils

    found = getattr(import_utils, "_tf_available", False)
    try:
        import_utils._tf_available = False
        yield
    finally:
        import_utils._tf_available = found
        del os.environ["USE_TF"]
        if given is not None:
            os.environ["USE_TF"] = given


with _without_tensorflow():
    from transformers import BertConfig, BertForMaskedLM


HEAD = {
    "cls.predictions.bias",
    *(
        f"cls.predictions.transform.{part}.{kind}"
        for part in ("dense", "LayerNorm")
        for kind in ("weight", "bias")
    ),
}
"""What the head has of its own: its matrix is that of the embeddings."""


class MaskedBert(nn.Module):
    """BERT with its masked-language-modelling head (Devlin et al. 2019, section 3.1).

    Args:
        model: The model, of which only the embeddings, the encoder and the head are used.
        teacher_width: Length of a teacher's vectors; 0 if there is none.
    """

    def __init__(self, model: BertForMaskedLM, teacher_width: int = 0) -> None:
        super().__init__()
        self.model = model
        width = model.config.hidden_size
        # Stays here: what is saved is the pupil, in its own width.
        self.projection = nn.Linear(width, teacher_width) if teacher_width else None

    def encode(
        self, ids: torch.Tensor, positions: torch.Tensor, documents: torch.Tensor
    ) -> torch.Tensor:
        """Hidden states of packed rows, where a piece attends to its own document only.

        Args:
            ids: Word-piece ids; shape (rows, length).
            positions: Positions within the documents; the same shape.
            documents: Numbers of the documents; the same shape.

        Returns:
            Shape (rows, length, hidden size).
        """
        bert = self.model.bert
        apart = documents[:, None, :, None] != documents[:, None, None, :]
        embedded = bert.embeddings(input_ids=ids, position_ids=positions)
        mask = embedded.new_zeros(apart.shape)
        mask = mask.masked_fill(apart, torch.finfo(mask.dtype).min)
        return bert.encoder(embedded, attention_mask=mask).last_hidden_state

    def forward(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        documents: torch.Tensor,
        where: torch.Tensor,
        labels: torch.Tensor,
        texts: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predict the masked pieces, where the head runs alone, and a teacher's vectors.

        Args:
            ids: See `encode`.
            positions: See `encode`.
            documents: See `encode`.
            where: Places to predict, counted through all rows; shape (places,).
            labels: The pieces to find there, or `packing.IGNORED`; shape (places,).
            texts: Which text a piece belongs to, see `packing.Rows.texts`; the same shape as `ids`.
            targets: The teacher's vectors of the texts; shape (texts, teacher's width).

        Returns:
            The sum of the cross-entropies in nats, the number of pieces found, and how far the
            texts' vectors are from the teacher's (see `distillation.taught_loss`), else 0.
        """
        hidden = self.encode(ids, positions, documents)  # (rows, length, width)
        scores = self.model.cls(hidden.flatten(0, 1).index_select(0, where)).float()
        loss = functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
        taught = loss.new_zeros(())
        if self.projection is not None and texts is not None and targets is not None:
            vectors = pool(hidden, texts, len(targets))  # (texts, width)
            taught = taught_loss(vectors, self.projection(vectors), targets)
        return loss, (scores.argmax(-1) == labels).sum(), taught


def flops(config: dict[str, Any], length: int, rate: float) -> float:
    """Multiplications and additions to learn from one piece: three times a forward pass.

    Counts what the masked language model needs: every matrix product of the encoder,
    attention over whole rows, and the head at the masked places (Kaplan et al. 2020,
    table 1, without its approximations).
    """
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    layer = 4 * hidden * hidden + 2 * hidden * config["intermediate_size"] + 2 * length * hidden
    head = rate * (hidden * hidden + hidden * config["vocab_size"])
    return 3 * 2 * (layers * layer + head)


def new_model(config: dict[str, Any], dropout: float) -> BertForMaskedLM:
    """A model with random weights, drawn from torch's generator.

    Raises:
        BertZhError: The sizes don't fit together.
    """
    try:
        return BertForMaskedLM(_settings(config, dropout))
    except ValueError as error:
        raise BertZhError(f"The network can't be built: {error}") from error


def load_model(folder: Path, dropout: float) -> tuple[BertForMaskedLM, bool]:
    """The model of a checkpoint folder, and whether its MLM head was there too.

    A head that isn't there, or not all of it, is drawn from torch's generator.

    Raises:
        BertZhError: The folder is no checkpoint of a BERT.
    """
    checkpoint = load_checkpoint(str(folder))
    if checkpoint.config["model_type"] == "electra":
        raise BertZhError(
            f"{folder} is an ELECTRA, which has no head of masked language modelling over its "
            "narrow embeddings: pretrain a BERT, RoBERTa or ERNIE"
        )
    if structure(checkpoint.config):
        raise BertZhError(
            f"{folder} is a {checkpoint.config['model_type']}, which isn't pretrained here: "
            "pretrain a BERT, RoBERTa or ERNIE, or learn from it by --teacher"
        )
    model = BertForMaskedLM(_settings(network_settings(checkpoint.config), dropout))
    head = {name: tensor for name, tensor in checkpoint.weights.items() if name.startswith("cls.")}
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items() if name in HEAD}
    has_head = head.keys() >= wanted.keys()
    if has_head:
        found = {name: tensor.shape for name, tensor in head.items()}
        check_shapes(found, wanted, f"{folder}: the MLM head doesn't fit config.json")
    state = {f"bert.{name}": t for name, t in checkpoint.weights.items() if name not in head}
    state |= head if has_head else {}
    # What is tied to other weights is not asked for, and a pooler has no place here.
    model.load_state_dict({k: torch.from_numpy(t) for k, t in state.items()}, strict=False)
    return model, has_head


def _settings(config: dict[str, Any], dropout: float) -> BertConfig:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return BertConfig(**{**config, **rates, "use_cache": False})
