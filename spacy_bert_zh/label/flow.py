"""The way through labelling: read the pool and what was answered, ask, write what came of it."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import check_apart, whole, workshop
from spacy_bert_zh.label.options import TOOLS, Options

if TYPE_CHECKING:
    from spacy.language import Language

    from spacy_bert_zh.label.desk import Desk, Judge
    from spacy_bert_zh.label.pool import Item, Labels
    from spacy_bert_zh.label.store import Store

STORE = "answers.sqlite"
EXPORTS = tuple(f"{tool}.json*" for tool in TOOLS)


@dataclass(frozen=True)
class Labelled:
    """What was done.

    Attributes:
        pool: Rows of the pool by what became of them.
        agreed: Texts in ``labels.jsonl``.
        disagreed: Texts in ``disagreed.jsonl``.
        agreement: What ``agreement.json`` holds.
        taken: Of `answers`, how many were taken in, and why others weren't.
        exported: The file that was written for another tool.
    """

    pool: dict[str, int]
    agreed: int
    disagreed: int
    agreement: dict[str, Any]
    taken: dict[str, int]
    exported: Path | None = None


def label(
    pool: Path,
    output: Path,
    options: Options | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    say: Callable[[str], None] = lambda line: None,
) -> Labelled:
    """Let people label the texts of a pool on a page, until SIGTERM or SIGINT.

    Each answer is on disk before the next text is shown, in ``answers.sqlite``; a run that was cut
    off goes on in the same folder. At the end ``labels.jsonl`` has the texts on whose labels all
    agree who answered, ``disagreed.jsonl`` the others, and ``agreement.json`` how far people agree.
    If the environment has SPACY_BERT_ZH_API_KEY, the page asks for it.

    Args:
        pool: File or folder of texts, labelled in their order.
        output: Folder to work in.
        options: What is labelled, and how.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        say: Is told what the pool holds, before the page is served.

    Raises:
        BertZhError: The pool, the labels, the pipeline or an option is no good, the folder holds
            answers to other texts or with other labels, or another run works in it.
    """
    options = options or Options()
    # These need spaCy.
    from spacy_bert_zh.label.desk import Desk
    from spacy_bert_zh.label.pool import find_labels, read_pool
    from spacy_bert_zh.label.results import AGREEMENT, DISAGREED, LABELS, gather, write_results
    from spacy_bert_zh.label.store import Store
    from spacy_bert_zh.loading import load_pipeline

    check_apart(output, [pool])
    items, counts = read_pool(pool, options)
    for why, number in counts.items():
        say(f"{number:,} {why}")
    serve_desk = _server() if options.serves else None
    guideline = _render(options.guideline)
    nlp = load_pipeline(options.pipeline) if options.pipeline else None
    labels = find_labels(options, nlp)
    taken, exported = {}, None
    with workshop(output, "label", f"{STORE}*", LABELS, DISAGREED, AGREEMENT, *EXPORTS) as folder:
        with closing(Store(folder / STORE)) as store:
            _check_stored(store, items, labels, folder)
            if options.answers:
                taken = _take_in(options.answers, options, items, labels, store)
            elif options.export:
                exported = _export(folder, options.export, store, labels)
            elif serve_desk:
                say(f"{len(items):,} texts, {len(labels.names)} labels")
                judge = _judge(nlp) if nlp and not options.blind else None
                serve_desk(Desk(items, labels, store, judge, guideline), host, port)
            results = gather(items, labels, store.all())
        write_results(folder, results)
    said = len(results.agreed), len(results.disagreed)
    return Labelled(counts, *said, results.agreement, taken, exported)


def _server() -> "Callable[[Desk, str, int], None]":
    """What serves the page; a package that it lacks is named before anything is done."""
    try:
        from spacy_bert_zh.label.app import serve_desk
    except ImportError as error:
        raise missing_extra(error.name or "fastapi", "label", "label") from None
    return serve_desk


def _render(guideline: Path | None) -> str:
    """As HTML: of any HTML in it the characters are shown, and no picture is loaded."""
    if guideline is None:
        return ""
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise missing_extra("markdown-it-py", "label", "--guideline") from None
    from spacy_bert_zh.untrusted import read_text

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return str(markdown.render(read_text(guideline)))


def _judge(nlp: "Language") -> "Judge":
    from spacy_bert_zh.loading import answer_all, warm_up

    warm_up(nlp)
    return lambda text: answer_all(nlp, [text])[0]


def _check_stored(store: "Store", items: "list[Item]", labels: "Labels", folder: Path) -> None:
    """Refuse to go on with answers to something else."""
    answers, texts = store.all(), {item.text for item in items}
    if answers and not any(answer.text in texts for answer in answers):
        raise BertZhError(
            f"{folder} holds {len(answers):,} answers, none of them to a text of this pool: "
            "name another folder, or the pool that they belong to"
        )
    for answer in answers:
        if answer.labels is not None and (fault := labels.fault(answer.labels)):
            raise BertZhError(
                f"{folder} holds an answer of {answer.annotator} that doesn't fit: {fault}. "
                "Give the labels that it was made with, or name another folder"
            )


def _take_in(
    path: Path, options: Options, items: "list[Item]", labels: "Labels", store: "Store"
) -> dict[str, int]:
    """Store the answers of a file: all of them that fit, or none if one has an unknown label."""
    from spacy_bert_zh.label.store import Answer
    from spacy_bert_zh.label.tools import read_answers
    from spacy_bert_zh.reading import make_cleaner
    from spacy_bert_zh.reading.texts import as_unlabelled

    clean, texts = make_cleaner(as_unlabelled(options)), {item.text for item in items}
    counts: Counter[str] = Counter()
    fitting: list[Answer] = []
    for line, answer in read_answers(path):
        given = answer.labels
        if given is not None:
            if fault := labels.fault(given):
                raise BertZhError(f"{path}, line {line}: {fault}")
            given = tuple(name for name in labels.names if name in given)
        text = clean(answer.text)
        if text in texts:
            fitting.append(Answer(text, answer.annotator, given, answer.time))
        else:
            counts["to other texts, left out"] += 1
    if not fitting:
        raise BertZhError(
            f"{path} is about other texts: none of its {counts.total():,} answers is to a text "
            "of the pool"
        )
    for answer in fitting:
        stands = store.add(answer) is answer
        counts["taken in" if stands else "to texts that have an answer, left out"] += 1
    return dict(counts)


def _export(folder: Path, tool: str, store: "Store", labels: "Labels") -> Path:
    from spacy_bert_zh.label.tools import write_answers

    name, content = write_answers(tool, store.all(), labels)
    with whole(folder / name) as part:
        part.write_text(content, "utf-8")
    return folder / name
