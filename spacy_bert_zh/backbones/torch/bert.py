"""The network of the torch backbone: a BERT, pooled to one row a document."""

import os
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from spacy_bert_zh.backbones.base import check_weights, is_frozen
from spacy_bert_zh.backbones.settings import Pooling
from spacy_bert_zh.backbones.torch.layers import Bert
from spacy_bert_zh.backbones.torch.packed import encode
from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.pieces import Batch, Encoded

# A forked child (nlp.pipe with n_process) inherits OpenMP threads that don't exist there and
# would wait for them for ever. Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

OUT_OF_MEMORY = "Out of GPU memory: the batch is computed in smaller parts (set batch_size lower)"


class PooledBert(nn.Module):
    """BERT (Devlin et al. 2019) with one vector a document.

    Args:
        config: The keys of ``config.json``.
        pooling: ``cls`` is the last hidden state of [CLS]; ``pooler`` that through BERT's
            pretrained tanh layer; ``mean`` the mean over all pieces of a window.
    """

    def __init__(self, config: dict[str, Any], pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling
        self.gradient_checkpointing = False
        self._warned = False
        self.bert: Any = Bert(config, pooler=pooling == "pooler")

    def forward(self, encoded: Encoded, embedded: list[torch.Tensor] | None = None) -> torch.Tensor:
        """Encode all windows; a document's vector is the mean over its windows.

        Args:
            encoded: The windows.
            embedded: What takes the place of their embeddings; see `packed.encode`.

        Returns:
            Shape (documents, hidden size), float32.
        """
        if embedded is None:
            vectors = torch.cat([self._pool(batch) for batch in encoded.batches])
        else:
            vectors = torch.cat(
                [self.pool(*pair) for pair in zip(encoded.batches, embedded, strict=True)]
            )
        docs, windows = (
            torch.from_numpy(rows).to(vectors.device) for rows in (encoded.docs, encoded.windows)
        )
        sums = vectors.new_zeros((encoded.size, vectors.shape[1]))
        sums = sums.index_add(0, docs, vectors[windows])
        return sums / torch.bincount(docs, minlength=encoded.size)[:, None]

    def _pool(self, batch: Batch) -> torch.Tensor:
        """Vectors of the windows; where the memory of a GPU is too small, in two halves."""
        try:
            return self.pool(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1 or torch.is_grad_enabled():
                raise
        if not self._warned:
            warnings.warn(OUT_OF_MEMORY, stacklevel=2)
            self._warned = True
        torch.cuda.empty_cache()
        return torch.cat([self._pool(half) for half in batch.halves()])

    def pool(self, batch: Batch, embedded: torch.Tensor | None = None) -> torch.Tensor:
        """Vectors of windows, shape (windows, hidden size); see `packed.encode`."""
        hidden = encode(
            self.bert,
            batch,
            embedded=embedded,
            first_only=self.pooling != "mean",
            checkpointing=self.gradient_checkpointing,
        )
        if self.pooling == "pooler":
            return torch.tanh(self.bert.pooler.dense(hidden)).float()
        if self.pooling == "cls":
            return hidden.float()
        lengths = torch.from_numpy(batch.lengths).to(hidden.device)
        owners = torch.repeat_interleave(lengths, output_size=len(hidden))
        sums = hidden.new_zeros(len(batch), hidden.shape[1], dtype=torch.float32)
        return sums.index_add(0, owners, hidden.float()) / lengths[:, None]


def build_network(checkpoint: Checkpoint, pooling: Pooling, freeze_layers: int = 0) -> PooledBert:
    """Build the network and fill it with the checkpoint's weights.

    Args:
        checkpoint: Config and weights.
        pooling: See `PooledBert`.
        freeze_layers: Don't train the embeddings and this many layers; 0 trains all.

    Raises:
        BertZhError: The config names an unknown activation, the network has fewer layers, or
            weights are missing or have the wrong shape; it names them.
    """
    check_weights(checkpoint, pooling)
    with torch.device("meta"):  # the checkpoint's weights take the place of random ones
        network = PooledBert(checkpoint.config, pooling)
    network.bert.load_state_dict(
        {
            name: torch.from_numpy(checkpoint.weights[name]).clone()
            for name in network.bert.state_dict()
        },
        assign=True,
    )
    layers = len(network.bert.encoder.layer)
    for name, parameter in network.bert.named_parameters():
        parameter.requires_grad_(not is_frozen(name, layers, freeze_layers))
    return network


def extract_weights(network: PooledBert) -> dict[str, Any]:
    """The network's weights as float32 arrays on the CPU, named as in `BertModel`."""
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().float().numpy())
        for name, tensor in network.bert.state_dict().items()
    }
