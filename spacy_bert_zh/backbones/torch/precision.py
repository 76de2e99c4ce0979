"""Where to compute in bfloat16: the setting ``mixed_precision``."""

import contextlib
from typing import Any

import torch

from spacy_bert_zh.backbones.settings import Precision
from spacy_bert_zh.errors import BertZhError


def has_amx() -> bool:
    """Whether this CPU multiplies matrices in bfloat16; older versions of torch can't tell."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    return bool(ask and ask().get("amx_bf16"))


def autocast(
    device: torch.device, precision: Precision, learning: bool
) -> contextlib.AbstractContextManager[Any]:
    """Compute in bfloat16 where the setting says so, and it is safe.

    Args:
        device: Where the network is.
        precision: "auto" is bfloat16 in learning, where it is the faster one.
        learning: Whether gradients follow.

    Raises:
        BertZhError: It is asked for, and the GPU can't.
    """
    able = _is_fast(device)
    if precision is True and device.type == "cuda" and not able:
        raise BertZhError(
            "mixed_precision computes in bfloat16, which this GPU can't: "
            'set mixed_precision = "auto" or false'
        )
    if not (learning and able if precision == "auto" else precision):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _is_fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and has_amx()
