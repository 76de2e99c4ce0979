"""A server that is killed at any moment: what it has confirmed is there, and nothing twice.

`pytest -m slow tests/label/test_kills.py` kills it 100 times; KILLS is how often.
"""

import os
import random
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

from tests.label.labelling import LABELS, Annotator, end, labelling, write_pool
from tests.serve.serving import Running

KILLS = int(os.environ.get("KILLS", 100))
NAMES = ("甲", "乙")
Said = dict[str, list[tuple[int, str]]]


def answer_until_it_dies(server: Running, name: str, said: list[tuple[int, str]]) -> None:
    """Answer text after text, and note what was confirmed."""
    annotator = Annotator(server, name)
    try:
        task = annotator.open()["task"]
        assert task["done"] in (len(said), len(said) + 1)  # one reply may have been lost
        if task["done"] > len(said):
            said.append((len(said), LABELS[len(said) % 3]))
        while task["place"] is not None:
            place = task["place"]
            task = annotator.answer(place, LABELS[place % 3])
            said.append((place, LABELS[place % 3]))
    except httpx.HTTPError:
        pass


def kill_once(pool: Path, output: Path, said: Said, after: float) -> None:
    with labelling(pool, output, "--labels", ",".join(LABELS)) as server:
        threads = [
            threading.Thread(target=answer_until_it_dies, args=(server, name, said[name]))
            for name in NAMES
        ]
        for thread in threads:
            thread.start()
        threading.Event().wait(after)
        server.process.kill()
        for thread in threads:
            thread.join(30)


def stored(output: Path, name: str) -> list[tuple[str, str]]:
    query = "SELECT text, labels FROM answers WHERE annotator = ? ORDER BY number"
    with sqlite3.connect(output / "answers.sqlite") as database:
        return list(database.execute(query, (name,)))


def survive(kills: int, folder: Path) -> int:
    """Kill it so often, and return how many answers are there in the end: each just once."""
    texts = [f"第{number}条文本" for number in range(60 * kills)]
    pool, output = write_pool(folder / "pool.jsonl", texts), folder / "out"
    said: Said = {name: [] for name in NAMES}
    rng = random.Random(kills)
    for _ in range(kills):
        kill_once(pool, output, said, rng.uniform(0.02, 0.6))
    with labelling(pool, output, "--labels", ",".join(LABELS)) as server:
        for name in NAMES:
            done = Annotator(server, name).open()["task"]["done"]
            if done == len(said[name]) + 1:
                said[name].append((len(said[name]), LABELS[len(said[name]) % 3]))
            assert done == len(said[name])
        end(server)
    for name in NAMES:
        assert [place for place, _ in said[name]] == list(range(len(said[name])))
        expected = [(texts[place], f'["{value}"]') for place, value in said[name]]
        assert stored(output, name) == expected
    return sum(map(len, said.values()))


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    assert survive(3, tmp_path) > 3


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    found = survive(KILLS, tmp_path)
    print(f"{KILLS} kills survived, {found} answers confirmed, 0 rows lost")
    assert found > KILLS
