"""``spacy_bert_zh.OnnxBackbone.v1``: Docs → one vector each, by a BERT in ONNX Runtime."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.types import Floats2d

from spacy_bert_zh.backbones.base import BackboneShim, build_backbone
from spacy_bert_zh.backbones.onnx.reading import check_graph
from spacy_bert_zh.backbones.settings import Backbone, Pooling, Settings
from spacy_bert_zh.checkpoint import Checkpoint, check_finite, holds_graph, pack, unpack
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.pieces import MAX_WINDOWS, Batch, Encoded, mean_over_windows, pad
from spacy_bert_zh.untrusted import one_line, shorten

PIECES = 1024
"""Word pieces of one pass: what lies in between stays in the CPU's cache."""
MOST_PADDING = 256
"""Padded pieces of one pass at most; only attention computes them."""


def build_onnx_backbone_v1(
    name: str | None = None,
    revision: str = "main",
    max_length: int = 128,
    stride: int | None = None,
    max_windows: int = MAX_WINDOWS,
    pooling: Pooling = "mean",
    providers: Sequence[str] = ("CPUExecutionProvider",),
    threads: int = 1,
    prefix: str | None = None,
) -> Backbone:
    """Build a BERT backbone that classifies by ONNX Runtime and can't learn; `export` makes one.

    It also reads what the other engines' backbones have stored, for which it needs the package
    `onnx`; so does `initialize`, which reads a checkpoint.

    Args:
        name: See `TorchBackbone`, as are the next five.
        revision: Branch, tag or commit on the hub.
        max_length: Word pieces in one window, [CLS] and [SEP] included.
        stride: Word pieces that consecutive windows of a long document share; None is an eighth
            of `max_length`.
        max_windows: Windows read of one document; 0 reads the document whole.
        pooling: ``cls``, ``pooler`` or ``mean``.
        providers: ONNX Runtime's execution providers, the first one that can takes a node.
        threads: Of one computation; 0 takes all cores.
        prefix: See `TorchBackbone`.

    Returns:
        Documents to floats of shape (documents, hidden size).

    Raises:
        BertZhError: Values that don't go together, a provider that is not there, or the extra
            is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "onnx", "spacy_bert_zh.OnnxBackbone.v1") from None
    available = onnxruntime.get_available_providers()
    if missing := [provider for provider in providers if provider not in available]:
        raise BertZhError(
            f"ONNX Runtime has no {', '.join(missing)} here, only {', '.join(available)}: change "
            "'providers' of the backbone, or install the build of onnxruntime that has it"
        )
    settings = OnnxSettings(
        max_length=max_length,
        stride=stride,
        max_windows=max_windows,
        pooling=pooling,
        providers=tuple(providers),
        threads=threads,
        prefix=prefix,
    )
    return build_backbone("onnx", OnnxShim(settings), name, revision)


@dataclass(frozen=True)
class OnnxSettings(Settings):
    """How it reads, and what computes."""

    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 1


class OnnxShim(BackboneShim):
    """Holds a graph, and ONNX Runtime's session of it."""

    settings: OnnxSettings

    graph = b""

    def build(self, checkpoint: Checkpoint) -> Any:
        """The session; of the graph that is there, or one made from the weights."""
        if checkpoint.weights:
            self.graph = make_graph(checkpoint, self.settings.pooling, "fp32")
        return self._session()

    def _session(self) -> Any:
        import onnxruntime

        self._process = os.getpid()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.settings.threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the time of whoever shares the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if self.settings.providers == ("CPUExecutionProvider",) and not has_vnni():
            # Only for int8-static: weights stay small in the file and become floats here.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            return onnxruntime.InferenceSession(
                self.graph, options, providers=list(self.settings.providers)
            )
        except Exception as error:  # ONNX Runtime's own errors have no class in common
            raise BertZhError(f"The ONNX graph can't be used: {one_line(error)}") from error

    def exchange(self, checkpoint: Checkpoint, graph: bytes) -> None:
        """Compute by another graph from now on.

        Args:
            checkpoint: Config and tokenizer that belong to it; weights are not looked at.
            graph: With the inputs and the output of `build_graph`.
        """
        self.graph = graph
        self.fill(replace(checkpoint, weights={}))

    def encode(self, docs: list[Doc], is_train: bool) -> Encoded:
        """Cut documents into batches of little padding."""
        return self._encoder(docs, budget=PIECES, most_padding=MOST_PADDING, is_train=is_train)

    def predict(self, encoded: Encoded) -> Floats2d:
        """Vectors without gradients, shape (documents, hidden size)."""
        if self._process != os.getpid():  # threads of a session don't exist in a forked child
            self._model = self._session()
        vectors = np.concatenate([self._run(batch) for batch in encoded.batches])
        return cast(Floats2d, mean_over_windows(encoded, vectors))

    def _run(self, batch: Batch) -> NDArray[np.float32]:
        ids, real = pad(batch)
        inputs = {"input_ids": ids, "attention_mask": real.astype(np.int64)}
        found: NDArray[np.float32] = self.network.run(["vectors"], inputs)[0]
        return found

    def begin_update(self, encoded: Encoded) -> tuple[Floats2d, Callable[[Floats2d], None]]:
        """Refused.

        Raises:
            BertZhError: Always.
        """
        self._cant_learn()

    def extract_weights(self) -> dict[str, NDArray[Any]]:
        """Refused, see `begin_update`."""
        self._cant_learn()

    def _cant_learn(self) -> NoReturn:
        raise BertZhError(
            "An OnnxBackbone can neither learn nor be exported: train and export the pipeline "
            "that it was made from"
        )

    def to_bytes(self) -> bytes:
        """Config, tokenizer and graph; empty before initialisation."""
        if self._checkpoint is None:
            return b""
        return pack(self._checkpoint, "graph", self.graph, self.settings.pooling)

    def from_bytes(self, data: bytes) -> Self:
        """Read what `to_bytes` of this or another engine wrote.

        Raises:
            BertZhError: It is damaged, or its graph does what ours don't.
        """
        if not data or not holds_graph(data):
            return super().from_bytes(data)
        stored = unpack(data, "graph")
        # Earlier versions didn't say.
        if stored.pooling not in (None, self.settings.pooling):
            raise BertZhError(
                f"Backbone: pooling = '{self.settings.pooling}', but the ONNX graph pools by "
                f"{shorten(stored.pooling)}: export the pipeline with the other setting"
            )
        check_graph(stored.content)
        self.exchange(stored.checkpoint, stored.content)
        self._try_out()
        return self

    def _try_out(self) -> None:
        """Let the graph read [CLS], [SEP]: it must give what its config says.

        Raises:
            BertZhError: It doesn't.
        """
        cls, sep = (self._encoder.tokenizer.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
        ids = np.asarray([cls, sep], dtype=np.int64)
        try:
            found = self._run(Batch(ids, np.asarray([2], dtype=np.int64)))
        except Exception as error:  # as in `_session`
            raise BertZhError(f"The ONNX graph can't be used: {one_line(error)}") from error
        if found.shape != (1, self.width) or found.dtype != np.float32:
            raise BertZhError(
                f"The ONNX graph gives {found.dtype} of shape {found.shape} instead of float32 of "
                f"shape {(1, self.width)}: it is of another model than its config.json"
            )
        check_finite("of the ONNX graph", found, "The stored backbone")

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, and for processes that are spawned: a session can't be carried over."""
        return _restore, (self.settings, self.to_bytes())


def has_vnni() -> bool:
    """Whether products of eight bits are faster here than those of floats.

    On x86 they are where the CPU has VNNI, which sums up four of them at once; without it
    ONNX Runtime needs 1.3 times as long as with floats (`benchmarks/narrow.py`).
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:  # not Linux
        return True
    return "avx512_vnni" in told or "avx_vnni" in told


def _restore(settings: OnnxSettings, data: bytes) -> OnnxShim:
    return OnnxShim(settings).from_bytes(data)


def make_graph(checkpoint: Checkpoint, pooling: Pooling, precision: str) -> bytes:
    """A checkpoint's graph, see `onnx_graph.build_graph`.

    Raises:
        BertZhError: The package `onnx` is missing, or the config asks for what is not here.
    """
    try:
        from spacy_bert_zh.backbones.onnx.building import build_graph
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "onnx-export", "Making an ONNX graph") from None
    graph: bytes = build_graph(checkpoint, pooling, precision).SerializeToString()
    return graph
