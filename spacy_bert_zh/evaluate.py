"""Measure a trained pipeline on a corpus: metrics.json for programs, report.html for people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.training import Corpus
from spacy.training.corpus import FILE_TYPE, walk_corpus
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import whole

try:
    from sklearn import metrics as sk
except ImportError:
    raise missing_extra("scikit-learn", "plots", "The command 'evaluate'") from None

EXCERPT = 120  # characters of a text that are kept for the report
LENGTH_BINS = 8


@dataclass(frozen=True)
class Predictions:
    """What a pipeline said about a corpus: a row per text, a column per label.

    Attributes:
        labels: The labels, sorted.
        exclusive: Whether exactly one label holds for a text.
        gold: The labels that hold, 0 or 1, int (texts, labels).
        predicted: The labels that the pipeline gave, 0 or 1, int (texts, labels).
        scores: The pipeline's scores from 0 to 1, float (texts, labels).
        known: Whether the corpus tells if the label holds, bool (texts, labels).
            `gold` and `predicted` are 0 where it doesn't.
        excerpts: The beginning of each text.
        lengths: Number of characters of each text, int (texts,).
    """

    labels: list[str]
    exclusive: bool
    gold: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    known: np.ndarray
    excerpts: list[str]
    lengths: np.ndarray


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
    """
    from spacy_bert_zh.report import render_report

    if output_dir.is_file():
        raise BertZhError(f"{output_dir} is a file: name a folder to write the report to")
    nlp = load_pipeline(pipeline, gpu_id)
    name = find_textcat(nlp, component)
    predictions = predict(nlp, name, corpus)
    metrics = {
        "pipeline": describe(nlp, name),
        "corpus": {"name": corpus.resolve().name, "texts": len(predictions.excerpts)},
        **measure(predictions),
    }
    with whole(output_dir / "metrics.json") as path:
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
        path.write_text(text + "\n", "utf-8")
    with whole(output_dir / "report.html") as path:
        path.write_text(render_report(metrics, predictions), "utf-8")
    return metrics


def load_pipeline(pipeline: str | Path, gpu_id: int) -> Language:
    """Load a pipeline from a folder or an installed package."""
    if gpu_id >= 0:
        try:
            spacy.require_gpu(gpu_id)
        except ValueError as error:
            raise BertZhError(f"--gpu-id {gpu_id}: {error}") from error
    try:
        return spacy.load(pipeline)
    except OSError as error:
        raise BertZhError(
            f"Can't load the pipeline '{pipeline}': {error} Give the folder of a trained "
            "pipeline, such as training/model-best, or the name of an installed one."
        ) from error


def find_textcat(nlp: Language, component: str | None) -> str:
    """Name of the text classifier to evaluate: `component`, or else the only one."""
    names = textcat_names(nlp)
    if component in names:
        return component
    if component or not names:
        raise BertZhError(
            f"The pipeline has no text classifier{f' {component!r}' if component else ''}; "
            f"its components: {', '.join(nlp.pipe_names) or 'none'}"
        )
    if len(names) > 1:
        raise BertZhError(
            f"The pipeline has several text classifiers: choose --component {' or '.join(names)}"
        )
    return names[0]


def textcat_names(nlp: Language) -> list[str]:
    """Names of all text classifiers in a pipeline."""
    return [name for name, pipe in nlp.pipeline if isinstance(pipe, TextCategorizer)]


def is_exclusive(nlp: Language, name: str) -> bool:
    """Whether a text classifier gives exactly one label to a text."""
    return not isinstance(nlp.get_pipe(name), MultiLabel_TextCategorizer)


def describe(nlp: Language, name: str) -> dict[str, Any]:
    """What is evaluated, in words that are the same on every machine."""
    pipe, exclusive = nlp.get_pipe(name), is_exclusive(nlp, name)
    return {
        "name": f"{nlp.lang}_{nlp.meta['name']}",
        "version": nlp.meta["version"],
        "component": name,
        "factory": nlp.get_pipe_meta(name).factory,
        "exclusive": exclusive,
        "threshold": None if exclusive else pipe.cfg["threshold"],
        "labels": sorted(pipe.labels),
    }


def check_corpus(nlp: Language, name: str, corpus: Path) -> int:
    """Count the texts of a corpus, or say what in it doesn't fit the text classifier."""
    is_shard = corpus.is_file() and corpus.suffix == FILE_TYPE
    if not is_shard and not any(corpus.rglob(f"*{FILE_TYPE}")):
        raise BertZhError(
            f"No {FILE_TYPE} file at {corpus}: give one, or a folder of them, as 'convert' writes it"
        )
    labels, exclusive = nlp.get_pipe(name).labels, is_exclusive(nlp, name)
    # The corpus may be labelled for the pipeline's other text classifiers, too.
    others = {label for pipe in textcat_names(nlp) for label in nlp.get_pipe(pipe).labels}
    total, unlabelled, unknown = 0, 0, set()
    for doc in Corpus(corpus).read_docbin(nlp.vocab, walk_corpus(corpus, FILE_TYPE)):
        values = [doc.cats[label] for label in labels if label in doc.cats]
        total += 1
        unlabelled += not (any(values) if exclusive else values)
        unknown |= doc.cats.keys() - others
    if not total:
        raise BertZhError(f"The corpus {corpus} holds no text")
    if unknown:
        raise BertZhError(
            f"The corpus {corpus} has labels that the pipeline was not trained on: "
            f"{', '.join(sorted(unknown))}"
        )
    if unlabelled:
        raise BertZhError(
            f"{unlabelled} of {total} texts in {corpus} have no label for the component '{name}': "
            f"remove them, or label them with doc.cats"
        )
    return total


def predict(nlp: Language, name: str, corpus: Path) -> Predictions:
    """Run the pipeline over a corpus, tokenised as ``spacy evaluate`` does."""
    total = check_corpus(nlp, name, corpus)
    labels = sorted(nlp.get_pipe(name).labels)
    values, scores, excerpts, lengths = [], [], [], []
    pairs = ((example.predicted, example.reference) for example in Corpus(corpus)(nlp))
    docs = nlp.pipe(pairs, as_tuples=True)
    for doc, reference in tqdm(docs, "evaluate", total, unit=" texts", disable=None):
        values.append([reference.cats.get(label, np.nan) for label in labels])
        scores.append([doc.cats[label] for label in labels])
        excerpts.append(doc.text[:EXCERPT] + "…" * (len(doc.text) > EXCERPT))
        lengths.append(len(doc.text))
    ...
