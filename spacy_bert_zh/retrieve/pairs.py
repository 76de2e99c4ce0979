"""``spacy_bert_zh.pairs.v1``: a table of texts that belong together, for ``bert_retriever``."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.retrieve.component import PAIR
from spacy_bert_zh.retrieve.tables import read_table

Reader = Callable[[Language], Iterable[Example]]


def build_pairs_v1(
    path: str | Path | None, text: str = "question", pair: str = "answer", limit: int = 0
) -> Reader:
    """Build a reader for a table of pairs; a row without a pair is passed over.

    Args:
        path: CSV, TSV, XLSX, Parquet, JSON or JSON lines, by its name.
        text: Column of the texts that are searched with, such as questions.
        pair: Column of what they should find. It may hold several, in a list or between bars;
            each is a pair of its own.
        limit: Pairs read at most; 0 reads all.

    Raises:
        BertZhError: There is no such file.
    """
    if path is None or not Path(path).is_file():
        raise BertZhError(f"No table of pairs at {path}: set paths.train and paths.dev")
    table = Path(path)

    def read(nlp: Language) -> Iterator[Example]:
        count = 0
        for line in read_table(table, text, pair):
            for other in line.several(pair) if line.text else ():
                if limit and count == limit:
                    return
                count += 1
                yield _example(nlp, line.text, other)

    return read


def _example(nlp: Language, text: str, pair: str) -> Example:
    doc = nlp.make_doc(text)
    words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
    reference = Doc(nlp.vocab, words=words, spaces=spaces)
    reference.user_data[PAIR] = pair
    return Example(doc, reference)
