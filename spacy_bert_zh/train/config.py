"""A training's config and corpora: read, checked, and every fault in one line."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from spacy import util
from spacy.language import Language
from spacy.schemas import ConfigSchemaInit, ConfigSchemaNlp, ConfigSchemaTraining
from spacy.training import Example
from spacy.training.corpus import FILE_TYPE
from thinc.api import Config, ConfigValidationError

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.loading import textcats
from spacy_bert_zh.train.budget import EVALUATIONS

MOST_STEPS = 200
"""Steps from one to the next of those at most, as spaCy has it."""

_SCHEMAS: dict[str, type[BaseModel]] = {
    "training": ConfigSchemaTraining,
    "nlp": ConfigSchemaNlp,
    "initialize": ConfigSchemaInit,
}

Reader = Callable[[Language], Iterable[Example]]


def load_training_config(path: Path, overrides: dict[str, Any]) -> Config:
    """Read a config, not interpolated, and check what it names before anything is built.

    Raises:
        BertZhError: No config there, or something it names isn't there.
    """
    if not path.is_file():
        raise BertZhError(f"No config file at {path}")
    with readable_errors(path):
        config = util.load_config(path, overrides=overrides, interpolate=False)
        interpolated = config.interpolate()
    _check_keys(interpolated)
    _check_paths(interpolated)
    _check_extras(interpolated)
    return config


def corpus_paths(path: Path, overrides: dict[str, Any]) -> dict[str, Path]:
    """Where the corpora of a config lie, by the dotted names of the settings that say it.

    Args:
        path: The config.
        overrides: What the user says about it, by dotted name.

    Returns:
        Of what is learnt from, then of what is evaluated on.

    Raises:
        BertZhError: The config is no good, or reads one of them by other means than a path.
    """
    config = load_training_config(path, overrides).interpolate()
    found = {}
    for setting in ("train_corpus", "dev_corpus"):
        name = config["training"][setting]
        corpus = config["corpora"].get(name.partition(".")[2], {})
        if "path" not in corpus:
            raise BertZhError(f"{path}: {name}, the training.{setting}, has no path")
        found[f"{name}.path"] = Path(corpus["path"])
    return found


def _check_keys(config: Config) -> None:
    """Name a setting that spaCy doesn't have, where it would quietly pass it over."""
    for section, schema in _SCHEMAS.items():
        known = schema.model_fields.keys()
        for key in sorted(config.get(section, {}).keys() - known):
            alike = get_close_matches(key, known, 1)
            raise BertZhError(
                f"{section}.{key} is unknown"
                + (f": did you mean {alike[0]}?" if alike else f": known are {', '.join(known)}")
            )


def _check_paths(config: Config) -> None:
    """Name a corpus that isn't there by its config key."""
    for name, corpus in config.get("corpora", {}).items():
        if "path" not in corpus:
            continue
        if not corpus["path"]:
            raise BertZhError(f"corpora.{name}.path is not set: give it with --paths.{name} FOLDER")
        path = Path(corpus["path"])
        if not path.exists():
            raise BertZhError(f"corpora.{name}.path: no such file or folder: {path}")
        if path.is_dir() and not any(path.rglob(f"*{FILE_TYPE}")):
            raise BertZhError(
                f"corpora.{name}.path: no {FILE_TYPE} file in {path}: make one with 'convert'"
            )


def _check_extras(config: Config) -> None:
    """Name the extra of a component that spaCy can only call an unknown factory."""
    factories = {part.get("factory") for part in config.get("components", {}).values()}
    if "transformer" in factories and find_spec("spacy_transformers") is None:
        raise missing_extra("spacy_transformers", "shared", "the component 'transformer'")


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Make what spaCy says of a config or of what it names into one line.

    Args:
        path: The config's file, for the message.
    """
    try:
        yield
    except BertZhError:
        raise
    except ConfigValidationError as error:
        raise BertZhError(f"{path}: {_faults(error)}") from error
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise BertZhError(f"{path}: {' '.join(what.split())}") from error
    except (AssertionError, ValueError, KeyError, zlib.error) as error:  # as spaCy has them
        # What follows a blank line is a list of all that would have been right.
        first = str(error).strip().split("\n\n")[0]
        raise BertZhError(f"{path}: {' '.join(first.split())}") from error


def _faults(error: ConfigValidationError) -> str:
    """The faults alone: spaCy's text has the whole config below them."""
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors or []]
    if not faults:
        return " ".join(error.text.split())
    return "; ".join([error.desc, *faults] if error.desc else faults)


def checked(read: Reader, where: str) -> Reader:
    """A corpus that can be learnt from and measured on, checked while it is read.

    Args:
        read: The corpus's reader.
        where: Its name in the config, for the messages.

    Returns:
        A reader that raises a `BertZhError` where there is no text, or a text has a label
        that no text classifier of the pipeline has.
    """

    def checked_read(nlp: Language) -> Iterator[Example]:
        labels = {label for pipe in textcats(nlp) for label in pipe.labels}
        empty = True
        for example in _read(read, nlp, where):
            empty = False
            given = {label for label, value in example.reference.cats.items() if value > 0}
            if labels and (unknown := given - labels):
                raise BertZhError(
                    f"{where} has a label that the pipeline doesn't: {sorted(unknown)[0]!r}, at "
                    f"'{example.reference.text[:40]}'; the labels are those of paths.labels, "
                    "convert the corpus again to make them the same"
                )
            yield example
        if empty:
            raise BertZhError(f"{where} holds no text: convert the corpus again")

    return checked_read


def _read(read: Reader, nlp: Language, where: str) -> Iterator[Example]:
    try:
        yield from read(nlp)
    except BertZhError:
        raise
    except (OSError, ValueError, KeyError, zlib.error) as error:
        raise BertZhError(
            f"{where} can't be read ({' '.join(str(error).split())}): convert the corpus again"
        ) from error


def choose_frequency(
    settings: dict[str, Any], count_epoch: Callable[[], int], evaluations: int = EVALUATIONS
) -> int:
    """How many steps from one evaluation to the next, where the config doesn't say it.

    Args:
        settings: The section `training`, resolved.
        count_epoch: Counts the steps of an epoch.
        evaluations: How often to evaluate, if it isn't more than `MOST_STEPS` apart.
    """
    lengths = [settings["max_steps"]]
    if settings["max_epochs"] > 0:
        lengths.append(settings["max_epochs"] * count_epoch())
    steps = min((length for length in lengths if length), default=MOST_STEPS * evaluations)
    return min(-(-steps // evaluations), MOST_STEPS, settings["patience"] or MOST_STEPS)


def seeded(path: Path, number: int) -> dict[str, int]:
    """The settings of a training with another seed: the config's own, and so many more.

    Args:
        path: Of a config that can be trained.
        number: 0 is the config's own.
    """
    seed = (Config().from_disk(path).interpolate()["training"].get("seed") or 0) + number
    return {"system.seed": seed, "training.seed": seed}


def load_for(
    path: Path, overrides: dict[str, Any], train: Path, dev: Path
) -> tuple[Config, tuple[str, ...]]:
    """Read a config that is to learn from other corpora; see `load_training_config`.

    Args:
        path: The config.
        overrides: What the user says about it, by dotted name.
        train: What it may learn from, to check it by.
        dev: What it may be evaluated on.

    Returns:
        The config without corpora, and the dotted names of its settings for these: train, dev, and
        the file of labels, if it reads them from one.

    Raises:
        BertZhError: It has no corpora, or the user names some as well.
    """
    if not path.is_file():
        raise BertZhError(f"No config file at {path}")
    with readable_errors(path):
        own = util.load_config(path, interpolate=False)
        training = own.get("training", {})
        keys = [f"{training.get(name)}.path" for name in ("train_corpus", "dev_corpus")]
    if "labels" in own.get("paths", {}):
        keys.append("paths.labels")
    for key in ("paths.train", "paths.dev", "paths.labels", *keys):
        if key in overrides:
            raise BertZhError(f"--{key}: what is given stands in its place; leave it out")
    given = {keys[0]: str(train), keys[1]: str(dev)}
    config = load_training_config(path, {**overrides, **given})
    for key in keys:
        *sections, last = key.split(".")
        section: dict[str, Any] = config
        for name in sections:
            section = section[name]
        section[last] = None
    return config, tuple(keys)
