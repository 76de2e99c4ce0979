"""Settings of a component that the config decides on, and that are saved with it as well."""

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from spacy.pipeline.textcat_multilabel import MultiLabel_TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat.class_weights import ClassWeights, read_class_weights
from spacy_bert_zh.textcat.restoring import Restoring

log = logging.getLogger(__name__)

SETTINGS = ("threshold", "class_weights", "label_smoothing")
"""What the config says and `cfg`, which is saved with the component, as well."""


class Configurable(Restoring):
    """A text categorizer whose settings are what the config says, however it was loaded."""

    @property
    def _exclusive(self) -> bool:
        return not isinstance(self, MultiLabel_TextCategorizer)

    def configure(self, class_weights: ClassWeights | str, label_smoothing: float) -> None:
        """Check the settings and keep them where the component is saved.

        Args:
            class_weights: See `read_class_weights`.
            label_smoothing: Share of each target spread evenly over the labels.

        Raises:
            BertZhError: A value is out of range, or the model is for the other component.
        """
        if not 0.0 <= label_smoothing < 1.0:
            raise BertZhError(f"label_smoothing = {label_smoothing} must be in [0, 1)")
        weights = read_class_weights(class_weights)
        if self.model.attrs.get("multi_label", not self._exclusive) == self._exclusive:
            raise BertZhError(
                f"'{self.name}' needs a model with exclusive_classes = {self._exclusive}"
            )
        self.cfg["class_weights"] = weights
        self.cfg["label_weights"] = weights if isinstance(weights, dict) else {}
        self.cfg["label_smoothing"] = label_smoothing
        self.cfg["configured"] = {name: self.cfg[name] for name in SETTINGS}
        self.cfg["cascade"] = None
        self.cfg["neighbours"] = None

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Load the component; a setting is what the config says now, see `_settle`."""
        with self._settling():
            return super().from_disk(path, exclude=exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Load the component; a setting is what the config says now, see `_settle`."""
        with self._settling():
            return super().from_bytes(bytes_data, exclude=exclude)

    @contextmanager
    def _settling(self) -> Iterator[None]:
        given = self.cfg.pop("configured")
        self.cfg["cascade"] = self.cfg["neighbours"] = None  # earlier versions saved none
        try:
            yield
        except BaseException:
            self.cfg["configured"] = given
            raise
        self._settle(given)

    def _settle(self, given: dict[str, Any]) -> None:
        """Choose between what the config says and what the component was saved with.

        Where the config has changed since, by an edit or an override, it holds. Where it hasn't,
        somebody changed `cfg` itself before saving, and that holds. What an earlier version saved
        can't tell the two apart: there the config holds.

        Args:
            given: The settings that the config gave.
        """
        then = self.cfg.pop("configured", None)
        then = then if isinstance(then, dict) else None
        for name, value in given.items():
            saved = self.cfg[name]
            differs = not _same(saved, value)
            is_kept = differs and then is not None and _same(then.get(name), value)
            if isinstance(value, int | float) and not isinstance(saved, int | float):
                is_kept = False  # damaged
            if is_kept or (differs and then is None):
                log.warning(
                    "%s: %s = %s in the config, but %s in what was saved: the %s holds",
                    *(self.name, name, value, saved, "latter" if is_kept else "config"),
                )
            if is_kept:
                continue
            self.cfg[name] = value
            if differs and name == "class_weights":
                self.cfg["label_weights"] = value if isinstance(value, dict) else {}
        self.cfg["configured"] = given


def _same(saved: Any, value: Any) -> bool:
    """Whether two values of a setting are equal; numbers come back from JSON slightly changed."""
    if isinstance(saved, dict) and isinstance(value, dict):
        return saved.keys() == value.keys() and all(_same(saved[k], value[k]) for k in value)
    if isinstance(saved, int | float) and isinstance(value, int | float):
        return math.isclose(saved, value, rel_tol=1e-9)
    return bool(saved == value)
