"""What a worker does with a chunk."""

import json

from spacy.language import Language

from spacy_bert_zh.answers import Answer, answer_all, warm_up
from spacy_bert_zh.files import whole
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.score.chunks import Chunk

FAILED = "the pipeline fails on this text"


def load(pipeline: str) -> Language:
    """Load a pipeline that has one text classifier.

    Raises:
        BertZhError: There is none such.
    """
    nlp = load_pipeline(pipeline)
    find_textcat(nlp, None)
    warm_up(nlp)
    return nlp


def write(nlp: Language, chunk: Chunk) -> int:
    """Classify a chunk and write its rows; their number."""
    answers = iter(answer_all(nlp, [item.text for item in chunk.items if not item.error]))
    with whole(chunk.path) as part, open(part, "w", encoding="utf-8") as file:
        for item in chunk.items:
            row = {"file": item.file, "line": item.line}
            found = _told(None if item.error else next(answers), item.error or FAILED)
            file.write(json.dumps({**row, **found}, ensure_ascii=False) + "\n")
    return len(chunk.items)


def _told(answer: Answer | None, error: str) -> dict[str, object]:
    if answer is None:
        return {"error": error}
    label = max(answer.scores, key=answer.scores.__getitem__)
    return {"label": label, "scores": {k: round(v, 6) for k, v in answer.scores.items()}}
