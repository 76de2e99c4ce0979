"""A trained pipeline on ONNX Runtime, in a smaller form that still says the same."""

from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.backbones.onnx import saving as onnx_saving
from spacy_bert_zh.backbones.onnx.backbone import MOST_PADDING, PIECES
from spacy_bert_zh.backbones.onnx.building import build_graph
from spacy_bert_zh.backbones.onnx.quantize import Inputs, quantize, rank_layers
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import predict, read_as_classified
from spacy_bert_zh.export.gate import Comparison, check, compare
from spacy_bert_zh.loading import Network, Parts, find_textcat
from spacy_bert_zh.pieces import PieceEncoder, pad
from spacy_bert_zh.textcat import quantize_table

CALIBRATION_TEXTS = 512
"""Texts of the corpus that scales are found from, and sensitive layers."""


@dataclass(frozen=True)
class Small:
    """An exported pipeline.

    Attributes:
        nlp: The pipeline.
        graphs: Of its BERT, or of each of a committee; `onnx.ModelProto`.
        kept: Linear layers that stay in float32 though the others don't.
        comparison: With the pipeline it was made from, if there was a corpus.
    """

    nlp: Language
    graphs: list[Any]
    kept: tuple[str, ...] = ()
    comparison: Comparison | None = None

    @property
    def passes(self) -> bool:
        """Whether it is good enough, as far as is known."""
        return self.comparison is None or self.comparison.passes

    def facts(self, precision: str) -> dict[str, Any]:
        """For meta.json and the model card."""
        compared = asdict(self.comparison) if self.comparison else {}
        kept = {"kept_in_float32": list(self.kept)} if self.kept else {}
        return {"format": "onnx", "precision": precision, **kept, **compared}


def shrink(
    nlp: Language,
    pipe: TextCategorizer,
    parts: Parts,
    precision: str,
    dev: Path | None,
    force: bool,
) -> Small:
    """Let a pipeline's text classifier compute by ONNX graphs.

    If eight bits cost too much, more and more of the linear layers stay in float32, those first
    whose quantisation alone changes the vectors most; at most half of them. In a committee so many
    of each BERT's.

    Args:
        nlp: The pipeline; it stays as it is.
        pipe: Its text classifier.
        parts: Of that.
        precision: ``fp32``, ``fp16``, ``int8`` (dynamic) or ``int8-static``.
        dev: A ``.spacy`` file or a folder of them, to compare on and to find scales from.
        force: Take the first form, however bad.

    Raises:
        BertZhError: Even the best form is worse than `gate` allows.
    """
    quantized = precision.startswith("int8")
    exact = [
        build_graph(one.checkpoint, one.settings["pooling"], precision) for one in parts.networks
    ]
    samples = [_samples(nlp, one, dev) if dev and quantized else [] for one in parts.networks]
    static = precision == "int8-static"
    before = predict(nlp, pipe, dev) if dev else None

    def make(kept: list[tuple[str, ...]]) -> Small:
        graphs = exact
        if quantized:
            graphs = [
                quantize(graph, some if static else (), keep)
                for graph, some, keep in zip(exact, samples, kept, strict=True)
            ]
        exported = onnx_saving.exchange(nlp, pipe.name, parts, graphs)
        if quantized and parts.ngrams is not None:
            quantize_table(find_textcat(exported, pipe.name).model.layers[2])
        keep = tuple(chain.from_iterable(kept))
        if dev is None or before is None:
            return Small(exported, graphs)
        comparison = compare(before, predict(exported, find_textcat(exported, pipe.name), dev))
        print(f"{precision}{f', {len(keep)} layers in float32' if keep else ''}: {comparison}")
        return Small(exported, graphs, keep, comparison)

    small = make([() for _ in exact])
    if force or small.passes:
        return small
    rankings = [
        rank_layers(graph, some, static) if some else []
        for graph, some in zip(exact, samples, strict=True)
    ]
    count = 1
    while not small.passes and count <= min(map(len, rankings)) // 2:
        small = make([tuple(ranking[:count]) for ranking in rankings])
        count *= 2
    if small.comparison:
        check(small.comparison)
    return small


def _samples(nlp: Language, network: Network, dev: Path) -> list[Inputs]:
    """What the network reads of the first texts of a corpus, in its batches."""
    docs = list(islice(read_as_classified(nlp, dev), CALIBRATION_TEXTS))
    if not docs:
        raise BertZhError(f"The corpus {dev} holds no text: convert it again")
    tokenizer, given = network.checkpoint.tokenizer, network.settings
    length, stride, most = (given[name] for name in ("max_length", "stride", "max_windows"))
    encoder = PieceEncoder(tokenizer, length, stride, most, network.checkpoint.prefix)
    encoded = encoder(docs, budget=PIECES, most_padding=MOST_PADDING)
    padded = [pad(batch) for batch in encoded.batches]
    return [{"input_ids": ids, "attention_mask": real.astype(np.int64)} for ids, real in padded]
