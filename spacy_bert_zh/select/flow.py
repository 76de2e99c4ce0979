"""The way through a selection: read the pool, judge, choose, write."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import owned
from spacy_bert_zh.reading import STDIN
from spacy_bert_zh.select.options import Options


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
        >>> pool, options = Path("reviews.csv"), Options("csv")
        >>> selection = select("training/model-best", pool, Path("selected"), options)
        >>> sorted(selection.rows[0])
        ['file', 'guess', 'line', 'score', 'text', 'unsure']
    """
    # These need spaCy and scikit-learn.
    from spacy_bert_zh.loading import find_textcat, load_pipeline
    from spacy_bert_zh.reading.overlap import Overlap, read_texts
    from spacy_bert_zh.reading.texts import read_clean
    from spacy_bert_zh.select.judge import Judge, apart, describe
    from spacy_bert_zh.select.pool import gather

    options = options or Options()
    if pool == STDIN:
        raise BertZhError("select names the file and line of each text: give a file or folder")
    with owned(output, "select", [pipeline, pool, *options.labelled]) as folder:
        nlp = load_pipeline(pipeline)
        judge = Judge(nlp, find_textcat(nlp, options.component), options)
        labelled = Overlap(read_texts(options.labelled) if options.labelled else ())
        counts: Counter[str] = Counter()
        rows = read_clean(pool, options, counts)
        found = gather(rows, judge, options.candidates, labelled, counts)
        found = apart(found, counts)
        if not found:
            said = ", ".join(f"{n:,} {why}" for why, n in counts.items()) or "it is empty"
            raise BertZhError(f"{pool} has no text to select ({said})")
        chosen = [found[place] for place in judge.choose(found)]
        chosen_rows, guesses = describe(chosen, judge)
        counted = {key: number for key, number in counts.items() if number}
        selection = Selection(chosen_rows, counted, guesses)
        folder.mkdir()
        lines = (json.dumps(row, ensure_ascii=False) for row in selection.rows)
        (folder / "selected.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        numbers = {"counts": selection.counts, "guesses": selection.guesses}
        text = json.dumps(numbers, ensure_ascii=False, indent=2)
        (folder / "selection.json").write_text(text + "\n", "utf-8")
    return selection
