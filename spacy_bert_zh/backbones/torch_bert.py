"""The network of the torch backbone: `transformers.BertModel`, pooled to one row a document."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Batch


@contextlib.contextmanager
def without_tensorflow() -> Iterator[None]:
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


with without_tensorflow():
    from transformers import BertConfig, BertModel

# A forked child (nlp.pipe with n_process) inherits OpenMP threads that don't exist there and
# would wait for them for ever.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

Pooling = Literal["cls", "pooler", "mean"]


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
        # The cache is for text generation; transformers 5 warns of it under checkpointing.
        settings = BertConfig(**{**config, "use_cache": False})
        self.bert = BertModel(settings, add_pooling_layer=pooling == "pooler")

    def forward(self, batches: Sequence[Batch], n_docs: int) -> torch.Tensor:
        """Encode all windows; a document's vector is the mean over its windows.

        Returns:
            Shape (n_docs, hidden size), float32.
        """
        device = self.bert.device
        pieces = self._look_up(batches, device)
        pooled = [self._pool(batch, part) for batch, part in zip(batches, pieces, strict=True)]
        vectors = torch.cat(pooled).float()
        docs = np.concatenate([batch.docs for batch in batches])
        counts = torch.from_numpy(np.bincount(docs, minlength=n_docs)).to(device)
        sums = vectors.new_zeros((n_docs, vectors.shape[1]))
        sums = sums.index_add(0, torch.from_numpy(docs).to(device), vectors)
        return sums / counts[:, None]

    def _look_up(self, batches: Sequence[Batch], device: torch.device) -> Iterable[torch.Tensor]:
        """The pieces' embeddings, batch by batch, each of shape (windows × pieces, width)."""
        table = self.bert.get_input_embeddings()
        ids = [torch.from_numpy(batch.ids.ravel()).to(device) for batch in batches]
        if not torch.is_grad_enabled():
            return map(table, ids)  # one batch at a time, whatever a document's length
        # Each look-up of its own would make a gradient as large as the whole table.
        return table(torch.cat(ids)).split([len(part) for part in ids])

    def _pool(self, batch: Batch, pieces: torch.Tensor) -> torch.Tensor:
        mask = torch.from_numpy(batch.mask).to(pieces.device)
        vectors = pieces.view(*batch.ids.shape, -1)
        output = self.bert(inputs_embeds=vectors, attention_mask=mask, return_dict=True)
        if self.pooling == "pooler":
            return output.pooler_output
        hidden = output.last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = mask[:, :, None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)

    def depth(self, name: str) -> int:
        """How deep the parameter `name` sits: 0 embeddings, 1 the first layer, …"""
        parts = name.split(".")
        if parts[1] == "embeddings":
            return 0
        if parts[1] == "encoder":
            return int(parts[3]) + 1
        return self.layers + 1

    @property
    def layers(self) -> int:
        """Number of transformer layers."""
        return int(self.bert.config.num_hidden_layers)

    def freeze(self, layers: int) -> None:
        """Stop training the embeddings and the first `layers` layers; 0 trains all.

        Raises:
            BertZhError: The network has fewer layers.
        """
        if layers > self.layers:
            raise BertZhError(f"freeze_layers = {layers}, but the checkpoint has {self.layers}")
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(layers == 0 or self.depth(name) > layers)


def build_network(checkpoint: Checkpoint, pooling: Pooling) -> PooledBert:
    """Build the network and fill it with the checkpoint's weights.

    Raises:
        BertZhError: The config makes no sense, or weights are missing or have the wrong
            shape; it names them.
    """
    try:
        network = PooledBert(checkpoint.config, pooling)
    except Exception as error:  # transformers and its parts have no error class in common
        reason = " ".join(str(error).split())
        raise BertZhError(f"config.json doesn't describe a BERT: {reason}") from error
    state = network.bert.state_dict()
    wrong = [
        f"{name} {_shape(checkpoint.weights.get(name))} instead of {_shape(tensor)}"
        for name, tensor in state.items()
        if _shape(checkpoint.weights.get(name)) != _shape(tensor)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BertZhError(
            f"The weights don't fit config.json and pooling = '{pooling}': "
            + "; ".join(wrong[:3])
            + more
        )
    network.bert.load_state_dict(
        {name: torch.from_numpy(checkpoint.weights[name]) for name in state}
    )
    return network


def _shape(tensor: Any) -> str:
    return "missing" if tensor is None else str(tuple(tensor.shape))


def extract_weights(network: PooledBert) -> dict[str, Any]:
    """The network's weights as float32 arrays on the CPU, named as in `BertModel`."""
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().float().numpy())
        for name, tensor in network.bert.state_dict().items()
    }
