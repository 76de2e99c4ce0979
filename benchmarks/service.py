"""Load on `serve`: single-text requests of many clients, with and without batches; overload.

    python benchmarks/service.py ../shared/data PIPELINE

Needs `wrk` (Debian has it). The server and wrk run on the same machine.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import psutil
import typer

SERVER = """
import sys
from spacy_bert_zh.serve import Limits, serve
serve([sys.argv[1]], port=int(sys.argv[2]), limits=Limits(max_batch=int(sys.argv[3])))
"""
REQUESTS = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local turn = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  turn = turn %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
done = function(summary, latency)
  io.write("p99 ", latency:percentile(99) / 1000, "\\n")
end
"""
PORT = 8123

app = typer.Typer()


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    pipeline: Annotated[Path, typer.Argument(help="A trained pipeline.")],
    seconds: Annotated[int, typer.Option(help="Of each measurement.")] = 20,
    clients: Annotated[int, typer.Option(help="At a time.")] = 64,
    overload: Annotated[int, typer.Option(help="Clients of the overload, 0 for none.")] = 2000,
) -> None:
    """Measure, and print a line of JSON each."""
    with TemporaryDirectory() as folder:
        script = write_script(data, Path(folder))
        cases = [("alone, no batches", 1, 1), ("no batches", clients, 1), ("batches", clients, 32)]
        if overload:
            cases.append(("overload, 60 s", overload, 32))
        for name, count, batch in cases:
            length = 60 if count == overload else seconds
            print(json.dumps({"case": name, **measure(script, pipeline, count, batch, length)}))


def write_script(data: Path, folder: Path) -> Path:
    """What wrk sends: headlines in random order, one a request."""
    lines = (data / "thucnews10" / "dev.txt").read_text("utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines]
    random.Random(0).shuffle(texts)
    bodies = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    (folder / "bodies").write_text("\n".join(bodies), "utf-8")
    (folder / "post.lua").write_text(REQUESTS % (folder / "bodies"), "utf-8")
    return folder / "post.lua"


def measure(script: Path, pipeline: Path, clients: int, batch: int, seconds: int) -> dict[str, Any]:
    """Start a server, load it, and say what came back, and that it ends well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", SERVER, str(pipeline), str(PORT), str(batch)]
    server = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    wait_for(url)
    process, peak = psutil.Process(server.pid), 0

    def watch() -> None:
        nonlocal peak
        while server.poll() is None:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.2)

    before = process.memory_info().rss
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "15s", "--latency"]
    told = subprocess.run(
        [*command, "-s", str(script), f"{url}/classify"], capture_output=True, text=True, check=True
    ).stdout
    answered = counted(httpx.get(f"{url}/metrics", timeout=30).text)
    server.send_signal(signal.SIGTERM)
    code = server.wait(60)
    return {
        "clients": clients,
        "answers of 200 a second": round(answered.get("200", 0) / seconds, 1),
        "answers": answered,
        "p50": re.findall(r"50%\s+(\S+)", told)[0],
        "p99 ms": float(re.findall(r"^p99 (\S+)", told, re.MULTILINE)[0]),
        "socket errors": (re.findall(r"Socket errors: (.*)", told) or ["none"])[0],
        "megabytes before, at most": [round(before / 1e6), round(peak / 1e6)],
        "exit code": code,
    }


def wait_for(url: str) -> None:
    """Until the server is ready."""
    for _ in range(300):
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("The server doesn't become ready")


def counted(metrics: str) -> dict[str, int]:
    """Requests by status, as the server has counted them."""
    found = re.findall(r'requests_total\{status="(\d+)"\} (\S+)', metrics)
    return {status: int(float(count)) for status, count in found}


if __name__ == "__main__":
    app()
