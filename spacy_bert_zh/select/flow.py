"""The way through a selection: read the pool, judge, choose, write."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned
from spacy_bert_zh.reading import STDIN
from spacy_bert_zh.select.options import Options

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.pipeline import TextCategorizer

    from spacy_bert_zh.select.pool import Candidate


@dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        rows: The selected texts, the most telling first: what ``selected.jsonl`` holds.
        counts: Rows of the pool, and how many were passed over for what reason.
        guesses: How many of the selected texts the pipeline gives each label.
    """

    rows: list[dict[str, Any]]
    counts: dict[str, int]
    guesses: dict[str, int] = field(default_factory=dict)


def select(
    pipeline: str | Path, pool: Path, output: Path, options: Options | None = None
) -> Selection:
    """Choose the texts of an unlabelled pool whose labels would tell a pipeline most.

    Each text is taken once, and so are near-duplicates. Writes ``selected.jsonl``, a row for each
    text with where it stands in the pool, what the pipeline guesses and how sure it is, and
    ``selection.json`` with the counts.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        pool: File or folder of texts, read once from end to end.
        output: Folder to make.
        options: How to read and to choose.

    Raises:
        BertZhError: The pipeline, the pool or an option is no good, the pool has no text that can
            be chosen, or something else is at `output`.

    Examples:
        >>> selection = select("training/model-best", Path("pool.txt"), Path("selected"))
        >>> sorted(selection.rows[0])
        ['file', 'guess', 'line', 'score', 'text', 'unsure']
    """
    # These need spaCy and scikit-learn.
    from spacy_bert_zh.loading import find_textcat, load_pipeline
    from spacy_bert_zh.reading.overlap import Overlap, read_texts
    from spacy_bert_zh.select.pool import gather, read_pool

    options = options or Options()
    if pool == STDIN:
        raise BertZhError("select names the file and line of each text: give a file or folder")
    with owned(output, "select", [pipeline, pool, *options.labelled]) as folder:
        nlp = load_pipeline(pipeline)
        judge = _Judge(nlp, find_textcat(nlp, options.component), options)
        labelled = Overlap(read_texts(options.labelled) if options.labelled else ())
        counts: Counter[str] = Counter()
        rows = read_pool(pool, options, counts)
        found = gather(rows, judge, options.candidates, labelled, counts)
        found = _apart(found, counts)
        if not found:
            said = ", ".join(f"{n:,} {why}" for why, n in counts.items()) or "it is empty"
            raise BertZhError(f"{pool} has no text to select ({said})")
        chosen = [found[place] for place in judge.choose(found)]
        selection = _selection(chosen, judge, counts)
        folder.mkdir()
        lines = (json.dumps(row, ensure_ascii=False) for row in selection.rows)
        (folder / "selected.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        numbers = {"counts": selection.counts, "guesses": selection.guesses}
        text = json.dumps(numbers, ensure_ascii=False, indent=2)
        (folder / "selection.json").write_text(text + "\n", "utf-8")
    return selection


class _Judge:
    """What a pipeline says of texts, and what that is worth."""

    def __init__(self, nlp: "Language", pipe: "TextCategorizer", options: Options) -> None:
        from spacy_bert_zh.loading import is_exclusive

        self._nlp, self._pipe, self._options = nlp, pipe, options
        self.labels, self.exclusive = list(pipe.labels), is_exclusive(pipe)
        if self.exclusive and len(self.labels) < 2:
            raise BertZhError(
                f"'{pipe.name}' has one label alone: there is nothing to be unsure of"
            )
        self._rng = np.random.default_rng(options.seed)

    def __call__(self, texts: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from spacy_bert_zh.select.strategies import unsureness

        with self._nlp.memory_zone():
            rows = [[doc.cats[label] for label in self.labels] for doc in self._nlp.pipe(texts)]
        scores = np.asarray(rows, dtype=np.float64)
        if self._options.strategy == "random":
            return scores, self._rng.random(len(texts))
        return scores, unsureness(scores, self.exclusive, self._options.strategy)

    def given(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which labels are given; shape (texts, labels)."""
        from spacy_bert_zh.loading import given_labels

        rows = (dict(zip(self.labels, row, strict=True)) for row in scores.tolist())
        sets = (given_labels(self._nlp, cats) for cats in rows)
        return np.asarray([[label in found for label in self.labels] for found in sets])

    def choose(self, found: "list[Candidate]") -> list[int]:
        """Places of those to select, the most telling first."""
        from spacy_bert_zh.select.strategies import badge, differences

        count = min(self._options.count, len(found))
        if self._options.strategy != "badge":
            return list(range(count))
        scores = np.stack([candidate.scores for candidate in found])
        gradients = differences(scores, self.given(scores))
        vectors = self._vectors([candidate.text for candidate in found])
        return badge(gradients, vectors, count, self._rng)

    def _vectors(self, texts: list[str]) -> NDArray[np.float64]:
        """The backbone's vectors, or a 1 for each text where there is none; (texts, width)."""
        from spacy.util import minibatch
        from thinc.api import to_numpy

        from spacy_bert_zh.repair import repair

        if not self._pipe.model.has_ref("backbone"):
            return np.ones((len(texts), 1))
        backbone, parts = self._pipe.model.get_ref("backbone"), []
        for batch in minibatch(texts, 256):
            docs = [repair(self._nlp, self._nlp.make_doc(text)) for text in batch]
            parts.append(to_numpy(backbone.predict(docs)))
        return np.concatenate(parts).astype(np.float64)


def _apart(found: "list[Candidate]", counts: Counter[str]) -> "list[Candidate]":
    """One of each group of near-duplicates: the least sure, which comes first."""
    from spacy_bert_zh.reading.duplicates import group, near_pairs

    if not found:
        return found
    groups = group(len(found), near_pairs([candidate.text for candidate in found]))
    _, first = np.unique(groups, return_index=True)
    counts["nearly repeated"] += len(found) - len(first)
    return [found[place] for place in sorted(first.tolist())]


def _selection(chosen: "list[Candidate]", judge: _Judge, counts: Counter[str]) -> Selection:
    from spacy_bert_zh.select.strategies import unsureness

    scores = np.stack([candidate.scores for candidate in chosen])
    doubts = unsureness(scores, judge.exclusive, "margin")
    guesses: Counter[str] = Counter()
    rows = []
    for candidate, given, doubt in zip(chosen, judge.given(scores), doubts.tolist(), strict=True):
        labels = [label for label, is_given in zip(judge.labels, given, strict=True) if is_given]
        guesses.update(labels)
        rows.append(
            {
                "text": candidate.text,
                "guess": labels[0] if judge.exclusive else labels,
                "score": round(float(candidate.scores.max()), 4),
                "unsure": round(doubt, 4),
                "file": candidate.file,
                "line": candidate.line,
            }
        )
    return Selection(rows, {key: n for key, n in counts.items() if n}, dict(guesses.most_common()))
