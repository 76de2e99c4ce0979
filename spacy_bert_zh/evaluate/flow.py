"""Measure a trained pipeline on a corpus: metrics.json for programs, report.html for people."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate.history import read_history
from spacy_bert_zh.evaluate.predictions import Predictions, predict
from spacy_bert_zh.files import check_apart, claim, made
from spacy_bert_zh.loading import find_textcat, is_exclusive, load_pipeline, set_threshold, use_gpu
from spacy_bert_zh.pieces import describe_reading
from spacy_bert_zh.textcat import read_taxonomy

Explainer = Callable[[Language, str], Callable[[Path, Predictions], Mapping[int, str]]]
"""Of a pipeline and its text classifier: what makes of a corpus and what was said of it the reasons
for some of its texts, HTML by their numbers; so `explain` can stand above `evaluate`."""
OUTPUTS = ("metrics.json", "report.html")


def evaluate(
    pipeline: str | Path,
    corpus: Path,
    output_dir: Path,
    *,
    gpu_id: int = -1,
    component: str | None = None,
    threshold: float | None = None,
    taxonomy: Path | None = None,
    explain: Explainer | None = None,
) -> dict[str, Any]:
    """Evaluate a text classifier and write ``metrics.json`` and ``report.html``.

    Precision, recall and F1 of a label are those of ``spacy evaluate``; see `measure` for the
    averages. The report shows the history of the training if it lies beside the pipeline.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        corpus: A ``.spacy`` file, or a folder of them.
        output_dir: Folder to write to.
        gpu_id: The GPU to predict on; -1 for the CPU.
        component: Name of the text classifier, if the pipeline has several.
        threshold: Score from which a label counts as given, instead of the pipeline's own.
        taxonomy: Which label lies under which, for a pipeline that hasn't learnt a tree: a table of
            child and parent, or the ``taxonomy.json`` that `convert` writes.
        explain: Says why texts got wrong labels, for the report; `explain.Mistakes` is one.

    Returns:
        The content of ``metrics.json``.

    Raises:
        BertZhError: Bad input, a threshold for labels that exclude each other, or files of these
            names that aren't from `evaluate`.

    Examples:
        >>> metrics = evaluate("training/model-best", Path("corpus/dev"), Path("evaluation"))
        >>> metrics["corpus"], list(metrics["classes"])
        ({'name': 'dev', 'texts': 40}, ['neg', 'pos'])
    """
    # scikit-learn and matplotlib come with the first call, not with the room's door.
    from spacy_bert_zh.evaluate.metrics import measure, measure_at_half
    from spacy_bert_zh.evaluate.report import render_report

    if output_dir.is_file():
        raise BertZhError(f"{output_dir} is a file: name a folder to write the report to")
    outputs = [output_dir / name for name in OUTPUTS]
    for output in outputs:
        check_apart(output, [pipeline])
    with claim("evaluate", *outputs, folder=False):
        use_gpu(gpu_id)
        nlp = load_pipeline(pipeline)
        pipe = find_textcat(nlp, component)
        own_threshold = None if is_exclusive(pipe) else pipe.cfg["threshold"]
        if threshold is not None:
            set_threshold(pipe, threshold)
        parents = _parents(pipe, taxonomy)
        explained = explain(nlp, pipe.name) if explain else None
        predictions = predict(nlp, pipe, corpus)
        metrics = {
            "pipeline": {**describe(nlp, pipe), "own_threshold": own_threshold},
            "corpus": {"name": corpus.resolve().name, "texts": len(predictions.excerpts)},
            **measure(predictions),
        }
        if parents:
            from spacy_bert_zh.evaluate.trees import measure_tree

            metrics["tree"] = measure_tree(predictions, parents, metrics["classes"])
        if metrics["pipeline"]["thresholds"]:
            metrics["at_half"] = measure_at_half(predictions)
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
        reasons = explained(corpus, predictions) if explained else {}
        history = read_history(Path(pipeline).parent, nlp.meta.get("training"))
        page = render_report(metrics, predictions, history, reasons)
        for output, content in zip(outputs, (text + "\n", page), strict=True):
            with made(output, "evaluate") as path:
                path.write_text(content, "utf-8")
    return metrics


def _parents(pipe: TextCategorizer, taxonomy: Path | None) -> Mapping[str, str]:
    """The parent of each label that has one; none where there is no tree."""
    own = getattr(pipe, "tree", None)
    if own is not None and taxonomy is not None:
        raise BertZhError(f"--taxonomy {taxonomy}: '{pipe.name}' has learnt a tree, leave it out")
    if taxonomy is not None and is_exclusive(pipe):
        raise BertZhError(
            f"--taxonomy {taxonomy}: '{pipe.name}' gives exactly one label, none with its parent; "
            "a tree is for bert_textcat_hierarchical, or bert_textcat_multilabel beside it"
        )
    if taxonomy is not None:
        return read_taxonomy(taxonomy).parents
    return own.parents if own is not None else {}


def describe(nlp: Language, pipe: TextCategorizer) -> dict[str, Any]:
    """What is evaluated, in words that are the same on every machine."""
    return {
        "name": f"{nlp.lang}_{nlp.meta['name']}",
        "version": nlp.meta["version"],
        "component": pipe.name,
        "factory": nlp.get_pipe_meta(pipe.name).factory,
        "exclusive": is_exclusive(pipe),
        "threshold": None if is_exclusive(pipe) else pipe.cfg["threshold"],
        "thresholds": None if is_exclusive(pipe) else pipe.cfg.get("thresholds"),
        "reads": describe_reading(nlp.config.interpolate()["components"][pipe.name]),
        "labels": sorted(pipe.labels),
    }
