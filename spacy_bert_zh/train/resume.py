"""The state of a training run, so that a killed one goes on as if nothing had happened."""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import load_file, save_file
from spacy.language import Language
from thinc.api import Config, Model, Optimizer
from thinc.types import FloatsXd
from wasabi import msg

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import intact, made

_MOMENTS = ("mom1", "mom2", "averages")


@dataclass
class TrainingState:
    """Where a run stands after an evaluation.

    Attributes:
        step: Index of the last batch that was learned from.
        results: (score, all scores) of every evaluation so far.
        history: What is written of each of them; see `history.make_line`.
        config: The run's full config, as text.
    """

    step: int
    results: list[tuple[float, dict[str, Any]]]
    history: list[dict[str, Any]]
    config: str

    def save(self, folder: Path, nlp: Language, optimizer: Optimizer) -> None:
        """Write weights, optimizer and random states to `folder`, whole or not at all."""
        with made(folder, "train") as part:
            part.mkdir()
            for name, model in models(nlp):
                (part / f"{name}.model").write_bytes(model.to_bytes())
            tensors, counts = _optimizer_to_arrays(nlp, optimizer)
            save_file(tensors | _random_arrays(), part / "state.safetensors")
            state = {
                "step": self.step,
                "results": self.results,
                "history": self.history,
                "config": self.config,
                "nr_update": counts,
                "random": random.getstate(),
            }
            (part / "state.json").write_text(json.dumps(state), "utf-8")

    @classmethod
    def load(cls, folder: Path, config: str) -> "TrainingState | None":
        """Read the run's position; None where there is no checkpoint, or none that is whole.

        Raises:
            BertZhError: The checkpoint was made with another config.
        """
        if not folder.exists():
            return None
        if not intact(folder):
            msg.warn(f"{folder} is incomplete or damaged: the training begins anew")
            return None
        state = json.loads((folder / "state.json").read_text("utf-8"))
        if state["config"] != config:
            raise BertZhError(
                f"The checkpoint in {folder} was made with another config: train without "
                "--resume, or with the config and overrides of that run"
            )
        return cls(state["step"], [tuple(r) for r in state["results"]], state["history"], config)

    def restore(self, folder: Path, nlp: Language, optimizer: Optimizer) -> None:
        """Put weights, optimizer and random states back."""
        for name, model in models(nlp):
            model.from_bytes((folder / f"{name}.model").read_bytes())
        state = json.loads((folder / "state.json").read_text("utf-8"))
        tensors = load_file(folder / "state.safetensors")
        _optimizer_from_arrays(nlp, optimizer, tensors, state["nr_update"])
        version, internal, gauss = state["random"]
        random.setstate((version, tuple(internal), gauss))
        _restore_random_arrays(tensors)


def read_config(folder: Path) -> Config | None:
    """The config of the run that left a checkpoint; None where there is no whole one."""
    if not folder.exists() or not intact(folder):
        return None
    return Config().from_str(json.loads((folder / "state.json").read_text("utf-8"))["config"])


def models(nlp: Language) -> Iterator[tuple[str, Model[Any, Any]]]:
    """Names and models of the components that learn."""
    for name, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        if getattr(pipe, "is_trainable", False) and isinstance(model, Model):
            yield name, model


class _Names:
    """thinc numbers layers and shims anew in each process: names that last instead.

    Layers and shims count separately, so a number alone doesn't tell which it is; what
    isn't a parameter of a layer belongs to a shim.
    """

    def __init__(self, nlp: Language) -> None:
        nodes = [(f"{n}/{i}", x) for n, model in models(nlp) for i, x in enumerate(model.walk())]
        self.layers = {
            (node.id, parameter): f"{name}|{parameter}"
            for name, node in nodes
            for parameter in node.param_names
        }
        self.shims = {shim.id: f"{name}/shim" for name, node in nodes for shim in node.shims}
        self._numbers = {name: number for number, name in self.shims.items()}
        self._keys = {name: key for key, name in self.layers.items()}

    def name(self, key: tuple[int, str]) -> str:
        """The lasting name of an optimizer's key."""
        return self.layers.get(key) or f"{self.shims[key[0]]}|{key[1]}"

    def key(self, name: str) -> tuple[int, str]:
        """The key in this process of a lasting name."""
        if name in self._keys:
            return self._keys[name]
        shim, _, parameter = name.partition("|")
        return self._numbers[shim], parameter


def _optimizer_to_arrays(
    nlp: Language, optimizer: Optimizer
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    names = _Names(nlp)
    tensors = {}
    for moment in _MOMENTS:
        for key, value in (getattr(optimizer, moment) or {}).items():
            array = value.get() if hasattr(value, "get") else value  # from the GPU
            tensors[f"{moment}|{names.name(key)}"] = np.ascontiguousarray(array)
    return tensors, {names.name(key): count for key, count in optimizer.nr_update.items()}


def _optimizer_from_arrays(
    nlp: Language, optimizer: Optimizer, tensors: dict[str, np.ndarray], counts: dict[str, int]
) -> None:
    names = _Names(nlp)
    ops = next(models(nlp))[1].ops
    for full, value in tensors.items():
        moment, _, name = full.partition("|")
        if moment in _MOMENTS:
            getattr(optimizer, moment)[names.key(name)] = ops.asarray(cast(FloatsXd, value))
    optimizer.nr_update.update({names.key(name): count for name, count in counts.items()})


def _random_arrays() -> dict[str, np.ndarray]:
    _, keys, position, has_gauss, gauss = np.random.get_state()
    arrays = {
        "numpy.keys": np.asarray(keys),
        "numpy.rest": np.asarray([position, has_gauss, gauss], dtype="float64"),
    }
    if torch := sys.modules.get("torch"):
        arrays["torch"] = torch.get_rng_state().numpy()
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            arrays[f"cuda{i}"] = state.numpy()
    return arrays


def _restore_random_arrays(arrays: dict[str, np.ndarray]) -> None:
    position, has_gauss, gauss = arrays["numpy.rest"].tolist()
    np.random.set_state(
        ("MT19937", arrays["numpy.keys"], int(position), int(has_gauss), float(gauss))
    )
    if torch := sys.modules.get("torch"):
        torch.set_rng_state(torch.from_numpy(arrays["torch"]))
        devices = [key for key in arrays if key.startswith("cuda")]
        torch.cuda.set_rng_state_all([torch.from_numpy(arrays[key]) for key in sorted(devices)])
