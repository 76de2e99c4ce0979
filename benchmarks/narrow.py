"""Run a benchmark as on an x86 CPU that has AVX2 and nothing wider: no AVX-512, no VNNI.

    python benchmarks/narrow.py benchmarks/speed.py ../shared/data --only texts --peers int8,stock

torch, oneDNN and MKL are told by the environment, others find a /proc/cpuinfo without these words
(which wants Linux and root). ONNX Runtime can't be told: it is copied, and in the copy the one
place where its matrix library asks the CPU which registers are in use (XGETBV) is answered with
those of AVX2. It then takes the code it takes on such a CPU; clock and caches are this machine's.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

# xor ecx,ecx; xgetbv; mov eax,eax; shl rdx,32
ASKED = bytes.fromhex("31c90f01d089c048c1e220")
# mov eax,7 (x87, SSE, AVX); xor edx,edx; shl rdx,32
ANSWERED = bytes.fromhex("b80700000031d248c1e220")
TOLD = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
# Only those see the other file that are started with it.
HIDE = 'mount --bind "$0" /proc/cpuinfo && exec "$@"'


def main() -> int:
    """Copy, change, run; the command's exit status."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None and spec.origin is not None, "onnxruntime is not installed"
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "onnxruntime"
        shutil.copytree(Path(spec.origin).parent, copy)
        (library,) = copy.glob("capi/onnxruntime_pybind11_state*.so")
        code = library.read_bytes()
        assert code.count(ASKED) == 1, "this version of ONNX Runtime asks in another way"
        library.write_bytes(code.replace(ASKED, ANSWERED))
        words = Path("/proc/cpuinfo").read_text().split(" ")
        seen = Path(folder) / "cpuinfo"
        seen.write_text(" ".join(word for word in words if "avx512" not in word))
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, **TOLD, "PYTHONPATH": path}
        command = ["unshare", "--mount", "sh", "-c", HIDE, seen, sys.executable, *sys.argv[1:]]
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
