"""Children that end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spacy_bert_zh.files import children

# Starts a child that starts one itself, tells the numbers of both and waits for ever.
NESTED = (
    "import subprocess, sys, time, os;"
    "inner = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)']);"
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {inner.pid}\\n');"
    "time.sleep(600)"
)
RUNS = f"""
import sys, os
from pathlib import Path
from spacy_bert_zh.files import children
children.run([sys.executable, "-S", "-c", {NESTED!r}, sys.argv[1]], Path("."), os.environ)
"""
POOLS = """
import sys, os, time
from spacy_bert_zh.files import children

def work(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(600)

if __name__ == "__main__":
    with children.pool(2) as pool:
        for task in [pool.submit(work, sys.argv[1]) for _ in range(2)]:
            task.result()
"""


def numbers(path: Path, count: int) -> list[int]:
    """The process numbers in a file, as soon as there are so many."""
    for _ in range(600):
        found = path.read_text().split() if path.exists() else []
        if len(found) == count:
            return [int(number) for number in found]
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def all_gone(pids: list[int]) -> bool:
    for _ in range(200):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("script", [RUNS, POOLS], ids=["run", "pool"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_children_and_their_children_die_with_the_parent(
    tmp_path: Path, script: str, number: signal.Signals
) -> None:
    told, file = tmp_path / "told", tmp_path / "script.py"
    file.write_text(script, "utf-8")
    here = str(Path(children.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, str(file), str(told)],
        env={**os.environ, "PYTHONPATH": here},
        stderr=subprocess.DEVNULL,
    )
    pids = numbers(told, 2)
    process.send_signal(number)
    assert process.wait(30) != 0
    assert all_gone(pids)


def test_a_run_tells_what_was_printed_and_how_it_ended(tmp_path: Path) -> None:
    code = "import sys, os; print('好'); print(os.getcwd(), file=sys.stderr); sys.exit(3)"
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = children.run([sys.executable, "-c", code], tmp_path, environment)
    assert (done.returncode, done.stdout, done.stderr) == (3, "好\n", f"{tmp_path.resolve()}\n")


def test_a_run_that_is_killed_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    assert children.run([sys.executable, "-c", code], tmp_path, os.environ).returncode == 137
