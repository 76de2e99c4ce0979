"""What a worker does with a chunk."""

import json
import math

from spacy.language import Language

from spacy_bert_zh.files import whole
from spacy_bert_zh.loading import (
    Answer,
    answer_all,
    find_textcat,
    is_exclusive,
    load_pipeline,
    set_threshold,
    textcats,
    warm_up,
)
from spacy_bert_zh.score.chunks import Chunk, Job
from spacy_bert_zh.score.items import Item

FAILED = "the pipeline fails on this text"


def load(job: Job) -> Language:
    """Load a pipeline with the one text classifier that is asked.

    Raises:
        BertZhError: There is none such, or its labels know no threshold.
    """
    nlp = load_pipeline(job.pipeline)
    pipe = find_textcat(nlp, job.component)
    for other in textcats(nlp):
        if other is not pipe:
            nlp.remove_pipe(other.name)
    if job.threshold is not None:
        set_threshold(pipe, job.threshold)
    warm_up(nlp)
    return nlp


def write(nlp: Language, job: Job, chunk: Chunk) -> int:
    """Classify a chunk and write its rows, each a line of JSON; their number."""
    answers = iter(answer_all(nlp, [item.text for item in chunk.items if not item.error]))
    exclusive = is_exclusive(find_textcat(nlp, None))
    with whole(chunk.path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        for item in chunk.items:
            said = {"error": item.error} if item.error else _said(next(answers), exclusive)
            row = json.dumps({**_known(item, job), **said}, ensure_ascii=False)
            file.write(f"{row}\n")
    return len(chunk.items)


def _known(item: Item, job: Job) -> dict[str, object]:
    row: dict[str, object] = {"file": item.file, "line": item.line}
    if item.columns:
        row["columns"] = json.loads(item.columns)
    if job.text:
        row["text"] = item.text
    return row


def _said(answer: Answer | None, exclusive: bool) -> dict[str, object]:
    if answer is None or (exclusive and not answer.labels):
        return {"error": FAILED}
    if not all(map(math.isfinite, answer.scores.values())):
        return {"error": "the pipeline's scores of this text aren't numbers"}
    given = {"label": answer.labels[0]} if exclusive else {"labels": answer.labels}
    scores = {label: round(score, 6) for label, score in answer.scores.items()}
    return {**given, **(answer.decision or {}), "scores": scores}
