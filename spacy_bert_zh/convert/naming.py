"""Labels as they will be learnt: cleaned like texts, missing values told apart, given names."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import Spool
from spacy_bert_zh.reading import NO_LABEL, NotALabelError, is_missing, make_label_cleaner

_WHOLE = re.compile(r"(-?\d+)\.0")
_FRACTION = re.compile(r"-?\d+\.\d+")
_TRUTH = ("true", "false")


class Naming:
    """From the labels that a reader found to those of the corpus.

    Attributes:
        missing: How often which text was taken as a missing value.
    """

    def __init__(self, options: Options) -> None:
        self._clean = make_label_cleaner(options)
        names = options.label_names
        self._names = {self._clean(label): self._clean(name) for label, name in names}
        self.missing: Counter[str] = Counter()

    def of(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Clean the labels of a row; sorted, none of them twice.

        Raises:
            NotALabelError: One of them stands for a missing value, or nothing is left.
        """
        given = tuple(labels)
        cleaned = {self._clean(label) for label in given} - {""}
        for label in sorted(cleaned):
            if label not in self._names and is_missing(label):
                self.missing[label] += 1
                raise NotALabelError(NO_LABEL, f"but '{label}', taken as missing")
        if given and not cleaned:
            raise NotALabelError(NO_LABEL)
        return tuple(sorted(cleaned))

    def settle(self, spool: Spool) -> list[str]:
        """Rename the labels of all rows where the corpus as a whole, or the user, says so.

        Returns:
            What was done, in words.
        """
        found = {name for names, _ in spool.counts("rows", "labels") for name in json.loads(names)}
        same = same_values(found - self._names.keys())
        renamed = {label: self._name(same.get(label, label)) for label in found}
        if changed := {label: name for label, name in renamed.items() if label != name}:
            spool.rename_labels(changed)
        words = [f"'{label}' is read as '{name}'" for label, name in sorted(same.items())]
        return words + self._unused(found - same.keys() | set(same.values()))

    def _name(self, label: str) -> str:
        return self._names.get(label, label)

    def _unused(self, found: set[str]) -> list[str]:
        words = []
        if unused := sorted(self._names.keys() - found):
            words.append(f"--label-names: no row has the label {listed(unused)}")
        kept = all(label == name for label, name in self._names.items())
        values = set(self._names.values())
        nameless = sorted(found - self._names.keys() - values)
        if self._names and not kept and nameless:
            words.append(f"--label-names gives no name to {listed(nameless)}")
        return words


def same_values(labels: Iterable[str]) -> Mapping[str, str]:
    """Labels that are the same value in another spelling, and the spelling to use.

    1.0 is 1 unless another label has a fraction: 1.5 makes them measures, 1.10 versions. True is
    true where both are there.
    """
    labels = set(labels)
    same: dict[str, str] = {}
    fractions = [label for label in labels if _FRACTION.fullmatch(label)]
    if all(_WHOLE.fullmatch(label) for label in fractions):
        same |= {label: label[: -len(".0")] for label in fractions}
    for value in _TRUTH:
        spellings = {label for label in labels if label.lower() == value}
        if len(spellings) > 1:
            same |= dict.fromkeys(spellings - {value}, value)
    return same


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels that differ in no more than case, width, white space or notation."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        groups.setdefault(_essence(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _essence(label: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", label).casefold().split())
    try:
        return str(float({"true": "1", "false": "0"}.get(text, text)))
    except ValueError:
        return text


def listed(names: Iterable[str], most: int = 10) -> str:
    """Some names for a message, and how many more there are."""
    names = list(names)
    shown = ", ".join(f"'{name[:50]}'" for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
