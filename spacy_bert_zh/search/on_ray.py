"""Trainings of a search on a cluster: each is a task of Ray's."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path

from spacy_bert_zh.cluster import mendable, ray_running  # before ray
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.search.options import Options
from spacy_bert_zh.search.training import Settings, Train, run_trials
from spacy_bert_zh.search.trial import Trial

import ray  # isort: skip
from ray.exceptions import RayError  # isort: skip


@contextmanager
def on_ray(options: Options) -> Iterator[Train]:
    """Have a cluster that trains for a block.

    Raises:
        BertZhError: There is no Ray at RAY_ADDRESS, or no GPU where one is asked for.
    """
    with ray_running(options.processes):
        if options.gpu_id >= 0 and not ray.cluster_resources().get("GPU"):
            raise BertZhError("--gpu-id: the Ray cluster has no GPU; --gpu-id -1 is the CPU")
        yield partial(_train, gpus=int(options.gpu_id >= 0))


def _train(
    config: Path,
    folders: Sequence[Path],
    settings: Sequence[Settings],
    done: Sequence[Trial],
    minutes: float = 0.0,
    *,
    gpus: int,
) -> list[Trial]:
    """Do what `run_trials` does.

    A task that is lost with its machine is done again, and goes on where the training was.
    """
    task = ray.remote(num_cpus=1, num_gpus=gpus)(_train_one)
    rest = (done, minutes, gpus - 1)
    waiting = [
        task.remote(Path.cwd(), config, folder, own, *rest)
        for folder, own in zip(folders, settings, strict=True)
    ]
    try:
        return list(ray.get(waiting))
    except (RayError, BertZhError) as error:
        raise mendable(error) or error from None
    finally:
        for one in waiting:
            ray.cancel(one, force=True)  # those that are done stay so


def _train_one(
    where: Path,
    config: Path,
    folder: Path,
    own: Settings,
    done: Sequence[Trial],
    minutes: float,
    gpu_id: int,
) -> Trial:
    """In a process of Ray's, which shows its GPU as the first."""
    if not (where / config).exists():
        raise BertZhError(
            f"{socket.gethostname()} has no {where / config}: all machines of a Ray cluster need "
            "the same files at the same paths"
        )
    with chdir(where):
        return run_trials(config, [folder], [own], done, minutes, gpu_id)[0]
