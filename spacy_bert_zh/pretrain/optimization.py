"""Optimisers, the learning rate over time, and the hardware to use."""

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import nn

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.options import Options
from spacy_bert_zh.ranks import PATIENCE


def schedule(step: int, options: Options) -> float:
    """The learning rate's factor: up in a line, then down in a line to nearly nothing."""
    rise = max(round(options.warmup * options.steps), 1)
    if step <= rise:
        return step / rise
    return (options.steps - step + 1) / (options.steps - rise + 1)


def build_optimizers(model: nn.Module, options: Options) -> list[torch.optim.Optimizer]:
    """AdamW with weight decay on matrices only, or Muon for the layers' matrices beside it."""
    named = list(model.named_parameters())
    muon = [p for n, p in named if options.optimizer == "muon" and ".encoder." in n and p.ndim == 2]
    taken = {id(p) for p in muon}
    rest = [p for _, p in named if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=options.learn_rate, betas=(0.9, 0.98), eps=1e-6)
    ]
    if muon:
        optimizers.append(
            torch.optim.Muon(
                muon,
                lr=options.learn_rate,
                weight_decay=options.weight_decay,
                adjust_lr_fn="match_rms_adamw",  # AdamW's rate then suits both
            )
        )
    return optimizers


def build_accelerator(options: Options) -> Accelerator:
    """The devices and processes that torchrun, `accelerate launch` or neither gives.

    Raises:
        BertZhError: bf16 is asked for where the hardware hasn't got it.
    """
    bf16 = options.precision == "bf16" or (options.precision == "auto" and _has_bf16())
    if options.precision == "bf16" and not _has_bf16():
        raise BertZhError("--precision bf16: this hardware hasn't got it; use fp32 or auto")
    # Another precision than an earlier run's in this process would be refused.
    AcceleratorState._reset_state()
    return Accelerator(
        # Without this, Accelerate ignores torchrun's processes where there is no GPU.
        cpu=not torch.cuda.is_available(),
        mixed_precision="bf16" if bf16 else "no",
        # The other processes wait while the first one prepares the data.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
