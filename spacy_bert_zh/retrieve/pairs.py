"""``spacy_bert_zh.pairs.v1``: texts that belong together, for ``bert_retriever``."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.retrieve.objectives import GRADE, PAIR
from spacy_bert_zh.retrieve.tables import Line, read_table

Reader = Callable[[Language], Iterable[Example]]


def build_pairs_v1(
    path: str | Path | None,
    text: str = "question",
    pair: str = "answer",
    grade: str | None = None,
    limit: int = 0,
) -> Reader:
    """Build a reader for a table of pairs, or for a converted corpus, whose labels pair its texts.

    Args:
        path: CSV, TSV, XLSX, Parquet, JSON or JSON lines, by its name; or a folder of shards or a
            ``.spacy`` file, whose texts keep their labels.
        text: Column of the texts that are searched with, such as questions.
        pair: Column of what they should find. It may hold several, in a list or between bars;
            each is a pair of its own. A row without one is passed over.
        grade: Column of numbers that say how alike both are, for ``loss = "cosent"``.
        limit: Pairs (or labelled texts) read at most; 0 reads all.

    Raises:
        BertZhError: There is no such file.
    """
    if path is None or not Path(path).exists():
        raise BertZhError(f"No table of pairs at {path}: set paths.train and paths.dev")
    given = Path(path)
    is_corpus = given.is_dir() or given.suffix == ".spacy"

    def read(nlp: Language) -> Iterator[Example]:
        if is_corpus:
            labelled = (Example(nlp.make_doc(doc.text), doc) for doc in read_shards(nlp, given))
            return islice(labelled, limit or None)
        lines = read_table(given, text, pair, grade or "")
        return islice(_examples(nlp, lines, pair, grade), limit or None)

    return read


def _examples(
    nlp: Language, lines: Iterable[Line], pair: str, grade: str | None
) -> Iterator[Example]:
    for line in lines:
        for other in line.several(pair) if line.text else ():
            doc = nlp.make_doc(line.text)
            spaces = [bool(token.whitespace_) for token in doc]
            reference = Doc(nlp.vocab, words=[token.text for token in doc], spaces=spaces)
            reference.user_data[PAIR] = other
            if grade:
                reference.user_data[GRADE] = line.number(grade)
            yield Example(doc, reference)
