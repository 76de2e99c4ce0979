"""The options of `label`, checked."""

from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading import TextOptions
from spacy_bert_zh.reading.options import one_of

TOOLS = ("argilla", "doccano", "label-studio", "prodigy")


@dataclass(frozen=True)
class Options(TextOptions):
    """What is labelled, and how; how to find the texts as in `reading.TextOptions`.

    Args:
        format: Format of the pool: jsonl, as `select` and `audit` write it, or any other of
            convert's.
        labels: The labels between commas, or a file of them: one a line, or the labels.json that
            convert writes; else those of the pipeline.
        pipeline: Folder or package name of a pipeline, whose labels are taken and whose guess is
            shown.
        multilabel: Labels don't exclude each other: a text may have several, or none. As in the
            pipeline, if there is one.
        blind: Don't show what the pipeline guesses.
        guideline: What the labels mean, in Markdown, to be shown beside the texts.
        answers: Take in the answers of a file that another tool has exported (doccano, Label
            Studio, Argilla, Prodigy), or a labels.jsonl of this command, and end.
        export: Write the answers for another tool and end: argilla, doccano, label-studio or
            prodigy.
    """

    format: str = "jsonl"
    labels: str = ""
    pipeline: str | None = None
    multilabel: bool = False
    blind: bool = False
    guideline: Path | None = None
    answers: Path | None = None
    export: str | None = None

    def __post_init__(self) -> None:
        if self.export is not None:
            one_of("--export", self.export, TOOLS)
        if self.export and self.answers:
            raise BertZhError("--answers and --export are two things: run the command twice")
        if self.blind and self.pipeline is None:
            raise BertZhError("--blind hides a pipeline's guess, but there is no --pipeline")

    @property
    def serves(self) -> bool:
        """Whether the page is what is wanted."""
        return self.answers is None and self.export is None
