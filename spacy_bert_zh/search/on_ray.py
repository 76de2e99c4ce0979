"""Trainings of a search on a cluster: each is a task of Ray's."""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir, contextmanager
from functools import partial
from pathlib import Path

from spacy_bert_zh.cluster import mendable, ray_running  # before ray
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.search.options import Options
from spacy_bert_zh.search.training import PATIENCE, Begin, Job, Training
from spacy_bert_zh.search.trial import Trial

import ray  # isort: skip
from ray.exceptions import RayError  # isort: skip


@contextmanager
def on_ray(options: Options) -> Iterator[Begin]:
    """Have a cluster for a block.

    Raises:
        BertZhError: There is no Ray at RAY_ADDRESS, or no GPU where one is asked for.
    """
    with ray_running(options.processes):
        if options.gpu_id >= 0 and not ray.cluster_resources().get("GPU"):
            raise BertZhError("--gpu-id: the Ray cluster has no GPU; --gpu-id -1 is the CPU")
        yield partial(_Task, gpus=int(options.gpu_id >= 0), code=options.code)


class _Task(AbstractContextManager["_Task"]):
    """A training like `Training`, where there is room for it.

    One that is lost with its machine is done again, and goes on where it was.
    """

    def __init__(self, job: Job, gpus: int, code: Path | None) -> None:
        task = ray.remote(num_cpus=1, num_gpus=gpus)(_train)
        self._waiting = task.remote(Path.cwd(), job, gpus - 1, code)

    def __exit__(self, *_: object) -> None:
        ray.cancel(self._waiting, force=True)  # one that is done stays so

    def poll(self) -> Trial | None:
        """The trial, if it is over."""
        if not ray.wait([self._waiting], timeout=0)[0]:
            return None
        try:
            trial: Trial = ray.get(self._waiting)
        except (RayError, BertZhError) as error:
            raise mendable(error) or error from None
        return trial


def _train(where: Path, job: Job, gpu_id: int, code: Path | None) -> Trial:
    """In a process of Ray's, which shows its GPU as the first."""
    if not (where / job.config).exists():
        raise BertZhError(
            f"{socket.gethostname()} has no {where / job.config}: all machines of a Ray cluster "
            "need the same files at the same paths"
        )
    with chdir(where), Training(job, gpu_id, code) as training:
        while (trial := training.poll()) is None:
            time.sleep(PATIENCE)
    return trial
