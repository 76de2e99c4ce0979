"""``train --unlabelled``: a pipeline learns on, from what it says of texts without labels.

Self-training with soft labels and a noisy student, who learns with dropout what the teacher says
without (Xie et al. 2020, arXiv 1911.04252). What the teacher says is sharpened, as in UDA (Xie
et al. 2020, arXiv 1904.12848, section 2.3).
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.corpus import FILE_TYPE
from wasabi import msg

from spacy_bert_zh.distill.scores import (
    RUN,
    SCORES,
    SHARD,
    keep_scores,
    load_teachers,
    read_unlabelled,
    stating,
)
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.files import check_apart, fingerprint, remove, whole, workshop
from spacy_bert_zh.loading import use_gpu as choose_device
from spacy_bert_zh.reading import Options
from spacy_bert_zh.train import corpus_paths, hold, train

TEACHER = "teacher"
STEPS = ("training.optimizer.learn_rate.total_steps", "training.max_steps")

# Chosen on NLPCC-2017, 16 labels a class: see docs/unlabelled.md.
SHARPNESS = 2.0
LABELLED = 1 / 6
"""Share of the labelled texts in what is learnt: few of them are repeated."""


def self_train(
    config_path: Path,
    output: Path,
    unlabelled: Path,
    *,
    options: Options | None = None,
    use_gpu: int = -1,
    overrides: dict[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    minutes: float = 0.0,
) -> Path:
    """Train on labels, then on these and on what the pipeline says of texts without labels.

    `output` becomes the folder of a training, see `train`. Besides it gets ``teacher``, the folder
    of the training on the labels alone, and ``scores``, what that one said.

    Args:
        config_path: A spaCy config, whose corpora lie at paths.
        output: Folder for the pipelines.
        unlabelled: File or folder of texts; those of the config's corpora are left out.
        options: How to read them; None takes lines of text.
        use_gpu: GPU id; -1 is the CPU.
        overrides: Config values by dotted name; a number of steps is that of the second training.
        resume: Go on with a run that was cut off.
        force: Be content with a pipeline that learnt nothing.
        minutes: About how long both trainings may take at most; 0 doesn't limit.

    Returns:
        The folder of the best pipeline.

    Raises:
        BertZhError: As for `train`; or there is no text without a label.
    """
    overrides = overrides or {}
    options = options or Options("text", unlabelled=True)
    (key, texts), (_, dev) = corpus_paths(config_path, overrides).items()
    pool = read_unlabelled(unlabelled, options, texts, dev)
    read = [texts, dev, unlabelled]
    teacher, scores = output / TEACHER, output / SCORES
    for made in (teacher, scores):
        check_apart(made, read)
    with hold(output, read):
        pass  # nobody waits for the teacher to be refused then
    began = time.monotonic()
    given: dict[str, Any] = {"use_gpu": use_gpu, "force": force}
    run = fingerprint((config_path.read_text("utf-8"), overrides), [texts, dev])
    if not _is(teacher, run):
        remove(teacher / RUN)
        msg.divider("Learning from labels")
        own = {setting: value for setting, value in overrides.items() if setting not in STEPS}
        train(config_path, teacher, overrides=own, resume=resume, minutes=minutes / 4, **given)
        with whole(teacher / RUN) as part:
            part.write_text(run, "utf-8")
    choose_device(use_gpu)
    best = teacher / "model-best"
    loaded = replace(load_teachers([str(best)], None), sharpness=SHARPNESS)
    run = fingerprint((options, SHARD, SHARPNESS, LABELLED), [best, *read])
    with (
        workshop(scores, "distill", RUN, f"*{FILE_TYPE}") as shards,
        stating(shards, run) as asked_before,
    ):
        msg.divider("Learning from texts without labels")
        count = keep_scores(loaded, pool, shards)
        if not count:
            raise BertZhError(f"--unlabelled {unlabelled} has no text that the corpora don't have")
        times = _repeat(texts, count, shards)
        msg.info(f"{count:,} texts with pseudo-labels in {scores}, those with labels {times} times")
        note = {"texts": count, "sharpness": SHARPNESS, "labelled_times": times}
        found = train(
            config_path,
            output,
            overrides={**overrides, key: str(shards)},
            resume=resume and asked_before,
            minutes=minutes and max(minutes - (time.monotonic() - began) / 60, minutes / 4),
            prepare=partial(_note, note),
            **given,
        )
    _compare(best, found)
    return found


def _is(teacher: Path, run: str) -> bool:
    """Whether a training is that run, and done."""
    stated = teacher / RUN
    return stated.exists() and stated.read_text("utf-8") == run


def _repeat(texts: Path, count: int, shards: Path) -> int:
    """Put the labelled texts beside the others, so often that they are `LABELLED` of all."""
    docs = list(read_shards(spacy.blank("zh"), texts))
    times = max(round(count * LABELLED / (1 - LABELLED) / len(docs)), 1)
    with whole(shards / f"labelled{FILE_TYPE}") as part:
        DocBin(docs=docs * times).to_disk(part)
    return times


def _note(note: dict[str, Any], nlp: Language) -> None:
    """Have the pipeline say what it learnt from."""
    nlp.config["self_training"] = note


def _compare(teacher: Path, student: Path) -> None:
    """Say so where nothing was won, by the texts that both were chosen on."""
    before, after = (
        srsly.read_json(path / "meta.json")["training"]["score"] for path in (teacher, student)
    )
    if after <= before:
        msg.warn(
            f"On dev this is no better than labels alone: {after:.4f} beside {before:.4f}; the "
            f"pipeline of labels alone is {teacher}"
        )
