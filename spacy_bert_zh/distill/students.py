"""Students: the n-grams alone, some layers of a teacher's BERT, or what a config says."""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from spacy.language import Language
from spacy.util import load_config
from thinc.api import Config, Model

from spacy_bert_zh.checkpoint import Checkpoint, save_checkpoint, structure
from spacy_bert_zh.distill.scores import Teachers
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import find_textcat, is_exclusive, load_pipeline, take_apart
from spacy_bert_zh.pieces import sections_of
from spacy_bert_zh.textcat import BertTextCat, set_table, table_of
from spacy_bert_zh.textcat.ngrams import hashing_of, is_solved
from spacy_bert_zh.train import readable_errors

TEMPLATE = Path(__file__).with_name("student.cfg")
NGRAMS = "ngrams"
_LAYERS = re.compile(r"layers=(\d+)")


class Student(NamedTuple):
    """What is to be trained.

    Attributes:
        config: Its file.
        paths: Names in its section ``paths``.
        overrides: Values to change in it, by dotted name.
        inherit: Gives the initialised component what it has of a teacher.
    """

    config: Path
    paths: Collection[str]
    overrides: dict[str, Any]
    inherit: Callable[[BertTextCat], None]


def check_student(student: str) -> None:
    """Whether it is a student, before anything takes time.

    Raises:
        BertZhError: It is none.
    """
    if student != NGRAMS and not _LAYERS.fullmatch(student) and not Path(student).exists():
        raise BertZhError(
            f"--student {student}: give {NGRAMS}, layers=N, the folder of a pipeline, or the file "
            "of a config, such as configs/ensemble.cfg"
        )


def make_student(student: str, teachers: Teachers, folder: Path) -> Student:
    """Find out what a student is made of.

    Args:
        student: "ngrams", "layers=N", the folder of a pipeline, or the path of a config.
        teachers: Its teachers; layers are those of the first one.
        folder: For its config and its checkpoint.

    Raises:
        BertZhError: The first teacher has fewer layers, or no BERT to take them from.
    """
    is_pipeline = Path(student).is_dir()
    if is_pipeline or student == NGRAMS or _LAYERS.fullmatch(student):
        _check_flat(student, teachers)
    if student == NGRAMS:
        return _fill(teachers, _ngrams(teachers.exclusive), folder)
    if is_pipeline:
        return _begin_as(load_pipeline(student), teachers, folder)
    if match := _LAYERS.fullmatch(student):
        return _begin_as(teachers.pipelines[0], teachers, folder, int(match[1]))
    with readable_errors(Path(student)):
        config = load_config(Path(student), interpolate=False)
    return Student(Path(student), config.get("paths", {}).keys(), {}, _nothing)


def _begin_as(
    nlp: Language, teachers: Teachers, folder: Path, layers: int | None = None
) -> Student:
    """A student that begins as a trained pipeline, or with so many layers of its first BERT."""
    model: Any = find_textcat(nlp, None)
    checkpoint = take_apart(model).networks[0].checkpoint
    if layers is not None:
        checkpoint = take_layers(checkpoint, layers)
    save_checkpoint(checkpoint, folder / "student")
    component = nlp.config.interpolate()["components"][model.name]
    backbone = next(iter(sections_of(component["model"]["backbone"]).values()))
    component["model"]["backbone"] = backbone  # a committee's first
    backbone["name"] = str(folder / "student")
    made = _fill(teachers, component, folder)
    length = f"components.{component['factory']}.model.backbone.max_length"
    made = made._replace(overrides={length: backbone["max_length"]})  # it would be fitted to texts
    if layers is not None and _has_solved(model):
        return made  # head and n-grams were fitted to the scores of all texts: see docs/distill.md
    return made._replace(inherit=lambda pipe: inherit(pipe, model))


def _check_flat(student: str, teachers: Teachers) -> None:
    if hasattr(find_textcat(teachers.pipelines[0], None), "tree"):
        raise BertZhError(
            f"--student {student}: the teacher's labels are a tree, which such a student wouldn't "
            "have; give a config that has it, such as configs/trees.cfg with paths.taxonomy"
        )


def _nothing(pipe: BertTextCat) -> None:
    pass


def take_layers(checkpoint: Checkpoint, count: int) -> Checkpoint:
    """A checkpoint with some of the layers, spread evenly, the first and the last among them.

    Six of twelve are those that DistilBERT begins with (Sanh et al. 2019, arXiv 1910.01108).

    Raises:
        BertZhError: There are fewer, or they are no layers of a BERT.
    """
    layers = int(checkpoint.config["num_hidden_layers"])
    if structure(checkpoint.config):
        raise BertZhError(
            f"--student layers={count}: the teacher's network is a "
            f"{checkpoint.config['model_type']}, and layers are taken of BERTs alone: give a config"
        )
    if not 1 <= count <= layers:
        raise BertZhError(
            f"--student layers={count}: the teacher's BERT has {layers} layers: give 1 to {layers}"
        )
    taken = np.linspace(0, layers - 1, count).round().astype(int).tolist()
    names = {f"encoder.layer.{old}.": f"encoder.layer.{new}." for new, old in enumerate(taken)}
    weights = {}
    for name, tensor in checkpoint.weights.items():
        found = re.match(r"encoder\.layer\.\d+\.", name)
        if found is None:
            weights[name] = tensor
        elif found[0] in names:
            weights[names[found[0]] + name[found.end() :]] = tensor
    return replace(
        checkpoint, config={**checkpoint.config, "num_hidden_layers": count}, weights=weights
    )


def _ngrams(exclusive: bool) -> dict[str, Any]:
    linear_model = {
        "@architectures": "spacy_bert_zh.NgramLinear.v2",
        "ngram_size": 3,
        "length": 2**18,
        "nO": None,
    }
    model = {
        "@architectures": "spacy_bert_zh.NgramTextCat.v1",
        "linear_rate": 1.0,
        "exclusive_classes": exclusive,
        "nO": None,
        "linear_model": linear_model,
    }
    factory = "bert_textcat" if exclusive else "bert_textcat_multilabel"
    return {"factory": factory, "model": model}


def _fill(teachers: Teachers, component: dict[str, Any], folder: Path) -> Student:
    """The template with a component whose labels are the teachers'."""
    config, name = Config().from_disk(TEMPLATE, interpolate=False), component["factory"]
    config["nlp"]["pipeline"] = [name]
    config["components"] = {name: component}
    config["initialize"] = {"components": {name: {"labels": teachers.labels}}}
    config.to_disk(folder / TEMPLATE.name)
    return Student(folder / TEMPLATE.name, config["paths"].keys(), {}, _nothing)


def inherit(pipe: BertTextCat, teacher: Any) -> None:
    """Take over another's head and n-grams: all that is not in its BERT.

    The head of a committee reads vectors of several BERTs, so only its n-grams are taken.
    """
    for new, old in zip(*map(_around_backbone, (pipe.model, teacher.model)), strict=True):
        names = [name for name in new.param_names if old.has_param(name)]
        if new.name == old.name == "ngram_linear" and is_solved(new) and is_solved(old):
            if hashing_of(new) == hashing_of(old):
                set_table(new, table_of(old))
        elif all(new.get_param(name).shape == old.get_param(name).shape for name in names):
            for name in names:
                new.set_param(name, old.get_param(name).copy())


def _has_solved(pipe: BertTextCat) -> bool:
    """Whether `initialize` solves n-grams, and fits the head that stands beside them."""
    return any(one.name == "ngram_linear" and is_solved(one) for one in pipe.model.walk())


def _around_backbone(model: Model[Any, Any]) -> list[Model[Any, Any]]:
    inside = {id(node) for node in model.get_ref("backbone").walk()}
    return [node for node in model.walk() if id(node) not in inside]


def student_of(nlp: Language, teachers: Teachers) -> BertTextCat:
    """The component that is to learn.

    Raises:
        BertZhError: It isn't ours, or has other labels than the teachers.
    """
    pipe = find_textcat(nlp, None)
    if not isinstance(pipe, BertTextCat):
        raise BertZhError(
            f"The student's component '{pipe.name}' is spaCy's own: give one that is made by "
            "bert_textcat or bert_textcat_multilabel"
        )
    if is_exclusive(pipe) != teachers.exclusive:
        wanted = "bert_textcat" if teachers.exclusive else "bert_textcat_multilabel"
        raise BertZhError(
            f"The student's component '{pipe.name}' doesn't give labels as its teachers do: take "
            f"{wanted}"
        )
    if differing := set(pipe.labels) ^ set(teachers.labels):
        raise BertZhError(
            f"The student and its teachers have different labels: only one side has "
            f"{min(differing)!r}"
        )
    return pipe
