"""The way to a folder that can be searched: rows, words, vectors, and when to say no."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned
from spacy_bert_zh.retrieve.options import Options


def build(
    table: Path,
    output: Path,
    options: Options | None = None,
    *,
    pipeline: str | Path | None = None,
    gpu_id: int = -1,
    component: str | None = None,
) -> dict[str, Any]:
    """Make a folder in which the rows of a table can be searched.

    Args:
        table: A corpus, or questions with their answers: CSV, TSV, XLSX, Parquet, JSON, JSON
            lines, or a text on each line.
        output: Folder to make; it holds the pipeline as well.
        options: Columns, and questions by which "none of these" is learnt.
        pipeline: Folder of a trained pipeline, or name of an installed one, whose vectors are
            compared; None searches by words alone.
        gpu_id: The GPU to compute vectors on; -1 for the CPU.
        component: Name of the component that makes vectors, if the pipeline has several.

    Returns:
        What was done: ``entries``, ``texts`` (with further wordings), rows that were ``empty`` or
        there ``twice``, and with questions the ``score`` and share ``answered``.

    Raises:
        BertZhError: Bad input, too many rows, or too few questions.

    Examples:
        >>> build(Path("faq.csv"), Path("faq"), Options("question", "answer"))["entries"]
        2
    """
    from spacy_bert_zh.loading import use_gpu
    from spacy_bert_zh.retrieve.folder import write
    from spacy_bert_zh.retrieve.making import make_retriever
    from spacy_bert_zh.retrieve.measuring import fit, read_questions

    options = options or Options()
    given = [path for path in (table, options.questions, pipeline) if path is not None]
    with owned(output, "retrieve", given) as made:
        use_gpu(gpu_id)
        entries, facts = read_entries(table, options)
        questions = None
        if options.questions:
            questions = read_questions(
                options.questions, entries, options.text_column, options.expected_column
            )
        retriever = make_retriever(entries, pipeline, component)
        facts |= {"entries": len(entries), "texts": sum(len(entry.texts) for entry in entries)}
        if questions is not None:
            refusal = fit(retriever, questions, options.right)
            retriever = replace(retriever, refusal=refusal)
            facts |= {"score": refusal.score, "answered": refusal.answered}
        write(retriever, made)
    return facts


def read_entries(table: Path, options: Options) -> tuple[list[Any], dict[str, Any]]:
    """The rows of a table, each once.

    Returns:
        Entries, and how many rows were ``empty`` or there ``twice``.

    Raises:
        BertZhError: There are none, or too many.
    """
    from spacy_bert_zh.retrieve.lists import MOST
    from spacy_bert_zh.retrieve.retriever import Entry
    from spacy_bert_zh.retrieve.tables import read_table

    counts: Counter[str] = Counter(empty=0, twice=0)
    entries: dict[tuple[str, str], Entry] = {}
    answer, wordings = options.answer_column, options.wordings_column
    texts = 0
    for line in read_table(table, options.text_column, answer, wordings):
        key = line.text, line.one(answer)
        counts["empty"] += not line.text
        counts["twice"] += key in entries
        if line.text and key not in entries:
            more = [text for text in line.several(wordings) if text != line.text]
            entries[key] = Entry(text=line.text, answer=key[1], wordings=more, source=line.source)
            texts += 1 + len(more)
        if texts > MOST:
            raise BertZhError(f"{table} has more than {MOST:,} texts, the most that are searched")
    if not entries:
        raise BertZhError(f"{table} holds no text to search")
    return list(entries.values()), dict(counts)
