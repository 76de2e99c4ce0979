"""Checkpoints of a running pretraining: safetensors and JSON, whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import remove, whole
from spacy_bert_zh.pieces import read_json

NAME = "checkpoint"


def save_state(
    work: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    meta: dict[str, Any],
) -> None:
    """Write weights, optimizers and `meta`, and replace the checkpoint before.

    Every random choice is a function of seed and step, so nothing else is needed.
    """
    tensors: dict[str, torch.Tensor] = {
        f"model|{name}": parameter for name, parameter in model.named_parameters()
    }
    for which, optimizer in enumerate(optimizers):
        for number, moments in optimizer.state_dict()["state"].items():
            for key, value in moments.items():
                tensors[f"optimizer|{which}|{number}|{key}"] = torch.as_tensor(value)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(work / NAME) as folder:
        folder.mkdir()
        save_file(plain, folder / "state.safetensors")
        (folder / "meta.json").write_text(json.dumps(meta) + "\n", "utf-8")


def load_state(
    work: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any] | None:
    """Put weights and optimizers back; None if there is no checkpoint.

    Returns:
        The `meta` of `save_state`.
    """
    folder = work / NAME
    if not (folder / "meta.json").exists():
        return None
    parameters = dict(model.named_parameters())
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for name, tensor in load_file(folder / "state.safetensors").items():
        kind, *rest = name.split("|")
        if kind == "model":
            parameters[rest[0]].data.copy_(tensor)
        else:
            which, number, key = rest
            states[int(which)].setdefault(int(number), {})[key] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return read_json(folder / "meta.json")


def check_same_run(work: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on from a checkpoint of a run with other settings.

    Raises:
        BertZhError: It names the settings that differ.
    """
    path = work / NAME / "meta.json"
    if not path.exists():
        return
    before = read_json(path)["settings"]
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed:
        listed = ", ".join(f"{n}: {before.get(n)} → {settings[n]}" for n in changed)
        raise BertZhError(
            f"{work} holds a checkpoint of a run with other options ({listed}): "
            "go on with the same ones, or start anew with --restart"
        )


def remove_state(work: Path) -> None:
    """Remove the checkpoint, if there is one."""
    remove(work / NAME)
