"""Measure a trained pipeline on a corpus: metrics.json for programs, report.html for people."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc
from spacy.training import Corpus
from spacy.training.corpus import FILE_TYPE, walk_corpus
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import whole
from spacy_bert_zh.loading import find_textcat, load_pipeline, textcats, use_gpu
from spacy_bert_zh.metrics import Predictions, measure
from spacy_bert_zh.report import render_report

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
    """
    if output_dir.is_file():
        raise BertZhError(f"{output_dir} is a file: name a folder to write the report to")
    use_gpu(gpu_id)
    nlp = load_pipeline(pipeline)
    pipe = find_textcat(nlp, component)
    predictions = predict(nlp, pipe, corpus)
    metrics = {
        "pipeline": describe(nlp, pipe),
        "corpus": {"name": corpus.resolve().name, "texts": len(predictions.excerpts)},
        **measure(predictions),
    }
    with whole(output_dir / "metrics.json") as path:
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
        path.write_text(text + "\n", "utf-8")
    with whole(output_dir / "report.html") as path:
        path.write_text(render_report(metrics, predictions), "utf-8")
    return metrics


def is_exclusive(pipe: TextCategorizer) -> bool:
    """Whether a text classifier gives exactly one label to a text."""
    return not isinstance(pipe, MultiLabel_TextCategorizer)


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


def predict(nlp: Language, pipe: TextCategorizer, corpus: Path) -> Predictions:
    """Run the pipeline over a corpus, tokenised and batched as ``spacy evaluate`` does."""
    total = check_corpus(nlp, pipe, corpus)
    truths, answers, excerpts, lengths = [], [], [], []
    pairs = ((example.predicted, example.reference) for example in Corpus(corpus)(nlp))
    docs = nlp.pipe(pairs, as_tuples=True)
    for doc, reference in tqdm(docs, "evaluate", total, unit=" texts", disable=None):
        truths.append([reference.cats.get(label, np.nan) for label in pipe.labels])
        answers.append([doc.cats[label] for label in pipe.labels])
        excerpts.append(doc.text[:EXCERPT] + "…" * (len(doc.text) > EXCERPT))
        lengths.append(len(doc.text))
    truth, scores = np.array(truths), np.array(answers)
    known = ~np.isnan(truth)
    truth[~known] = 0.0
    if is_exclusive(pipe):
        known[:] = True  # a class that isn't named isn't the one
        gold, predicted = one_hot(truth), one_hot(scores)
    else:
        gold, predicted = truth > 0, (scores >= pipe.cfg["threshold"]) & known
    order = np.argsort(pipe.labels)
    return Predictions(
        labels=sorted(pipe.labels),
        exclusive=is_exclusive(pipe),
        gold=gold[:, order].astype(int),
        predicted=predicted[:, order].astype(int),
        scores=scores[:, order],
        known=known[:, order],
        excerpts=excerpts,
        lengths=np.array(lengths),
    )


def check_corpus(nlp: Language, pipe: TextCategorizer, corpus: Path) -> int:
    """Count the texts of a corpus, or say what in it doesn't fit the text classifier."""
    is_shard = corpus.is_file() and corpus.suffix == FILE_TYPE
    if not is_shard and not any(corpus.rglob(f"*{FILE_TYPE}")):
        raise BertZhError(
            f"No {FILE_TYPE} file at {corpus}: give one, or a folder of them, as 'convert' writes"
        )
    # The corpus may be labelled for the pipeline's other text classifiers, too.
    trained = {label for textcat in textcats(nlp) for label in textcat.labels}
    total, unfit, unknown = 0, 0, set()
    for doc in read_shards(nlp, corpus):
        values = [doc.cats[label] for label in pipe.labels if label in doc.cats]
        total += 1
        unfit += not (0 < sum(values) < 1.001 if is_exclusive(pipe) else values)
        unknown |= doc.cats.keys() - trained
    if not total:
        raise BertZhError(f"The corpus {corpus} holds no text: convert it again")
    if unknown:
        raise BertZhError(
            f"The corpus {corpus} has labels that the pipeline was not trained on: "
            f"{', '.join(sorted(unknown))}"
        )
    if unfit:
        raise BertZhError(
            f"{unfit} of {total} texts in {corpus} don't have "
            f"{'exactly one label' if is_exclusive(pipe) else 'cats'} for the component "
            f"'{pipe.name}': label them or leave them out"
        )
    return total


def read_shards(nlp: Language, corpus: Path) -> Iterator[Doc]:
    """Yield the documents of a file or of a folder of shards."""
    for path in walk_corpus(corpus, FILE_TYPE):
        try:
            yield from Corpus(path).read_docbin(nlp.vocab, [path])
        except (zlib.error, ValueError, KeyError) as error:
            raise BertZhError(
                f"{path} is damaged or no DocBin ({error}): convert the corpus again"
            ) from error


def one_hot(values: np.ndarray) -> np.ndarray:
    """Mark the first of the highest values in each row, as spaCy's scorer chooses it."""
    return np.arange(values.shape[1]) == values.argmax(axis=1)[:, None]
