"""How fast a model goes to S3 and comes back: Finist, s3transfer (`aws s3 cp`) and s5cmd.

    .venv/bin/python tests/bench/s3_transfer.py [MIB] [ROUNDS]

All talk to one SeaweedFS server on this machine, over HTTP, each in a process of its own, in turns.
Finist also hashes (sha256) and, on the way down, checks; the others do not. Peak is the process's
highest resident memory over what it had before its first request. s3transfer is given all files at
once, as `aws s3 cp --recursive` does.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from components.core import s3_client, store
from components.core.download import download_directory
from components.core.settings import StoreSettings
from components.core.upload import upload_directory
from pipelines.local import s3
from pipelines.local.credentials import load_or_create
from pipelines.local.ports import free_ports

MIB = 1024**2
SHARDS = 4
S5CMD = Path(sys.executable).with_name("s5cmd")
GOAL = 0.8


def make_model(folder: Path, mebibytes: int) -> None:
    """Random bytes in the files of a checkpoint: shards, a tokenizer, three small ones."""
    folder.mkdir()
    for shard in range(SHARDS):
        name = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        with (folder / name).open("wb") as file:
            for _ in range(mebibytes // SHARDS):
                file.write(os.urandom(MIB))
    (folder / "tokenizer.json").write_bytes(os.urandom(9 * MIB))
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        (folder / name).write_bytes(os.urandom(2000))


@contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """A SeaweedFS as the laptop has it; gives the variables that reach it."""
    keys = load_or_create(home)
    launch = s3.s3_launch(home, free_ports(1)[0], keys)
    with (home / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            launch.argv, env={**os.environ, **launch.environment}, stdout=log, stderr=log
        )
    try:
        while httpx_fails(launch.health_url):
            time.sleep(0.2)
        store.ensure_bucket(s3.store_settings(launch.url, keys))
        yield s3.store_environment(launch.url, keys)
    finally:
        process.kill()
        process.wait()
        s3.sweep_sockets(launch.argv)


def httpx_fails(url: str) -> bool:
    try:
        return httpx.get(url).status_code != httpx.codes.OK
    except httpx.TransportError:
        return True


def with_s3transfer(way: str, folder: Path, uri: str) -> None:
    from s3transfer.manager import TransferConfig, TransferManager

    settings, place = StoreSettings(), store.parse_uri(uri)
    client = s3_client.client(settings.model_copy(update={"concurrency": 10}))
    with TransferManager(client, TransferConfig()) as manager:
        if way == "up":
            for path in folder.iterdir():
                manager.upload(str(path), place.bucket, place.key(path.name))
            return
        folder.mkdir()
        for name in store.stored_objects(client, place):
            manager.download(place.bucket, place.key(name), str(folder / name))


def with_finist(way: str, folder: Path, uri: str) -> None:
    settings = StoreSettings()
    if way == "up":
        upload_directory(settings, folder, uri)
    else:
        download_directory(settings, uri, folder)


MOVERS: dict[str, Callable[[str, Path, str], None]] = {
    "finist": with_finist,
    "s3transfer": with_s3transfer,
}


def resident(field: str) -> int:
    """Memory in bytes: VmRSS is now, VmHWM the most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def child(who: str, way: str, folder: Path, uri: str) -> None:
    """One transfer in this process; prints seconds and the peak over the base."""
    store.get_json(StoreSettings(), f"{uri}/nothing.json")  # boto3's models are loaded
    base, began = resident("VmRSS"), time.monotonic()
    MOVERS[who](way, folder, uri)
    print(json.dumps([time.monotonic() - began, resident("VmHWM") - base]))


def run_python(who: str, way: str, folder: Path, uri: str, env: dict[str, str]) -> list[float]:
    command = [sys.executable, __file__, "child", who, way, str(folder), uri]
    ended = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return list(json.loads(ended.stdout))


def run_s5cmd(who: str, way: str, folder: Path, uri: str, env: dict[str, str]) -> list[float]:
    pair = [f"{folder}/", f"{uri}/"] if way == "up" else [f"{uri}/*", f"{folder}/"]
    command = [str(S5CMD), "--endpoint-url", env["AWS_ENDPOINT_URL"], "--log", "error", "cp"]
    began = time.monotonic()
    process = subprocess.Popen([*command, *pair], env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{who} failed")
    return [time.monotonic() - began, usage.ru_maxrss * 1024]


def measure(home: Path, mebibytes: int, rounds: int) -> dict[tuple[str, str], list[list[float]]]:
    runners = {name: run_python for name in MOVERS}
    if S5CMD.exists():
        runners["s5cmd"] = run_s5cmd
    make_model(home / "model", mebibytes)
    took: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    with server(home) as variables:
        env = {**os.environ, **variables}
        for turn in range(rounds):
            names = list(runners)[turn % len(runners) :] + list(runners)[: turn % len(runners)]
            for who in names:
                for way in ("up", "down"):
                    folder = home / ("model" if way == "up" else "copy")
                    os.sync()
                    uri = f"s3://{variables['FINIST_BUCKET']}/{who}-{turn}"
                    run = runners[who](who, way, folder, uri, env)
                    took[who, way].append(run)
                    print(f"{who} {way}: {run[0]:.1f} s", file=sys.stderr, flush=True)
                same(home / "model", home / "copy")
                shutil.rmtree(home / "copy")
    return took


def same(model: Path, copy: Path) -> None:
    """What came back has the sizes that went up; Finist has checked its sums itself."""
    sizes = {path.name: path.stat().st_size for path in model.iterdir()}
    found = {path.name: path.stat().st_size for path in copy.iterdir()}
    found.pop("manifest.json", None)
    assert found == sizes, (sizes, found)


def main(mebibytes: int = 2048, rounds: int = 2) -> None:
    with tempfile.TemporaryDirectory(prefix="finist-s3-bench-") as folder:
        took = measure(Path(folder), mebibytes, rounds)
        size = sum(path.stat().st_size for path in (Path(folder) / "model").iterdir())
    print(f"{size / 1e6:.0f} MB in {SHARDS + 4} files, median (and all) of {rounds} rounds")
    rates = {key: [size / 1e6 / seconds for seconds, _ in runs] for key, runs in took.items()}
    for way in ("up", "down"):
        best = max(statistics.median(rate) for (_, w), rate in rates.items() if w == way)
        for (who, w), rate in rates.items():
            if w == way:
                peak = max(memory for _, memory in took[who, way]) / 1e6
                each = ", ".join(f"{one:.0f}" for one in rate)
                share = statistics.median(rate) / best
                print(
                    f"{way:5} {who:11} {statistics.median(rate):6.0f} MB/s ({each})  "
                    f"{share:4.0%} of the best  peak {peak:4.0f} MB"
                    f"{' with its program' if who == 's5cmd' else ' over base'}"
                )
    print(f"goal: {GOAL:.0%} of the best each way, at most 300 MB over base")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5])
    else:
        main(*(int(number) for number in sys.argv[1:]))
