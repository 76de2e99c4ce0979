"""What is deployed: the container's file and the manifest are right, and what they run works."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy
import yaml

from spacy_bert_zh.export.flow import export
from spacy_bert_zh.package.flow import package
from spacy_bert_zh.serve import Limits
from tests.conftest import REPOSITORY, close

DEPLOY = REPOSITORY / "deploy"
CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
MANIFEST = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))


def program(name: str) -> str:
    """Path of a linter beside this Python; the test is skipped without it."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def words(instruction: str) -> list[str]:
    """The words of the container's last instruction of that name."""
    found: list[str] = json.loads(re.findall(rf"^\s*{instruction} (\[.+\])$", CONTAINER, re.M)[-1])
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "Containerfile"],
        ["kubernetes-validate", "--strict", "kubernetes.yaml"],
        ["sh", "-n", "install.sh"],
    ],
    ids=["container", "manifest", "script"],
)
def test_linters_pass(command: list[str]) -> None:
    done = subprocess.run(
        [program(command[0]), *command[1:]], cwd=DEPLOY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_manifest_and_container_agree() -> None:
    deployment = next(part for part in MANIFEST if part["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = re.findall(r"^USER (\d+)$", CONTAINER, re.M)
    assert user == [str(pod["securityContext"]["runAsUser"])]
    ports = [str(port["containerPort"]) for port in container["ports"]]
    assert ports == re.findall(r"^EXPOSE (\d+)$", CONTAINER, re.M) == words("ENTRYPOINT")[-1:]
    assert container["args"] == words("CMD")
    # A pod is given the time that the server may take to end.
    limits = Limits()
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > wait + limits.max_read + limits.deadline + 5
    keys = [item["name"] for item in container["env"]]
    assert keys == ["SPACY_BERT_ZH_API_KEY"]


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    allowed = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().split() if line[0] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER, re.M)
    assert {path for paths in copied for path in paths.split()} == allowed


@pytest.mark.slow
def test_what_the_container_runs(trained: Path, corpus: Path, tmp_path: Path) -> None:
    """Its environment, its entry point and its health check, without a container."""
    export(trained, tmp_path / "out", "onnx", precision="int8", dev=corpus / "dev", force=True)
    package(tmp_path / "out", tmp_path / "wheels", name="bert_textcat")
    install = ["sh", DEPLOY / "install.sh", tmp_path / "wheels", tmp_path / "app"]
    subprocess.run(install, check=True, capture_output=True)
    files = [path for path in (tmp_path / "app").rglob("*") if not path.is_symlink()]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 400e6
    names = {path.name for path in files if path.parent.name == "site-packages"}
    assert {"onnxruntime", "tokenizers", "fastapi"} <= names
    assert not {"torch", "transformers", "tensorflow", "onnx"} & names
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    python = str(tmp_path / "app" / "bin" / "python")

    def swap(word: str) -> str:
        return {"python": python, "8000": port, "0.0.0.0": "127.0.0.1"}.get(word, word)

    entry = [swap(word) for word in [*words("ENTRYPOINT"), *words("CMD")]]
    environment: dict[str, Any] = {"PYTHONUTF8": "1", "OMP_WAIT_POLICY": "passive"}
    server = subprocess.Popen(entry, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                if httpx.get(f"{url}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert server.poll() is None
            time.sleep(0.1)
        reply = httpx.post(f"{url}/classify", json={"text": "味道不错，推荐"}).json()
        scores = {item["label"]: item["score"] for item in reply["results"][0]["labels"]}
        assert scores == close(spacy.load(tmp_path / "out")("味道不错，推荐").cats)
        assert "<html" in httpx.get(url).text
        health = re.search(r"HEALTHCHECK .*?CMD (\[.+?\])$", CONTAINER, re.M)
        assert health
        check = [swap(word).replace(":8000/", f":{port}/") for word in json.loads(health[1])]
        assert subprocess.run(check, capture_output=True, cwd=tmp_path).returncode == 0
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert subprocess.run(check, capture_output=True, cwd=tmp_path).returncode != 0
    finally:
        server.kill()
