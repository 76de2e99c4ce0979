"""Text classifiers read from what was saved, which others may have changed or damaged.

What can be wrong is said in one line that names the component. After it, labels, weights and
settings fit each other and the architecture of the config.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import srsly
from pydantic import ConfigDict, Field, StringConstraints
from spacy.pipeline.textcat import TextCategorizer
from thinc.api import Model, to_numpy

from spacy_bert_zh.checkpoint import check_finite
from spacy_bert_zh.errors import BertZhError, wants_memory
from spacy_bert_zh.textcat.cascade import Cascade, check_cascade
from spacy_bert_zh.textcat.decision import Rules, Score
from spacy_bert_zh.textcat.index_files import FILES, from_parts, read_parts, to_parts
from spacy_bert_zh.textcat.neighbours import NEIGHBOURS, Mixing, Neighbours
from spacy_bert_zh.textcat.networks import shims_of
from spacy_bert_zh.textcat.ngrams import KEYS, SCALE, keys_of
from spacy_bert_zh.textcat.taxonomy import Taxonomy
from spacy_bert_zh.textcat.unlike import ODDS
from spacy_bert_zh.untrusted import (
    Strict,
    check_msgpack,
    check_msgpack_file,
    checked,
    one_line,
    parse_json,
    read_json,
    shorten,
)

Label = Annotated[str, StringConstraints(min_length=1)]
# Set anew for each training step.
_FREE = ("dropout_rate", "is_enabled")


class _Settings(Strict):
    """What is in a component's ``cfg``."""

    model_config = ConfigDict(extra="allow")

    labels: list[Label]
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    positive_label: str | None = None
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = None
    label_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    thresholds: dict[Label, Score] = Field(default={})
    decision: Rules | None = None
    cascade: Cascade | None = None
    neighbours: Mixing | None = None
    taxonomy: dict[Label, Label] = Field(default={})


class Restoring(TextCategorizer):
    """What our components do beside spaCy's `from_disk` and `from_bytes`."""

    _neighbours: Neighbours | None = None

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's folder; see spaCy's ``TrainablePipe.from_disk``.

        Raises:
            BertZhError: It is damaged, or of another component.
        """
        folder, exclude = Path(path), tuple(exclude)
        with self._restored(f"'{self.name}' in {folder.parent}", exclude):
            if "cfg" not in exclude:
                _check_settings(read_json(folder / "cfg"), folder / "cfg")
            if "model" not in exclude:
                check_msgpack_file(folder / "model")
            super().from_disk(folder, exclude=exclude)
            self._restore_neighbours(folder / NEIGHBOURS, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write a component's folder; see spaCy's ``TrainablePipe.to_disk``."""
        exclude = tuple(exclude)
        super().to_disk(path, exclude=exclude)
        folder = Path(path) / NEIGHBOURS
        if self._neighbours is None:
            # Of what lay there before: texts that somebody may want gone.
            for name in FILES if folder.is_dir() else ():
                (folder / name).unlink(missing_ok=True)
        elif NEIGHBOURS not in exclude:
            folder.mkdir(exist_ok=True)
            for name, data in to_parts(self._neighbours).items():
                (folder / name).write_bytes(data)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """A component's bytes; see spaCy's ``TrainablePipe.to_bytes``."""
        exclude = tuple(exclude)
        data = super().to_bytes(exclude=exclude)
        if self._neighbours is None or NEIGHBOURS in exclude:
            return data
        parts = srsly.msgpack_loads(data)
        return srsly.msgpack_dumps({**parts, NEIGHBOURS: to_parts(self._neighbours)})

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Read a component's bytes; see spaCy's ``TrainablePipe.from_bytes``.

        Raises:
            BertZhError: They are damaged, or of another component.
        """
        exclude = tuple(exclude)
        with self._restored(f"'{self.name}'", exclude):
            check_msgpack(bytes_data, "Its message")
            parts = srsly.msgpack_loads(bytes_data)
            if "cfg" not in exclude and "cfg" in parts:
                _check_settings(parse_json(parts["cfg"], "Its cfg"), "Its cfg")
            if "model" not in exclude and "model" in parts:
                check_msgpack(parts["model"], "Its model")
            super().from_bytes(bytes_data, exclude=exclude)
            self._restore_neighbours(parts.get(NEIGHBOURS, {}), exclude)
        return self

    @property
    def _has_vectors(self) -> bool:
        return bool(self.model.has_ref("backbone"))

    def _restore_neighbours(self, found: Path | dict[str, bytes], exclude: tuple[str, ...]) -> None:
        """Read an index from a folder or from its files, if `cfg` speaks of one."""
        if exclude and ("cfg" in exclude or NEIGHBOURS in exclude):
            return
        self._neighbours = None
        if not self.cfg.get(NEIGHBOURS):
            return
        where = found if isinstance(found, Path) else "Its index of neighbours"
        parts = read_parts(found) if isinstance(found, Path) else found
        mixing = Mixing.model_validate(self.cfg[NEIGHBOURS])
        index = from_parts(parts, mixing, where)
        if len(index.mean) != sum(shim.width for shim in shims_of(self.model)):
            raise BertZhError(f"{where} is of another encoder: its vectors have another length")
        known = set(self.labels)
        strange = {label for entry in index.entries for label in entry.labels} - known
        if strange := strange | set(mixing.learnt) - known:
            raise BertZhError(f"{where} has the label {shorten(min(strange))}, which it doesn't")
        self._neighbours = index

    @contextmanager
    def _restored(self, what: str, exclude: tuple[str, ...]) -> Iterator[None]:
        """Where spaCy and thinc meet what is damaged, they raise all sorts of errors."""
        before = [(node.name, _refs(node), _attributes(node)) for node in self.model.walk()]
        try:
            yield
            if "model" not in exclude:
                _check_architecture(self.model, before)
            _check_weights(self.model, list(self.labels))
            if self.cfg.get("cascade"):
                check_cascade(self.model, self.name)
        except BertZhError as error:
            raise BertZhError(f"The component {what} can't be read: {error}") from error
        except Exception as error:
            if wants_memory(error):
                raise
            raise BertZhError(
                f"The component {what} can't be read: it is damaged, or its config.cfg describes "
                f"another one ({type(error).__name__}: {one_line(error)})"
            ) from error


def _check_settings(settings: dict[str, Any], where: Path | str) -> None:
    found = checked(_Settings, settings, where)
    labels = found.labels
    if strange := found.thresholds.keys() - set(labels):
        raise BertZhError(f"{where} has a threshold for the label {shorten(min(strange))}")
    if len(set(labels)) < len(labels):
        twice = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise BertZhError(f"{where} has the label {shorten(twice)} twice")
    if strange := {*found.taxonomy, *found.taxonomy.values()} - set(labels):
        raise BertZhError(f"{where} has {shorten(min(strange))} in its tree, which is no label")
    Taxonomy(found.taxonomy)


def _kind(name: str) -> str:
    """What a layer is called whatever its engine: each engine reads what another wrote."""
    return re.sub(r"[a-z]+_backbone", "backbone", name)


def _refs(node: Model[Any, Any]) -> dict[str, Any]:
    return {name: node.maybe_get_ref(name) for name in node.ref_names}


def _attributes(node: Model[Any, Any]) -> dict[str, Any]:
    simple = (bool, int, float, str)
    return {
        name: value
        for name, value in node.attrs.items()
        if isinstance(value, simple) and name not in _FREE
    }


def _check_architecture(model: Model[Any, Any], before: list[tuple[str, Any, Any]]) -> None:
    """Whether it is still the one that the config described."""
    for node, (name, refs, attributes) in zip(model.walk(), before, strict=True):
        if _kind(node.name) != _kind(name) or _refs(node) != refs:
            raise BertZhError(f"its model has a layer '{node.name}' where config.cfg has '{name}'")
        for key, value in attributes.items():
            found = node.attrs[key]
            if type(found) is not type(value) or found != value:
                raise BertZhError(
                    f"its model was made with {key} = {shorten(found)}, but config.cfg says {value}"
                )
        rate = node.attrs.get("dropout_rate", 0.0)
        if type(rate) not in (int, float) or not 0 <= rate <= 1:
            raise BertZhError(f"its model has dropout_rate = {shorten(rate)}")


def _type_of(node: Model[Any, Any], name: str) -> str:
    if node.name == "ngram_linear" and name == KEYS:
        return "int32"
    small = node.name == "ngram_linear" and name == "W" and node.has_param(SCALE)
    return "int8" if small else "float32"


def _check_weights(model: Model[Any, Any], labels: list[str]) -> None:
    """Whether weights are what they should be, and fit the labels."""
    for node in model.walk():
        for name in node.param_names:
            if node.has_param(name):
                values = to_numpy(node.get_param(name))
                if values.dtype != _type_of(node, name):
                    raise BertZhError(f"its weights {node.name}.{name} are {values.dtype}")
                check_finite(f"{node.name}.{name}", values, "its model")
        odds = node.get_param(ODDS) if ODDS in node.param_names else None
        if odds is not None and (odds.ndim != 2 or not odds.size):
            raise BertZhError(f"its weights {node.name}.{ODDS} are no table")
    if "ngrams" in model.ref_names and model.has_param("b"):
        _check_shape(model, "b", (len(labels),))
        _check_ngrams(model, labels)
    if "backbone" not in model.ref_names or not model.get_ref("output_layer").has_param("W"):
        return  # spaCy's own, or not trained yet
    head, backbone = model.get_ref("output_layer"), model.get_ref("backbone")
    shims = shims_of(model)
    width = sum(shim.width for shim in shims) if shims else backbone.get_dim("nO")
    _check_shape(head, "W", (len(labels), width))
    _check_shape(head, "b", (len(labels),))
    for name in ("mean", "scale"):
        if name in head.param_names:
            _check_shape(head, name, (width,))
    _check_ngrams(model, labels)


def _check_ngrams(model: Model[Any, Any], labels: list[str]) -> None:
    for node in model.walk():
        if node.name == "ngram_linear":
            keys = keys_of(node)
            if keys is not None and (keys.ndim != 1 or (np.diff(keys, prepend=-1) <= 0).any()):
                raise BertZhError(f"its weights {node.name}.{KEYS} are no sorted hash values")
            _check_shape(
                node, "W", (node.get_dim("nI") if keys is None else len(keys), len(labels))
            )
            if node.has_param(SCALE):
                _check_shape(node, SCALE, (len(labels),))


def _check_shape(node: Model[Any, Any], name: str, shape: tuple[int, ...]) -> None:
    found = node.get_param(name).shape
    if found != shape:
        raise BertZhError(
            f"its weights {node.name}.{name} have shape {found}, but its cfg and its backbone "
            f"ask for {shape}: labels and weights are not of the same model"
        )
