"""Trained pipelines: loaded, their text classifier found and taken apart."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.util import is_package
from thinc import compat
from thinc.api import to_numpy

from spacy_bert_zh.checkpoint import Checkpoint
from spacy_bert_zh.errors import BertZhError, wants_memory
from spacy_bert_zh.loading.folders import check_folder
from spacy_bert_zh.textcat import (
    NEIGHBOURS,
    NgramTable,
    given_of,
    plain_weights,
    shims_of,
    table_of,
)
from spacy_bert_zh.textcat.space import ALIKE
from spacy_bert_zh.untrusted import one_line

PROBED = 8
"""Texts of an index by which it is told whether it belongs to the encoder."""


@dataclass(frozen=True)
class Network:
    """A BERT of a text classifier.

    Attributes:
        checkpoint: Its config, tokenizer and weights.
        settings: Those of its backbone: max_length, stride, max_windows, pooling, …
    """

    checkpoint: Checkpoint
    settings: dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """A text classifier without spaCy, thinc and an engine.

    Attributes:
        networks: Its BERT, or several of a committee.
        labels: In the order of the scores.
        weights: Of the head; shape (labels, hidden size), or the sum of the hidden sizes.
        bias: Of the head; shape (labels,).
        exclusive_classes: Softmax over the labels, or else one sigmoid for each.
        ngrams: Of a linear model of n-grams, whose logits are added. None if there is no such
            model.
        below: Of labels that are a tree, each with all below it, whose highest score it has; see
            `Tree.table`. None if they are none.
    """

    networks: tuple[Network, ...]
    labels: list[str]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    exclusive_classes: bool
    ngrams: NgramTable | None = None
    below: NDArray[np.int64] | None = None

    @property
    def network(self) -> Network:
        """Its only BERT.

        Raises:
            BertZhError: It has several.
        """
        if len(self.networks) > 1:
            raise BertZhError(
                f"The classifier is a committee of {len(self.networks)} BERTs, and one is wanted: "
                "let 'distill' make one of them that says the same"
            )
        return self.networks[0]

    @property
    def checkpoint(self) -> Checkpoint:
        """Of its only BERT; see `network`."""
        return self.network.checkpoint

    @property
    def settings(self) -> dict[str, Any]:
        """Of its only BERT's backbone; see `network`."""
        return self.network.settings


def use_gpu(gpu_id: int) -> None:
    """Let what is loaded next compute on a GPU; -1 is the CPU.

    Raises:
        BertZhError: There is no such GPU, or no library for it.
    """
    if gpu_id < 0:
        return
    if not compat.has_cupy and not compat.has_torch_mps:
        raise BertZhError(
            f"--gpu-id {gpu_id} needs the package CuPy, which is not installed: "
            'pip install "spacy-bert-zh[cuda12x]" (for CUDA 12; also cuda11x, cuda13x)'
        )
    if not compat.has_cupy_gpu and not compat.has_torch_mps_gpu:
        raise BertZhError(f"--gpu-id {gpu_id}: no GPU is to be seen here; --gpu-id -1 is the CPU")
    if compat.has_torch and not compat.has_torch_cuda_gpu and not compat.has_torch_mps_gpu:
        raise BertZhError(
            f"--gpu-id {gpu_id}: the torch that is installed sees no GPU; install one that is "
            "built for your version of CUDA (https://pytorch.org/get-started/locally)"
        )
    try:
        spacy.require_gpu(gpu_id)
    except (ValueError, RuntimeError) as error:  # CuPy's errors are RuntimeErrors
        raise BertZhError(f"--gpu-id {gpu_id}: {error}") from error


def load_pipeline(pipeline: str | Path, overrides: dict[str, Any] | None = None) -> Language:
    """Load a pipeline from a folder or an installed package, and let it read a word.

    This is the one door for pipelines that others made, or that are damaged.

    Args:
        pipeline: Folder or name.
        overrides: Values of its config to change.

    Raises:
        BertZhError: There is none, or it can't be used; the line says what is wrong with it.

    Examples:
        >>> nlp = load_pipeline("training/model-best")
        >>> list(nlp("这家店很好吃").cats)
        ['neg', 'pos']
    """
    # As spaCy looks for it: a package before a folder.
    if Path(pipeline).exists() and not is_package(str(pipeline)):
        check_folder(Path(pipeline))
    collects = gc.isenabled()
    try:
        nlp = spacy.load(pipeline, config=overrides or {})
        nlp("好")
        for pipe in textcats(nlp):
            check_index(nlp, pipe)
        return nlp
    except BertZhError as error:
        raise BertZhError(f"Can't load the pipeline '{pipeline}': {error}") from error
    except OSError as error:
        raise BertZhError(
            f"Can't load the pipeline '{pipeline}': give the folder of a trained one, such as "
            f"training/model-best, or the name of an installed package ({one_line(error)})"
        ) from error
    except ImportError as error:
        raise BertZhError(
            f"Can't load the pipeline '{pipeline}': it needs a package that is not installed "
            f"({one_line(error)})"
        ) from error
    except Exception as error:  # spaCy, thinc and confection raise all sorts of errors here
        if wants_memory(error):
            raise
        raise BertZhError(
            f"Can't load the pipeline '{pipeline}': it is damaged, or was made with other "
            f"versions; export or copy it again ({type(error).__name__}: {one_line(error)})"
        ) from error
    finally:
        if collects:  # srsly leaves it off where it can't read a message
            gc.enable()


def check_index(nlp: Language, pipe: TextCategorizer) -> None:
    """Ask for some texts of a component's index, if it has one, whether they are found again.

    Raises:
        BertZhError: Most of them aren't: their vectors are of another encoder.
    """
    known = getattr(pipe, NEIGHBOURS, None)
    # spaCy's have none; a single text is the mean of its index, so that its vector is 0.
    if known is None or len(known) < 2:
        return
    docs = nlp.pipe([entry.text for entry in known.entries[:PROBED]])
    near = [doc._.bert_textcat[pipe.name][NEIGHBOURS][0]["similarity"] for doc in docs]
    # Not each of them: a repair that came later reads some otherwise.
    if np.median(near) < ALIKE:
        raise BertZhError(
            f"The index of '{pipe.name}' holds vectors of another encoder: make one anew with "
            "'index --add', for the pipeline before it was indexed"
        )


def textcats(nlp: Language) -> list[TextCategorizer]:
    """All text classifiers of a pipeline, ours and spaCy's."""
    return [pipe for _, pipe in nlp.pipeline if isinstance(pipe, TextCategorizer)]


def is_exclusive(pipe: TextCategorizer) -> bool:
    """Whether a text classifier gives exactly one label to a text."""
    return not isinstance(pipe, MultiLabel_TextCategorizer)


def set_threshold(pipe: TextCategorizer, threshold: float) -> None:
    """Let another score decide which labels are given, the same for all of them.

    Raises:
        BertZhError: The labels exclude each other, or it is no score.
    """
    if is_exclusive(pipe):
        raise BertZhError(
            f"--threshold {threshold:g}: the labels of '{pipe.name}' exclude each other, so the "
            "best one is given whatever its score; leave the option out"
        )
    if not 0 <= threshold <= 1:
        raise BertZhError(f"--threshold {threshold:g}: a score is between 0 and 1")
    pipe.cfg["threshold"] = threshold
    pipe.cfg.pop("thresholds", None)  # of single labels


def given_labels(nlp: Language, cats: dict[str, float]) -> list[str]:
    """The labels that a pipeline gives to a text with these scores, in the pipeline's order.

    Of a classifier with exclusive labels the best one; of another all whose score reaches its
    threshold, perhaps none.

    Examples:
        >>> given_labels(load_pipeline("training/model-best"), {"neg": 0.2, "pos": 0.8})
        ['pos']
    """
    given: list[str] = []
    for pipe in textcats(nlp):
        scores = np.asarray([[cats.get(label, -1.0) for label in pipe.labels]])
        if (scores >= 0).any():
            given += [pipe.labels[column] for column in np.flatnonzero(given_of(pipe, scores)[0])]
    return list(dict.fromkeys(given))


def find_textcat(nlp: Language, name: str | None) -> TextCategorizer:
    """The text classifier of that name, or else the only one.

    Raises:
        BertZhError: There is none, or several.

    Examples:
        >>> find_textcat(load_pipeline("training/model-best"), None).labels
        ('neg', 'pos')
    """
    pipes = {pipe.name: pipe for pipe in textcats(nlp)}
    if name in pipes:
        return pipes[name]
    if name or not pipes:
        raise BertZhError(
            f"The pipeline has no text classifier{f' {name!r}' if name else ''}; "
            f"its components: {', '.join(nlp.pipe_names) or 'none'}"
        )
    if len(pipes) > 1:
        raise BertZhError(
            f"The pipeline has several text classifiers: choose --component {' or '.join(pipes)}"
        )
    return next(iter(pipes.values()))


def take_apart(pipe: TextCategorizer) -> Parts:
    """What a text classifier consists of.

    Raises:
        BertZhError: It is not a BERT of one of our engines.
    """
    model = pipe.model
    try:
        head = model.get_ref("output_layer")
        networks = [Network(one.checkpoint(), one.settings.as_dict()) for one in shims_of(model)]
    except (KeyError, AttributeError):
        networks = []
    if not networks:
        raise BertZhError(
            f"The component '{pipe.name}' has no BERT of its own: expected BertTextCat or "
            "BertTextCatEnsemble with a TorchBackbone or a KerasBackbone"
        )
    linear = model.layers[2] if model.name == "bert_textcat_ensemble" else None
    table = None
    if linear is not None:
        table = table_of(linear)
        rate = np.float32(model.attrs["linear_rate"])
        table = table._replace(weights=rate * table.weights)
    weights, bias = map(to_numpy, plain_weights(head))
    tree = getattr(pipe, "tree", None)
    return Parts(
        tuple(networks),
        list(pipe.labels),
        weights,
        bias,
        not model.attrs["multi_label"],
        table,
        tree.table() if tree is not None else None,
    )
