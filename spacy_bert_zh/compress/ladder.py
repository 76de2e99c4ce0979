"""The rungs of a chain, each smaller than the one before, and how a pipeline gets there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from spacy.language import Language

from spacy_bert_zh.checkpoint import structure
from spacy_bert_zh.compress.cascading import set_cascade
from spacy_bert_zh.compress.importance import Scores, find_importance, narrow
from spacy_bert_zh.compress.rounding import round_weights
from spacy_bert_zh.compress.vocabulary import cut_vocabulary
from spacy_bert_zh.distill import distill, inherit, take_layers
from spacy_bert_zh.evaluate import read_as_classified
from spacy_bert_zh.export import export
from spacy_bert_zh.files import remove, whole
from spacy_bert_zh.loading import find_textcat, load_pipeline, portable, shims_of
from spacy_bert_zh.pieces import text_of
from spacy_bert_zh.trust.fit import refit

WEIGHED = 2_000
"""Training texts that importance is found from."""
GIVEN, PIPELINE, INT8, TRAINING = "given", "pipeline", "int8", "training"


@dataclass(frozen=True)
class Rung:
    """A form of a pipeline.

    Attributes:
        name: What people call it.
        least: How often a piece must occur to stay.
        layers: Share of the layers, spread evenly, as DynaBERT drops them.
        width: Share of the heads and inner neurons.
        coarse: Whether its weights are rounded to few values, see `round_weights`.
        int8: Whether it is exported in eight bits, too.
    """

    name: str
    least: int = 1
    layers: float = 1.0
    width: float = 1.0
    coarse: bool = False
    int8: bool = True

    @property
    def learns(self) -> bool:
        """Whether it is trained to say what the whole says."""
        return self.width < 1 or self.layers < 1


LADDER = (
    Rung("vocabulary", int8=False),
    Rung("int8"),
    Rung("coarse weights", coarse=True),
    Rung("1/2 of the width", least=10, width=0.5),
    Rung("1/2 of layers and width", least=20, layers=0.5, width=0.5),
    Rung("1/4 of the layers", least=50, layers=0.25, width=0.5),
)


def can_learn(pipe: Any) -> bool:
    """Whether a text classifier can become narrower: one BERT, labels that are no tree."""
    shims = shims_of(pipe.model)
    return len(shims) == 1 and not structure(shims[0].config) and not hasattr(pipe, "tree")


@dataclass(frozen=True)
class Workshop:
    """Where rungs are made.

    Attributes:
        folder: With the pipeline as it was ``given``.
        fitting: Texts that things are fitted to.
        train: Texts to learn from, or None.
        component: Name of the text classifier.
        agree: How much a cascade must agree; None makes none.
        minutes: About how long each training may take.
    """

    folder: Path
    fitting: Path
    train: Path | None
    component: str
    agree: float | None
    minutes: float

    def make(self, rung: Rung) -> tuple[Path, Path]:
        """Make a rung of the pipeline.

        Returns:
            The folder of the pipeline that learns on, and of its last form.
        """
        nlp = self._load()
        pipe: Any = find_textcat(nlp, self.component)
        if rung.learns:
            self._shrink(pipe, rung)
        cut_vocabulary(pipe, self._texts(nlp), rung.least)
        if rung.learns:
            self._teach(nlp, pipe)
        if rung.coarse:
            round_weights(pipe)
        if self.agree is not None:
            set_cascade(nlp, pipe, self.fitting, self.agree)
        if pipe.cfg.get("decision") is not None:
            nlp.meta["calibration"] = refit(nlp, pipe, self.fitting)
        place = self.folder / PIPELINE
        with whole(place) as part:
            portable(nlp).to_disk(part)
        if not rung.int8:
            return place, place
        small = self.folder / INT8
        remove(small)
        export(
            place,
            small,
            "onnx",
            precision="int8",
            dev=self.fitting,
            force=True,
            component=self.component,
        )
        return place, small

    def _load(self) -> Language:
        return load_pipeline(self.folder / GIVEN)

    def _texts(self, nlp: Language) -> Iterator[str]:
        for corpus in (self.fitting, *([self.train] if self.train else [])):
            yield from map(text_of, read_as_classified(nlp, corpus))

    @cached_property
    def _importance(self) -> Scores:
        nlp = self._load()
        assert self.train is not None
        docs = islice(read_as_classified(nlp, self.train), WEIGHED)
        return find_importance(nlp, find_textcat(nlp, self.component), docs)

    def _shrink(self, pipe: Any, rung: Rung) -> None:
        (shim,) = shims_of(pipe.model)
        checkpoint = shim.checkpoint()
        if rung.width < 1:
            checkpoint = narrow(checkpoint, self._importance, rung.width)
        layers = int(checkpoint.config["num_hidden_layers"])
        shim.fill(take_layers(checkpoint, max(1, round(rung.layers * layers))))

    def _teach(self, nlp: Language, pipe: Any) -> None:
        """Let the smaller network learn what the whole one says of the training texts."""
        assert self.train is not None
        begin, training = self.folder / "begin", self.folder / TRAINING
        with whole(begin) as part:
            nlp.to_disk(part)
        best = distill(
            [str(self.folder / GIVEN)],
            training,
            self.train,
            dev=self.fitting,
            student=str(begin),
            component=self.component,
            minutes=self.minutes,
            force=True,
        )
        taught: Any = find_textcat(load_pipeline(best), None)
        (new,), (old,) = shims_of(taught.model), shims_of(pipe.model)
        old.fill(new.checkpoint())
        inherit(pipe, taught)
        remove(begin)
