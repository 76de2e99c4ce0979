"""``spacy_bert_zh.TorchBackbone.v1``: Docs → one vector each, by a BERT in torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from spacy.tokens import Doc
from thinc.api import Model, Optimizer, Shim
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device, torch2xp, xp2torch

from spacy_bert_zh.backbones.torch_memory import give_back
from spacy_bert_zh.checkpoint import Checkpoint, load_checkpoint
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import MAX_BATCH_PIECES, Encoded, PieceEncoder

if TYPE_CHECKING:
    import torch

    from spacy_bert_zh.backbones.torch_bert import PooledBert


CPU_PIECES = 1024
"""Word pieces of one pass on a CPU without gradients: what lies in between stays in its cache."""


def build_torch_backbone_v1(
    name: str | None = None,
    revision: str = "main",
    max_length: int = 512,
    stride: int = 64,
    max_windows: int = 0,
    pooling: Literal["cls", "pooler", "mean"] = "cls",
    mixed_precision: bool = False,
    freeze_layers: int = 0,
    layer_decay: float = 1.0,
    gradient_checkpointing: bool = False,
) -> Model[list[Doc], Floats2d]:
    """Build a BERT backbone in torch; its weights come with `initialize` or `from_bytes`.

    Args:
        name: A checkpoint folder, or a name on the Hugging Face hub; None takes the
            checkpoint that ships with this package. Read by `nlp.initialize` only: a
            trained pipeline holds its weights itself.
        revision: Branch, tag or commit on the hub.
        max_length: Word pieces in one window, [CLS] and [SEP] included.
        stride: Word pieces that consecutive windows of a long document share.
        max_windows: Windows read of one document; 0 reads the document whole.
            ``doc._.bert_textcat`` tells how many pieces were read of how many.
        pooling: How a window becomes a vector: ``cls``, ``pooler`` or ``mean``.
        mixed_precision: Compute in bfloat16 where that is safe; the weights stay float32.
        freeze_layers: Keep the embeddings and this many lowest layers as they are.
        layer_decay: Each layer learns this much slower than the one above it
            (Clark et al. 2020, ELECTRA, section 3.3); 1.0 is off.
        gradient_checkpointing: Train with less memory and about a third more time.

    Returns:
        Documents to floats of shape (documents, hidden size).

    Raises:
        BertZhError: Values that don't go together, or the extra is not installed.
    """
    try:
        import spacy_bert_zh.backbones.torch_bert  # noqa: F401
    except ImportError as error:
        raise missing_extra(
            error.name or "torch", "torch", "spacy_bert_zh.TorchBackbone.v1"
        ) from None
    if max_length < 3 or not 0 <= stride < max_length - 2:
        raise BertZhError(
            f"Backbone: stride = {stride} must be at least 0 and smaller than max_length - 2 "
            f"(max_length = {max_length})"
        )
    settings = {
        "max_length": max_length,
        "stride": stride,
        "max_windows": max_windows,
        "pooling": pooling,
        "mixed_precision": mixed_precision,
        "freeze_layers": freeze_layers,
        "layer_decay": layer_decay,
        "gradient_checkpointing": gradient_checkpointing,
    }
    return Model(
        "torch_backbone",
        _forward,
        init=partial(_init, name, revision),
        dims={"nO": None},
        shims=[TorchShim(settings)],
    )


def _init(
    name: str | None,
    revision: str,
    model: Model[list[Doc], Floats2d],
    X: Any = None,
    Y: Any = None,
) -> None:
    shim = model.shims[0]
    assert isinstance(shim, TorchShim)
    if not shim.is_filled:
        shim.fill(load_checkpoint(name, revision))
    model.set_dim("nO", shim.width)


def _forward(
    model: Model[list[Doc], Floats2d], docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    shim = model.shims[0]
    assert isinstance(shim, TorchShim)
    if not docs:
        return model.ops.alloc2f(0, shim.width), lambda dY: []
    vectors, backprop = shim(shim.encode(docs, is_train), is_train)

    def backward(dY: Floats2d) -> list[Doc]:
        backprop(xp2torch(dY, device=vectors.device))
        return []

    return model.ops.asarray2f(cast(Floats2d, torch2xp(vectors))), backward


class TorchShim(Shim):
    """Holds a `PooledBert` and its tokenizer for thinc.

    Unlike thinc's own: safetensors instead of pickle, averaged weights honoured by
    `use_params`, and one learning-rate scale for each layer.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(None, settings)
        self._checkpoint: Checkpoint | None = None

    def fill(self, checkpoint: Checkpoint) -> None:
        """Build the network from a checkpoint, on the device that thinc uses now."""
        from spacy_bert_zh.backbones.torch_bert import build_network

        positions = checkpoint.config.get("max_position_embeddings", 512)
        if self.cfg["max_length"] > positions:
            raise BertZhError(
                f"Backbone: max_length = {self.cfg['max_length']}, but the checkpoint has "
                f"only {positions} positions"
            )
        network = build_network(checkpoint, self.cfg["pooling"])
        network.freeze(self.cfg["freeze_layers"])
        network.gradient_checkpointing = self.cfg["gradient_checkpointing"]
        self._model = network.to(get_torch_default_device())
        # The weights live in the network from here on.
        self._checkpoint = replace(checkpoint, weights={})
        self._encoder = PieceEncoder(
            checkpoint.tokenizer,
            self.cfg["max_length"],
            self.cfg["stride"],
            self.cfg["max_windows"],
        )

    @property
    def is_filled(self) -> bool:
        """Whether the network is there."""
        return self._model is not None

    @property
    def network(self) -> PooledBert:
        """The torch module.

        Raises:
            BertZhError: Nothing was initialised or loaded yet.
        """
        if self._model is None:
            raise BertZhError(
                "The BERT backbone has no weights yet: call nlp.initialize(), "
                "or load a trained pipeline"
            )
        return self._model

    @property
    def width(self) -> int:
        """Length of a document's vector."""
        return int(self.network.bert.config.hidden_size)

    def encode(self, docs: list[Doc], is_train: bool) -> Encoded:
        """Cut documents into batches that suit the device."""
        small = self.network.bert.device.type == "cpu" and not is_train
        budget = CPU_PIECES if small else MAX_BATCH_PIECES
        return self._encoder(docs, budget=budget, is_train=is_train)

    def predict(self, encoded: Encoded) -> torch.Tensor:
        """Vectors without gradients, shape (documents, hidden size)."""
        import torch

        self.network.eval()
        with torch.inference_mode(), self._autocast():
            vectors: torch.Tensor = self.network(encoded)
        give_back()
        return vectors

    def begin_update(self, encoded: Encoded) -> tuple[torch.Tensor, Callable[[torch.Tensor], None]]:
        """Vectors and a callback that adds to the parameters' gradients."""
        self.network.train()
        with self._autocast():
            vectors = self.network(encoded)

        def backprop(gradient: torch.Tensor) -> None:
            if vectors.requires_grad:  # not with every layer frozen
                vectors.backward(gradient)

        return vectors.detach(), backprop

    def __call__(self, inputs: Any, is_train: bool) -> tuple[Any, Callable[..., Any]]:
        """`begin_update` in training, else `predict`."""
        if is_train:
            return self.begin_update(inputs)
        return self.predict(inputs), lambda gradient: None

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if not self.cfg["mixed_precision"]:
            return contextlib.nullcontext()
        device = self.network.bert.device.type
        if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise BertZhError(
                "mixed_precision computes in bfloat16, which this GPU can't: "
                "set mixed_precision = false"
            )
        return torch.autocast(device, dtype=torch.bfloat16)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let a thinc optimizer change the parameters, and drop their gradients."""
        network = self.network
        for name, parameter in network.named_parameters():
            if parameter.grad is None:
                continue
            scale = self.cfg["layer_decay"] ** (network.layers + 1 - network.depth(name))
            weights = cast(FloatsXd, torch2xp(parameter.data))
            gradient = cast(FloatsXd, torch2xp(parameter.grad))
            # nlp.rehearse hands down a function instead, which only collects gradients.
            options = {"lr_scale": scale} if isinstance(optimizer, Optimizer) else {}
            weights, _ = optimizer((self.id, name), weights, gradient, **options)
            parameter.data = xp2torch(weights, device=parameter.device)
            parameter.grad = None
        give_back()

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Compute with other weights for a while, such as an optimizer's averages."""
        kept = {}
        for name, parameter in self.network.named_parameters() if self.is_filled else ():
            if (self.id, name) in params:
                kept[name] = parameter.data
                parameter.data = xp2torch(params[self.id, name], device=parameter.device)
        try:
            yield
        finally:
            for name, parameter in self.network.named_parameters() if kept else ():
                parameter.data = kept.get(name, parameter.data)

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the network to ``cpu`` or to a ``gpu``."""
        if self.is_filled:
            self._model.to("cpu" if device_type == "cpu" else f"cuda:{device_id}")

    def to_bytes(self) -> bytes:
        """Config, tokenizer and safetensors weights; empty before initialisation."""
        from spacy_bert_zh.backbones.torch_bert import extract_weights

        if self._checkpoint is None:
            return b""
        return replace(self._checkpoint, weights=extract_weights(self.network)).to_bytes()

    def from_bytes(self, data: bytes) -> TorchShim:
        """Read what `to_bytes` wrote."""
        if data:
            self.fill(Checkpoint.from_bytes(data))
        return self
