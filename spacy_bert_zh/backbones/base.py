"""What the engines' backbones have in common: settings, word pieces, storage, thinc's glue."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Self, cast

from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, Shim
from thinc.types import Floats2d

from spacy_bert_zh.backbones.settings import Backbone, Pooling, Settings
from spacy_bert_zh.checkpoint import (
    Checkpoint,
    check_shapes,
    expected_shapes,
    load_checkpoint,
    structure,
    trim,
)
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Documents, Encoded, PieceEncoder
from spacy_bert_zh.pieces.perturbation import Perturbation
from spacy_bert_zh.untrusted import shorten_text


def build_backbone(engine: str, shim: BackboneShim, name: str | None, revision: str) -> Backbone:
    """Build a backbone around a shim; see `build_torch_backbone_v1` for the arguments."""
    return Model(
        f"{engine}_backbone",
        _forward,
        init=partial(_init, name, revision),
        dims={"nO": None},
        shims=[shim],
    )


def _init(
    name: str | None,
    revision: str,
    model: Backbone,
    X: Any = None,
    Y: Any = None,
) -> None:
    shim = model.shims[0]
    assert isinstance(shim, BackboneShim)
    if not shim.is_filled:
        checkpoint = load_checkpoint(name, revision)
        if shim.settings.prefix is not None:
            checkpoint = checkpoint.with_prefix(shim.settings.prefix)
        shim.fill(trim(checkpoint, rule) if (rule := shim.settings.trim) else checkpoint)
    model.set_dim("nO", shim.width)


def _forward(
    model: Backbone, docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    shim = model.shims[0]
    assert isinstance(shim, BackboneShim)
    if not docs:
        return model.ops.alloc2f(0, shim.width), lambda dY: []
    encoded = shim.encode(docs, is_train)
    found, backprop = shim(encoded, is_train)
    vectors = model.ops.asarray2f(cast(Floats2d, found))
    if isinstance(docs, Documents):
        docs.readings, docs.vectors = encoded.readings, vectors

    def backward(dY: Floats2d) -> list[Doc]:
        backprop(dY)
        return []

    return vectors, backward


class BackboneShim(Shim):
    """Holds an engine's network and the tokenizer for thinc.

    Unlike thinc's own shims: safetensors instead of pickle, averaged weights honoured by
    `use_params`, and one learning-rate scale for each layer.

    Args:
        settings: How it reads and learns.

    Attributes:
        can_perturb: Whether the engine can learn against noise.
        perturbation: The noise, for as long as it is set; see `Perturbation`.
    """

    can_perturb = False
    perturbation: Perturbation | None = None

    def __init__(self, settings: Settings) -> None:
        super().__init__(None)
        self.settings = settings
        self._checkpoint: Checkpoint | None = None

    def fill(self, checkpoint: Checkpoint) -> None:
        """Build the network from a checkpoint, on the device that thinc uses now.

        Raises:
            BertZhError: The checkpoint has no network like this one.
        """
        positions = checkpoint.config["max_position_embeddings"]
        if self.settings.max_length > positions:
            raise BertZhError(
                f"Backbone: max_length = {self.settings.max_length}, but the checkpoint has "
                f"only {positions} positions"
            )
        if self.settings.prefix is not None:
            checkpoint = checkpoint.with_prefix(self.settings.prefix)
        encoder = PieceEncoder(
            checkpoint.tokenizer,
            self.settings.max_length,
            self.settings.shared,
            self.settings.max_windows,
            checkpoint.prefix,
        )
        if encoder.room <= self.settings.shared:
            raise BertZhError(
                f"Backbone: the prefix {shorten_text(checkpoint.prefix)!r} takes "
                f"{len(encoder.front)} of max_length = {self.settings.max_length} word pieces, "
                f"which leaves no room for a text (stride = {self.settings.shared}): take a "
                "greater max_length or a shorter prefix"
            )
        self._model = self.build(checkpoint)
        # The weights live in the network from here on.
        self._checkpoint = replace(checkpoint, weights={})
        self._encoder = encoder

    @abstractmethod
    def build(self, checkpoint: Checkpoint) -> Any:
        """The engine's network with the checkpoint's weights."""

    @abstractmethod
    def encode(self, docs: list[Doc], is_train: bool) -> Encoded:
        """Cut documents into batches that suit the engine and the device."""

    @abstractmethod
    def predict(self, encoded: Encoded) -> Floats2d:
        """Vectors without gradients, shape (documents, hidden size)."""

    @abstractmethod
    def begin_update(self, encoded: Encoded) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Vectors and a callback that adds to the parameters' gradients."""

    @abstractmethod
    def extract_weights(self) -> dict[str, NDArray[Any]]:
        """The network's weights as float32 arrays, named as in `transformers.BertModel`."""

    @property
    def is_filled(self) -> bool:
        """Whether the network is there."""
        return self._model is not None

    @property
    def network(self) -> Any:
        """The engine's network.

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
    def encoder(self) -> PieceEncoder:
        """What cuts texts into pieces and windows."""
        assert self.network is not None
        return self._encoder

    def reads_like(self, other: BackboneShim) -> bool:
        """Whether it cuts texts into the same batches of the same pieces as another."""
        return type(self) is type(other) and self.encoder.signature == other.encoder.signature

    @property
    def config(self) -> dict[str, Any]:
        """The checkpoint's ``config.json``."""
        assert self.network is not None and self._checkpoint is not None
        return self._checkpoint.config

    @property
    def width(self) -> int:
        """Length of a document's vector."""
        return int(self.config["hidden_size"])

    def __call__(self, inputs: Any, is_train: bool) -> tuple[Any, Callable[..., Any]]:
        """`begin_update` in training, else `predict`."""
        if is_train:
            return self.begin_update(inputs)
        return self.predict(inputs), lambda gradient: None

    def rate_scale(self, name: str) -> float:
        """How much slower than the head a parameter learns; see `layer_decay`."""
        layers = int(self.config["num_hidden_layers"])
        return float(self.settings.layer_decay ** (layers + 1 - depth(name, layers)))

    def checkpoint(self) -> Checkpoint:
        """Config, tokenizer and the weights as they are now.

        Raises:
            BertZhError: Nothing was initialised or loaded yet.
        """
        assert self.network is not None and self._checkpoint is not None
        return replace(self._checkpoint, weights=self.extract_weights())

    def to_bytes(self) -> bytes:
        """Config, tokenizer and safetensors weights; empty before initialisation."""
        return self.checkpoint().to_bytes() if self.is_filled else b""

    def from_bytes(self, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        if data:
            self.fill(Checkpoint.from_bytes(data))
        return self


def depth(name: str, layers: int) -> int:
    """How deep a tensor of `transformers.BertModel` sits: 0 embeddings, 1 the first layer, …"""
    parts = name.split(".")
    if parts[0] in ("embeddings", "embeddings_project"):
        return 0
    if parts[0] == "encoder":
        return int(parts[2]) + 1
    return layers + 1


def is_frozen(name: str, layers: int, freeze_layers: int) -> bool:
    """Whether a tensor stays as it is; see `freeze_layers`.

    Raises:
        BertZhError: The network has fewer layers.
    """
    if freeze_layers > layers:
        raise BertZhError(f"freeze_layers = {freeze_layers}, but the checkpoint has {layers}")
    return freeze_layers > 0 and depth(name, layers) <= freeze_layers


def check_weights(checkpoint: Checkpoint, pooling: Pooling) -> None:
    """Compare a checkpoint's weights with those that its config and the pooling ask for.

    Raises:
        BertZhError: Some are missing or have the wrong shape; it names them.
    """
    if pooling == "pooler" and structure(checkpoint.config):
        raise BertZhError(
            f"Backbone: pooling = 'pooler', but a {checkpoint.config['model_type']} has no pooler: "
            "take pooling = 'mean' or 'cls'"
        )
    found = {name: array.shape for name, array in checkpoint.weights.items()}
    expected = expected_shapes(checkpoint.config, pooler=pooling == "pooler")
    check_shapes(found, expected, f"The weights don't fit config.json and pooling = '{pooling}'")
