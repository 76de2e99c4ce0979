"""``spacy_bert_zh.KerasBackbone.v1``: Docs → one vector each, by a BERT in Keras on TensorFlow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Optimizer, get_current_ops, to_numpy
from thinc.types import Floats2d, FloatsXd

from spacy_bert_zh.backbones.base import BackboneShim, build_backbone, is_frozen
from spacy_bert_zh.backbones.settings import Backbone, Pooling, Precision, Settings
from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import (
    MAX_BATCH_PIECES,
    MAX_WINDOWS,
    Batch,
    Encoded,
    mean_over_windows,
    pad,
    windows_of,
)
from spacy_bert_zh.pieces.perturbation import Perturbation

if TYPE_CHECKING:
    from spacy_bert_zh.backbones.keras.bert import Bert

PREDICT_PIECES = 2048
"""Word pieces of one pass without gradients."""
MOST_PADDING = 512
"""Padded pieces of one pass at most; only attention computes them."""


def build_keras_backbone_v1(
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
    """Build a BERT backbone in Keras; the arguments are those of `TorchBackbone`.

    Here "auto" is float32, for Keras has one precision for learning and for answers.

    Returns:
        Documents to floats of shape (documents, hidden size).

    Raises:
        BertZhError: Values that don't go together, or the extra is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError:
        raise missing_extra("tensorflow", "tensorflow", "spacy_bert_zh.KerasBackbone.v1") from None
    import keras

    if keras.backend.backend() != "tensorflow":
        raise BertZhError(
            "spacy_bert_zh.KerasBackbone.v1 needs Keras on TensorFlow, but Keras runs on "
            f"{keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )
    for gpu in tf.config.list_physical_devices("GPU"):
        # Leave memory to others; too late once TensorFlow has used the GPU.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
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
    return build_backbone("keras", KerasShim(settings), name, revision)


class KerasShim(BackboneShim):
    """Holds a `Bert`, and its forward pass as one graph for all shapes."""

    can_perturb = True

    def build(self, checkpoint: Checkpoint) -> Bert:
        """The network, and its graphs."""
        import tensorflow as tf

        self._process = os.getpid()

        from spacy_bert_zh.backbones.keras.weights import build_network, variables

        bert = build_network(
            checkpoint,
            self.settings.pooling,
            "mixed_bfloat16" if self.settings.mixed_precision is True else "float32",
            self.settings.gradient_checkpointing,
            packed=True,
        )
        layers, freeze = len(bert.blocks), self.settings.freeze_layers
        self._trained = {
            name: variable
            for name, variable in variables(bert).items()
            if not is_frozen(name, layers, freeze)
        }
        self._gradients: dict[str, NDArray[np.float32]] = {}
        self._dropouts = [
            layer.seed_generator.state
            for layer in bert._flatten_layers()
            if getattr(layer, "seed_generator", None) is not None
        ]
        shapes = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)]
        self.graphs = {
            training: tf.function(
                lambda ids, lengths, training=training: bert(ids, lengths, training=training),
                input_signature=shapes,
            )
            for training in (False, True)
        }
        self._noisy = tf.function(
            lambda ids, lengths, noise: bert(ids, lengths, training=True, noise=noise),
            input_signature=[*shapes, tf.TensorSpec((None, None), tf.float32)],
        )
        return bert

    def encode(self, docs: list[Doc], is_train: bool) -> Encoded:
        """Cut documents into batches of little padding."""
        budget = MAX_BATCH_PIECES if is_train else PREDICT_PIECES
        return self._encoder(docs, budget=budget, most_padding=MOST_PADDING, is_train=is_train)

    def predict(self, encoded: Encoded) -> Floats2d:
        """Vectors without gradients, shape (documents, hidden size)."""
        found = [self._run(batch, False).numpy() for batch in encoded.batches]
        return cast(Floats2d, mean_over_windows(encoded, np.concatenate(found)))

    def begin_update(self, encoded: Encoded) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Vectors and a callback that adds to the parameters' gradients."""
        import tensorflow as tf

        # From NumPy's state, which spaCy seeds and a resumed training restores.
        for row, state in enumerate(self._dropouts):
            state.assign(np.asarray([np.random.randint(2**31), row], dtype=np.uint32))
        trained = [variable.value for variable in self._trained.values()]
        perturbation = self.perturbation
        noise = [] if perturbation is None else self._noise(encoded, perturbation)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained + noise)
            pairs = zip_longest(encoded.batches, noise)
            outputs = [self._run(batch, True, added) for batch, added in pairs]
        vectors = mean_over_windows(encoded, np.concatenate([part.numpy() for part in outputs]))

        def backprop(gradient: Floats2d) -> None:
            down = _gradient_of_windows(encoded, to_numpy(gradient))
            ends = np.cumsum([len(batch) for batch in encoded.batches])[:-1]
            parts = [tf.convert_to_tensor(part) for part in np.split(down, ends)]
            slopes = tape.gradient(outputs, trained + noise, output_gradients=parts)
            if perturbation is not None:
                ops = get_current_ops()
                perturbation.gradient = [
                    ops.asarray2f(slope.numpy()) for slope in slopes[len(trained) :]
                ]
                if perturbation.searches:
                    return
            for name, found in zip(self._trained, slopes, strict=False):
                if found is not None:
                    # Those of the embeddings come as slices.
                    dense = tf.convert_to_tensor(found).numpy()
                    kept = self._gradients.get(name)
                    self._gradients[name] = dense.copy() if kept is None else kept + dense

        return cast(Floats2d, vectors), backprop

    def _noise(self, encoded: Encoded, perturbation: Perturbation) -> list[Any]:
        """What is added to the embeddings of each batch; shape (pieces, width)."""
        import tensorflow as tf

        from spacy_bert_zh.backbones.keras.packing import Packing

        ops, embedded = get_current_ops(), []
        for batch in encoded.batches:
            ids, real = pad(batch)
            rows = self.network.embed(ids.astype(np.int32), Packing(real))
            embedded.append(ops.asarray2f(tf.cast(rows, tf.float32).numpy()))
        found = perturbation.begin(encoded, embedded)
        return [tf.convert_to_tensor(to_numpy(one)) for one in found]

    def _run(self, batch: Batch, training: bool, noise: Any = None) -> Any:
        if self._process != os.getpid():
            # TensorFlow's threads don't exist in a forked child, which would wait for them.
            raise BertZhError(
                "TensorFlow can't compute in a forked process (nlp.pipe with n_process): call "
                'multiprocessing.set_start_method("spawn") first'
            )
        ids, _ = pad(batch)
        given = ids.astype(np.int32), batch.lengths.astype(np.int32)
        return self.graphs[training](*given) if noise is None else self._noisy(*given, noise)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Let a thinc optimizer change the parameters, and drop their gradients."""
        ops = get_current_ops()
        for name, gradient in self._gradients.items():
            variable = self._trained[name]
            # A copy: thinc's optimizers write in place, where TensorFlow may still read.
            weights = cast(FloatsXd, ops.asarray(cast(FloatsXd, variable.numpy().copy())))
            # nlp.rehearse hands down a function instead, which only collects gradients.
            options = (
                {"lr_scale": self.rate_scale(name)} if isinstance(optimizer, Optimizer) else {}
            )
            slope = cast(FloatsXd, ops.asarray(cast(FloatsXd, gradient)))
            weights, _ = optimizer((self.id, name), weights, slope, **options)
            variable.assign(to_numpy(weights))
        self._gradients = {}

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Compute with other weights for a while, such as an optimizer's averages."""
        kept = {}
        for name, variable in self._trained.items() if self.is_filled else ():
            if (self.id, name) in params:
                kept[name] = variable.numpy().copy()
                variable.assign(to_numpy(params[self.id, name]))
        try:
            yield
        finally:
            for name, weights in kept.items():
                self._trained[name].assign(weights)

    def to_device(self, device_type: str, device_id: int) -> None:
        """TensorFlow places the network itself."""

    def extract_weights(self) -> dict[str, NDArray[Any]]:
        """The network's weights as float32 arrays, named as in `transformers.BertModel`."""
        from spacy_bert_zh.backbones.keras.weights import extract_weights

        return extract_weights(self.network)

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, and for processes that are spawned: graphs can't be carried over."""
        return _restore, (self.settings, self.to_bytes())


def _restore(settings: Settings, data: bytes) -> KerasShim:
    return KerasShim(settings).from_bytes(data)


def _gradient_of_windows(encoded: Encoded, gradient: NDArray[Any]) -> NDArray[np.float32]:
    """The other way: the gradient of each window's vector, shape (windows, width)."""
    total = sum(len(batch) for batch in encoded.batches)
    down = np.zeros((total, gradient.shape[1]), dtype=np.float32)
    np.add.at(down, encoded.windows, (gradient / windows_of(encoded))[encoded.docs])
    return down
