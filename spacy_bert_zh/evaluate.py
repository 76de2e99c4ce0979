"""Measure a trained pipeline on a corpus: metrics.json for programs, report.html for people."""

import json
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, claim, made
from spacy_bert_zh.loading import find_textcat, is_exclusive, load_pipeline, use_gpu
from spacy_bert_zh.metrics import measure
from spacy_bert_zh.predictions import predict
from spacy_bert_zh.report import render_report

OUTPUTS = ("metrics.json", "report.html")
EXCERPT = 120  # characters of a text that are kept for the report


def evaluate(
    pipeline: str | Path,
    corpus: Path,
    output_dir: Path,
    *,
    gpu_id: int = -1,
    component: str | None = None,
) -> dict[str, Any]:
    """Evaluate a text classifier and write ``metrics.json`` and ``report.html``.

    Precision, recall and F1 are those of ``spacy evaluate``.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        corpus: A ``.spacy`` file, or a folder of them.
        output_dir: Folder to write to.
        gpu_id: The GPU to predict on; -1 for the CPU.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        The content of ``metrics.json``.

    Raises:
        BertZhError: Bad input, or files of these names that aren't from `evaluate`.
    """
    if output_dir.is_file():
        raise BertZhError(f"{output_dir} is a file: name a folder to write the report to")
    outputs = [output_dir / name for name in OUTPUTS]
    for output in outputs:
        check_apart(output, [pipeline])
    with claim("evaluate", *outputs, folder=False):
        use_gpu(gpu_id)
        nlp = load_pipeline(pipeline)
        pipe = find_textcat(nlp, component)
        predictions = predict(nlp, pipe, corpus)
        metrics = {
            "pipeline": describe(nlp, pipe),
            "corpus": {"name": corpus.resolve().name, "texts": len(predictions.excerpts)},
            **measure(predictions),
        }
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
        page = render_report(metrics, predictions)
        for output, content in zip(outputs, (text + "\n", page), strict=True):
            with made(output, "evaluate") as path:
                path.write_text(content, "utf-8")
    return metrics


def describe(nlp: Language, pipe: TextCategorizer) -> dict[str, Any]:
    """What is evaluated, in words that are the same on every machine."""
    return {
        "name": f"{nlp.lang}_{nlp.meta['name']}",
        "version": nlp.meta["version"],
        "component": pipe.name,
        "factory": nlp.get_pipe_meta(pipe.name).factory,
        "exclusive": is_exclusive(pipe),
        "threshold": None if is_exclusive(pipe) else pipe.cfg["threshold"],
        "labels": sorted(pipe.labels),
    }
