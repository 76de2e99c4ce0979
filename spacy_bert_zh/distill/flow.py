"""``distill``: teachers say what they think of texts, once; a student learns to say the same."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training.corpus import FILE_TYPE
from spacy.util import get_package_path, is_package
from wasabi import msg

from spacy_bert_zh.distill.objective import make_objective
from spacy_bert_zh.distill.scores import (
    RUN,
    SCORES,
    SHARD,
    Teachers,
    keep_scores,
    load_teachers,
    read_corpus,
    read_unlabelled,
    stating,
)
from spacy_bert_zh.distill.students import (
    Student,
    check_student,
    make_student,
    student_of,
)
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import check_apart, fingerprint, scratch, workshop
from spacy_bert_zh.loading import use_gpu as choose_device
from spacy_bert_zh.reading import Options
from spacy_bert_zh.train import hold, train


def distill(
    teachers: Sequence[str],
    output: Path,
    corpus: Path,
    *,
    dev: Path | None = None,
    unlabelled: Path | None = None,
    options: Options | None = None,
    student: str = "ngrams",
    temperature: float = 1.0,
    gold_share: float = 0.3,
    component: str | None = None,
    use_gpu: int = -1,
    overrides: dict[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    minutes: float = 0.0,
) -> Path:
    """Train a pipeline to say what trained ones say (Hinton et al. 2015, arXiv 1503.02531).

    `output` becomes the folder of a training, see `train`. Besides it gets the folder ``scores``
    with what the teachers said: a run with the same teachers and texts doesn't ask them again,
    whatever its student.

    Args:
        teachers: Folders of trained pipelines, or names of installed ones; the mean of their
            scores is learnt.
        output: Folder for the pipelines.
        corpus: As `convert` writes it: the texts of ``train`` are learnt from, those of ``dev``
            measured on, by their labels.
        unlabelled: File or folder of further texts to learn from.
        options: How to read those; None takes lines of text.
        student: "ngrams" (a linear model of n-grams alone), "layers=N" (so many layers of the
            first teacher's BERT, with its head and n-grams), the folder of a pipeline that learns
            on, or the path of a config.
        dev: Texts to measure on; `corpus` is then the folder of those to learn from.
        temperature: Logits are divided by it before student and teachers are compared: the higher,
            the more it counts how the teachers rank the labels that they don't give.
        gold_share: Share of the gold label in the loss of a text that has one.
        component: Of several text classifiers of a teacher the one to ask.
        use_gpu: GPU id; -1 is the CPU.
        overrides: Values of the student's config by dotted name.
        resume: Go on with a training that was cut off.
        force: Be content with a student that learnt nothing.
        minutes: About how long the training may take at most; 0 doesn't limit.

    Returns:
        The folder of the best pipeline.

    Raises:
        BertZhError: Teachers don't fit each other, the corpus or the student; a corpus, a config or
            the output can't be used; or the student learnt nothing, see `train`.
    """
    check_student(student)
    if not teachers:
        raise BertZhError("distill: name one teacher or several")
    if temperature < 1 or not 0 <= gold_share <= 1:
        raise BertZhError(
            f"--temperature {temperature:g}, --gold-share {gold_share:g}: give a temperature of 1 "
            "or more, and a share between 0 and 1"
        )
    options = options or Options("text", unlabelled=True)
    train_texts, dev_texts = (
        (corpus, dev) if dev else (_split(corpus, "train"), _split(corpus, "dev"))
    )
    read = [*map(Path, teachers), corpus, *([unlabelled] if unlabelled else [])]
    scores = output / SCORES
    check_apart(scores, read)
    with hold(output, read):
        pass  # nobody waits for the scores to be refused then
    choose_device(use_gpu)
    loaded = load_teachers(teachers, component)
    texts = read_corpus(train_texts, loaded)
    if unlabelled:
        texts = chain(texts, read_unlabelled(unlabelled, options, dev_texts))
    run = fingerprint((component, options, SHARD), map(_place, read))
    with (
        workshop(scores, "distill", RUN, f"*{FILE_TYPE}") as shards,
        scratch(scores) as room,
        stating(shards, run) as asked_before,
    ):
        made = make_student(student, loaded, room)
        msg.info(f"{keep_scores(loaded, texts, shards):,} texts with their scores in {scores}")
        paths = {"train": shards, "dev": dev_texts, "labels": corpus / "labels.json"}
        given = {f"paths.{name}": str(paths[name]) for name in paths if name in made.paths}
        return train(
            made.config,
            output,
            use_gpu=use_gpu,
            overrides=given | made.overrides | (overrides or {}),
            resume=resume and asked_before,
            force=force,
            minutes=minutes,
            prepare=partial(_prepare, loaded, made, temperature, gold_share),
        )


def _split(corpus: Path, name: str) -> Path:
    """One of the corpus's folders of texts."""
    split = corpus / name
    if not any(split.rglob(f"*{FILE_TYPE}")):
        raise BertZhError(
            f"--corpus {corpus} holds no texts in {name}: give the folder that 'convert' made"
        )
    return split


def _place(path: Path) -> Path:
    """Where a pipeline is that may be an installed one."""
    return get_package_path(str(path)) if is_package(str(path)) else path


def _prepare(
    teachers: Teachers, student: Student, temperature: float, gold_share: float, nlp: Language
) -> None:
    """Make a student of an initialised pipeline."""
    pipe = student_of(nlp, teachers)
    student.inherit(pipe)
    pipe.objective = make_objective(pipe, teachers.exclusive, temperature, gold_share)
    nlp.config["distill"] = {"temperature": temperature, "gold_share": gold_share}
