"""``spacy_bert_zh.TorchBackbone.v1``: Docs → one vector each, by a BERT in torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Optimizer
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device, torch2xp, xp2torch

from spacy_bert_zh.backbones.base import BackboneShim, build_backbone
from spacy_bert_zh.backbones.settings import Backbone, Pooling, Precision, Settings
from spacy_bert_zh.backbones.torch.adam import FusedAdam
from spacy_bert_zh.backbones.torch.memory import give_back
from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.pieces import MAX_BATCH_PIECES, MAX_WINDOWS, Encoded
from spacy_bert_zh.pieces.perturbation import Perturbation

if TYPE_CHECKING:
    import torch

    from spacy_bert_zh.backbones.torch.bert import PooledBert


CPU_PIECES = 1024
"""Word pieces of one pass on a CPU without gradients: what lies in between stays in its cache."""


def build_torch_backbone_v1(
    name: str | None = None,
    revision: str = "main",
    max_length: int = 128,
    stride: int | None = None,
    max_windows: int = MAX_WINDOWS,
    pooling: Pooling = "mean",
    mixed_precision: Precision = "auto",
    freeze_layers: int = 0,
    layer_decay: float = 1.0,
    gradient_checkpointing: bool = False,
    prefix: str | None = None,
    trim: str | None = None,
) -> Backbone:
    """Build a BERT backbone in torch; its weights come with `initialize` or `from_bytes`.

    Args:
        name: A checkpoint folder, or a name on the Hugging Face hub; None takes the
            checkpoint that ships with this package. Read by `nlp.initialize` only: a
            trained pipeline holds its weights itself.
        revision: Branch, tag or commit on the hub.
        max_length: Word pieces in one window, [CLS] and [SEP] included.
        stride: Word pieces that consecutive windows of a long document share; None is an eighth
            of `max_length`.
        max_windows: Windows read of one document; 0 reads the document whole.
            ``doc._.bert_textcat`` tells how many pieces were read of how many.
        pooling: How a window becomes a vector: ``cls``, ``pooler`` or ``mean``.
        mixed_precision: Compute in bfloat16 where that is safe; the weights stay float32. "auto"
            does so in training alone, on a GPU that can (Ampere or newer) and a CPU with AMX: a
            trained pipeline gives the same scores everywhere.
        freeze_layers: Keep the embeddings and this many lowest layers as they are.
        layer_decay: Each layer learns this much slower than the one above it
            (Clark et al. 2020, ELECTRA, section 3.3); 1.0 is off.
        gradient_checkpointing: Train with less memory and about a third more time.
        prefix: Stands in front of each text, such as "query: " for an E5; its word pieces begin
            every window and count in `max_length`. None is what the checkpoint says (``prefix``
            in ``config.json``, or the default prompt of ``config_sentence_transformers.json``),
            else nothing; an empty one is nothing. It is stored with the weights.
        trim: Leave pieces out when the checkpoint is read, and their embeddings: "zh" those with
            words of scripts that Chinese texts don't use, the path of a text file those that its
            lines don't use. For tokenizers of many languages, see `checkpoint.trim`.

    Returns:
        Documents to floats of shape (documents, hidden size).

    Raises:
        BertZhError: Values that don't go together, or the extra is not installed.
    """
    try:
        import spacy_bert_zh.backbones.torch.bert  # noqa: F401
    except ImportError as error:
        raise missing_extra(
            error.name or "torch", "torch", "spacy_bert_zh.TorchBackbone.v1"
        ) from None
    settings = Settings(
        max_length=max_length,
        stride=stride,
        max_windows=max_windows,
        pooling=pooling,
        mixed_precision=mixed_precision,
        freeze_layers=freeze_layers,
        layer_decay=layer_decay,
        gradient_checkpointing=gradient_checkpointing,
        prefix=prefix,
        trim=trim,
    )
    return build_backbone("torch", TorchShim(settings), name, revision)


class TorchShim(BackboneShim):
    """Holds a `PooledBert`."""

    can_perturb = True

    def build(self, checkpoint: Checkpoint) -> PooledBert:
        """The network, on the device that thinc uses now."""
        from spacy_bert_zh.backbones.torch.bert import build_network

        network = build_network(checkpoint, self.settings.pooling, self.settings.freeze_layers)
        network.gradient_checkpointing = self.settings.gradient_checkpointing
        return network.to(get_torch_default_device())

    def encode(self, docs: list[Doc], is_train: bool) -> Encoded:
        """Cut documents into batches that suit the device."""
        small = self.network.bert.device.type == "cpu" and not is_train
        budget = CPU_PIECES if small else MAX_BATCH_PIECES
        return self._encoder(docs, budget=budget, is_train=is_train)

    def predict(self, encoded: Encoded) -> Floats2d:
        """Vectors without gradients, shape (documents, hidden size)."""
        import torch

        self.network.eval()
        with torch.inference_mode(), self._autocast(learning=False):
            vectors = self.network(encoded)
        give_back()
        return cast(Floats2d, torch2xp(vectors))

    def begin_update(self, encoded: Encoded) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Vectors and a callback that adds to the parameters' gradients."""
        self.network.train()
        perturbation = self.perturbation
        noise: list[torch.Tensor] = []
        with self._autocast(learning=True):
            embedded = None
            if perturbation is not None:
                embedded, noise = self._embed(encoded, perturbation)
            vectors = self.network(encoded, embedded)

        def backprop(gradient: Floats2d) -> None:
            import torch

            slope = xp2torch(gradient, device=vectors.device)
            if perturbation is not None and perturbation.searches:
                found = torch.autograd.grad(vectors, noise, slope)
            elif vectors.requires_grad:  # not with every layer frozen
                vectors.backward(slope)
                found = tuple(cast("torch.Tensor", one.grad) for one in noise)
            if perturbation is not None:
                perturbation.gradient = [torch2xp(one) for one in found]

        return cast(Floats2d, torch2xp(vectors.detach())), backprop

    def _embed(
        self, encoded: Encoded, perturbation: Perturbation
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Embeddings with noise, and the noise, whose gradient is wanted; (pieces, width) each."""
        from spacy_bert_zh.backbones.torch.packed import embed

        device = self.network.bert.device
        plain = [embed(self.network.bert, batch) for batch in encoded.batches]
        added = perturbation.begin(encoded, [torch2xp(one.detach().float()) for one in plain])
        noise = [xp2torch(one, device=device).requires_grad_() for one in added]
        return [one + more for one, more in zip(plain, noise, strict=True)], noise

    def extract_weights(self) -> dict[str, NDArray[Any]]:
        """The network's weights as float32 arrays on the CPU."""
        from spacy_bert_zh.backbones.torch.bert import extract_weights

        return extract_weights(self.network)

    def _autocast(self, learning: bool) -> contextlib.AbstractContextManager[Any]:
        from spacy_bert_zh.backbones.torch.precision import autocast

        return autocast(self.network.bert.device, self.settings.mixed_precision, learning)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let a thinc optimizer change the parameters, and drop their gradients."""
        learning = [pair for pair in self._parameters() if pair[1].grad is not None]
        if isinstance(optimizer, FusedAdam):
            optimizer.update_all(
                ((self.id, name), one.data, cast("torch.Tensor", one.grad), self.rate_scale(name))
                for name, one in learning
            )
            for _, parameter in learning:
                parameter.grad = None
            return give_back()
        for name, parameter in learning:
            weights = cast(FloatsXd, torch2xp(parameter.data))
            gradient = cast(FloatsXd, torch2xp(cast("torch.Tensor", parameter.grad)))
            # nlp.rehearse hands down a function instead, which only collects gradients.
            options = (
                {"lr_scale": self.rate_scale(name)} if isinstance(optimizer, Optimizer) else {}
            )
            weights, _ = optimizer((self.id, name), weights, gradient, **options)
            parameter.data = xp2torch(weights, device=parameter.device)
            parameter.grad = None
        give_back()

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Compute with other weights for a while, such as an optimizer's averages."""
        kept = {}
        for name, parameter in self._parameters() if self.is_filled else ():
            if (self.id, name) in params:
                kept[name] = parameter.data
                parameter.data = xp2torch(params[self.id, name], device=parameter.device)
        try:
            yield
        finally:
            for name, parameter in self._parameters() if kept else ():
                parameter.data = kept.get(name, parameter.data)

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to ``cpu`` or to a ``gpu``."""
        if self.is_filled:
            self._model.to("cpu" if device_type == "cpu" else f"cuda:{device_id}")

    def _parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The network's parameters, named as in `transformers.BertModel`."""
        return cast("PooledBert", self.network).bert.named_parameters()
