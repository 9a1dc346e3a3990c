"""The machine: GPUs and their memory, a Ray cluster, uv. Each is asked by its own program, and none is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from agl_core.preflight._check import Check, Finding, Given

__all__ = ["CHECKS"]

_PATIENCE = 20.0
_LITTLE = 2 << 30
"""Bytes of a GPU that hold no model worth training."""
_TRAINING = 8
"""Weights of 2 bytes, trained by AdamW in 4: the weights, their gradients, two moments; 16 bytes where 2 were."""
_GPUS = ("nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits")
_RESOURCE = re.compile(r"^\s*(?P<used>[\d.]+\w*)/(?P<all>[\d.]+\w*)\s+(?P<name>\S+)", re.MULTILINE)
_NODES = re.compile(r"^Active:\n(?P<nodes>(?:\s+.*\n)+)", re.MULTILINE)


def _gpus(given: Given) -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        yield Finding(status="skipped", what="no nvidia-smi here: the CPU is used, or the engine's own server")
        return
    said = _told(_GPUS)
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines() if line.count(",") >= 3]
    if not rows:
        yield Finding(status="skipped", what=f"nvidia-smi lists no GPU: {said.strip()[:200] or 'it said nothing'}")
    weights = sum(_weights(url) for url in given.models.values())
    for index, name, total, free in rows:
        left = _mib(free)
        what = f"GPU {index}, {name}: {left / 1e9:.1f} of {_mib(total) / 1e9:.1f} GB free"
        if weights:
            what += f"; the weights take {weights / 1e9:.1f} GB, training all of them about {_TRAINING}x that"
        if left >= max(_LITTLE, _TRAINING * weights):
            yield Finding(status="ok", what=what)
            continue
        yield Finding(
            status="fail" if left < weights else "warn", code="GPU_MEMORY_LOW", what=what,
            cure="end what holds it (`nvidia-smi` lists processes), train adapters (`--lora-rank 16`), or take a "
            "smaller model",
        )  # fmt: skip


def _ray(given: Given) -> Iterator[Finding]:
    if find_spec("ray") is None and shutil.which("ray") is None:
        yield Finding(status="skipped", what="Ray is not installed, and nothing here needs it")
        return
    said = _told(("ray", "status"))
    nodes = _NODES.search(said)
    if nodes is None:
        where = given.environment.get("RAY_ADDRESS", "")
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        yield Finding(
            status="warn" if where else "skipped", code="RAY_UNREACHABLE" if where else "",
            what=f"`ray status` finds no cluster{f' at {where}' if where else ''}: {last[0][:200]}",
            cure="start one (`ray start --head`), or unset RAY_ADDRESS" if where else "",
        )  # fmt: skip
        return
    count = len(nodes["nodes"].strip().splitlines())
    used = [f"{one['used']} of {one['all']} {one['name']} used" for one in _RESOURCE.finditer(said)]
    yield Finding(status="ok", what=f"{count} Ray node(s): {', '.join(used) or 'no resources'}")


def _uv(_given: Given) -> Iterator[Finding]:
    if shutil.which("uv") is None:
        yield Finding(status="skipped", what="uv is not installed: pip does what is needed")
    else:
        yield Finding(status="ok", what=_told(("uv", "--version")).strip())


def _told(command: Sequence[str]) -> str:
    """What a program says on both its outputs; why it could not be asked, when it could not."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands, found on the user's own path
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return done.stdout


def _mib(text: str) -> int:
    return int(float(text)) << 20 if text.replace(".", "", 1).isdigit() else 0


def _weights(url: str) -> int:
    """Bytes of the weights of a local folder; 0 of a model that others serve."""
    _, found, place = url.partition(":")
    folder = Path(place.partition("?")[0])
    if not found or url.startswith("http") or not folder.is_dir():
        return 0
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


CHECKS = (Check(name="GPUs", look=_gpus), Check(name="Ray", look=_ray), Check(name="uv", look=_uv))
