"""Checkpoints of a running pretraining: safetensors and JSON, whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import remove, whole

NAME = "checkpoint.safetensors"


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
    with whole(work / NAME) as part:
        save_file(plain, part, metadata={"meta": json.dumps(meta)})


def load_state(
    work: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any] | None:
    """Put weights and optimizers back; None if there is no checkpoint.

    Returns:
        The `meta` of `save_state`.
    """
    meta = read_meta(work)
    if meta is None:
        return None
    parameters = dict(model.named_parameters())
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for name, tensor in load_file(work / NAME).items():
        kind, *rest = name.split("|")
        if kind == "model":
            parameters[rest[0]].data.copy_(tensor)
        else:
            which, number, key = rest
            states[int(which)].setdefault(int(number), {})[key] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return meta


def read_meta(work: Path) -> dict[str, Any] | None:
    """What `save_state` noted; None if there is no checkpoint.

    Raises:
        BertZhError: The checkpoint is damaged.
    """
    if not (work / NAME).exists():
        return None
    try:
        with safe_open(work / NAME, framework="pt") as file:
            meta: dict[str, Any] = json.loads(file.metadata()["meta"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BertZhError(
            f"{work / NAME} is damaged ({error}): start anew with --restart"
        ) from error
    return meta


def check_same_run(work: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on from a checkpoint of a run with other settings.

    Raises:
        BertZhError: It names the settings that differ.
    """
    meta = read_meta(work)
    if meta is None:
        return
    before = meta["settings"]
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
