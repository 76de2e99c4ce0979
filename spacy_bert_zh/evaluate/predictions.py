"""What a pipeline says about a labelled corpus."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TextCategorizer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.corpus import FILE_TYPE, walk_corpus
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate.learnt import best_constant
from spacy_bert_zh.files.docbins import ShardCorpus
from spacy_bert_zh.loading import is_exclusive, textcats
from spacy_bert_zh.repair import repair
from spacy_bert_zh.textcat import given_of

MISTAKES = 20
"""Those that a report shows, the most confident ones."""
EXCERPT = 120  # characters of a text that are kept for the report


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


def predict(nlp: Language, pipe: TextCategorizer, corpus: Path) -> Predictions:
    """Run the pipeline over a corpus, tokenised and batched as ``spacy evaluate`` does."""
    total = check_corpus(nlp, pipe, corpus)
    truths, answers, excerpts, lengths = [], [], [], []
    pairs = ((example.predicted, example.reference) for example in ShardCorpus(corpus)(nlp))
    docs = nlp.pipe(pairs, as_tuples=True)
    for doc, reference in tqdm(docs, "evaluate", total, unit=" texts", disable=None):
        truths.append([reference.cats.get(label, np.nan) for label in pipe.labels])
        answers.append([doc.cats[label] for label in pipe.labels])
        excerpts.append(doc.text[:EXCERPT] + "…" * (len(doc.text) > EXCERPT))
        lengths.append(len(doc.text))
    scores, exclusive = np.array(answers), is_exclusive(pipe)
    gold, known = find_gold(np.array(truths), exclusive)
    if tree := getattr(pipe, "tree", None):  # who has a label has all above it
        gold = tree.raised(gold)
        known = known | gold
    predicted = given_of(pipe, scores) & known
    order = np.argsort(pipe.labels)
    return Predictions(
        labels=sorted(pipe.labels),
        exclusive=exclusive,
        gold=gold[:, order].astype(int),
        predicted=predicted[:, order].astype(int),
        scores=scores[:, order],
        known=known[:, order],
        excerpts=excerpts,
        lengths=np.array(lengths),
    )


def rank_mistakes(predictions: Predictions) -> np.ndarray:
    """The texts with a mistake, by how far a wrong label's score is from the truth; int (n,)."""
    wrong = predictions.gold != predictions.predicted
    distance = (np.abs(predictions.scores - predictions.gold) * wrong).max(axis=1)
    order = np.argsort(-distance, kind="stable")
    return order[wrong.any(axis=1)[order]]


def find_gold(truth: np.ndarray, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """The labels that hold, and where the corpus tells.

    Args:
        truth: The labels' values in the corpus, NaN where it has none; float (texts, labels).
        exclusive: Whether exactly one label holds for a text.

    Returns:
        ``gold`` and ``known``, bool (texts, labels); see `Predictions`.
    """
    known = ~np.isnan(truth)
    gold = np.where(known, truth, 0.0) > 0
    if exclusive:  # a class that isn't named isn't the one
        return gold & one_hot(np.nan_to_num(truth)), np.ones_like(known)
    return gold, known


def constant_of(pipe: TextCategorizer, examples: Sequence[Example]) -> dict[str, Any]:
    """The best answer to examples that never changes, see `best_constant`."""
    labels, exclusive = list(pipe.labels), is_exclusive(pipe)
    rows = [[example.reference.cats.get(label, np.nan) for label in labels] for example in examples]
    gold, known = find_gold(np.array(rows, dtype=float), exclusive)
    return best_constant(labels, gold.sum(axis=0), known.sum(axis=0), exclusive)


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
            yield from ShardCorpus(path).read_docbin(nlp.vocab, [path])
        except (zlib.error, ValueError, KeyError) as error:
            raise BertZhError(
                f"{path} is damaged or no DocBin ({error}): convert the corpus again"
            ) from error


def read_as_classified(nlp: Language, corpus: Path) -> Iterator[Doc]:
    """Yield the documents of a corpus as a pipeline's classifiers get them: see `read_shards`."""
    return (repair(nlp, doc) for doc in read_shards(nlp, corpus))


def one_hot(values: np.ndarray) -> np.ndarray:
    """Mark the first of the highest values in each row, as spaCy's scorer chooses it."""
    return np.arange(values.shape[1]) == values.argmax(axis=1)[:, None]
