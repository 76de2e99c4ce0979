"""What stands for the pipeline in spaCy's loop and in its evaluation."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.training import Example

from spacy_bert_zh.evaluate import constant_of
from spacy_bert_zh.loading import pipeline as loading
from spacy_bert_zh.train.resume import TrainingState


class Replay:
    """Stands for the pipeline in spaCy's loop: learns nothing while a run is replayed."""

    def __init__(
        self, nlp: Language, state: TrainingState, evaluate: Callable[[], tuple[float, Any]]
    ) -> None:
        self.nlp = nlp
        self.active = state.step >= 0
        self._state = state
        self._past = list(state.results)
        self._evaluate = evaluate

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nlp, name)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        return None if self.active else self.nlp.update(*args, **kwargs)

    @property
    def pipeline(self) -> list[Any]:
        return [] if self.active else self.nlp.pipeline

    def evaluate(self) -> tuple[float, Any]:
        if self.active:
            return self._past.pop(0)
        result = self._evaluate()
        self._state.results.append(result)
        return result


class Dev:
    """Stands for the pipeline in spaCy's evaluation: keeps what each component reached."""

    def __init__(self, nlp: Language, examples: list[Example]) -> None:
        self.nlp = nlp
        self.examples = examples
        self._reached: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nlp, name)

    def evaluate(self, examples: list[Example]) -> dict[str, Any]:
        found = self.nlp.evaluate(examples, per_component=True)
        self._reached = {name: part for name, part in found.items() if isinstance(part, dict)}
        return {key: value for part in self._reached.values() for key, value in part.items()}

    def classifiers(self, frozen: list[str]) -> dict[str, Any]:
        """Of each trained classifier its micro F1, and that of the best answer to all texts."""
        return {
            pipe.name: {
                "exclusive": loading.is_exclusive(pipe),
                "micro_f1": self._reached[pipe.name]["cats_micro_f"],
                "constant": constant_of(pipe, self.examples),
            }
            for pipe in loading.textcats(self.nlp)
            if pipe.name not in frozen and "cats_micro_f" in self._reached.get(pipe.name, {})
        }
