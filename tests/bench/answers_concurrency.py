"""How busy a configured concurrency is kept while answers are asked for, and a re-run from cache.

    .venv/bin/python tests/bench/answers_concurrency.py [QUESTIONS] [DELAY_SECONDS] [CONCURRENCY]

The server, a process of its own, answers every question after the delay with 40 chunks of a word
each. Busy is the share of `wall x concurrency` that requests took: as the server has it (its delay
alone, so whatever the client adds counts against it) and as the client's clock has it.
"""

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TypeAlias

from components.core.json_lines import write_jsonl
from components.core.llm import Asking, Endpoint
from components.core.schemas import Dialogue, Turn
from components.evaluate.answers import Answered, Contender, answer_file

Counted: TypeAlias = "Synchronized[int]"
WORDS = 40
ROOT = Path(__file__).resolve().parents[2]


def chunk(**fields: object) -> bytes:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "fixed"}
    return f"data: {json.dumps(head | fields)}\n\n".encode()


def reply() -> bytes:
    """A whole streamed answer; made once, so that the server takes next to no CPU."""
    said = [{"index": 0, "delta": {"content": "слово "}, "finish_reason": None}] * WORDS
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 30, "completion_tokens": WORDS, "total_tokens": 30 + WORDS}
    chunks = [chunk(choices=[each]) for each in (*said, end)]
    return b"".join((*chunks, chunk(choices=[], usage=usage), b"data: [DONE]\n\n"))


def http(content: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def serve(delay: float, told: Connection, asked_times: Counted) -> None:
    answer = http(reply(), "text/event-stream")
    models = http(b'{"object": "list", "data": [{"id": "fixed"}]}', "application/json")

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                asked = b"/chat/completions" in head.partition(b"\r\n")[0]
                if asked:
                    asked_times.value += 1
                    await asyncio.sleep(delay)
                writer.write(answer if asked else models)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def start_server(delay: float, told: Connection, asked_times: Counted) -> None:
    asyncio.run(serve(delay, told, asked_times))


def dialogue(number: int) -> Dialogue:
    return Dialogue(
        dialogue_id=f"d{number}",
        request_id="r",
        response_id="s",
        user_id="u",
        turns=(
            Turn(role="user", content=f"Вопрос {number}: какая ставка по вкладу на год?"),
            Turn(role="assistant", content="Ставка 16,5% годовых."),
        ),
        intent=f"intent-{number % 20}",
        source="bench",
        licence="Apache-2.0",
    )


def first_run(test: Path, who: Contender, delay: float) -> Answered:
    started, cpu = time.perf_counter(), time.process_time()
    found = answer_file(test, test.with_name("first.jsonl"), who)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    slots = wall * who.asking.concurrency
    latencies = sum(row.latency_seconds for row in found.answers)
    print(
        f"{len(found.answers)} questions, {delay:g} s each, {who.asking.concurrency} in flight: "
        f"{wall:.2f} s wall, busy {len(found.answers) * delay / slots:.1%} by the server, "
        f"{latencies / slots:.1%} by the client; {1000 * cpu / len(found.answers):.1f} ms of the "
        "client's CPU a question"
    )
    return found


def second_run(test: Path, who: Contender) -> None:
    command = [
        *(sys.executable, "-m", "components.evaluate", "answer", "--contender", "again"),
        *("--endpoint", who.endpoint.base_url, "--model", "fixed", "--test", str(test)),
        *("--answers", str(test.with_name("second.jsonl"))),
        *("--max-tokens", str(who.asking.max_tokens)),
    ]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wall = time.perf_counter() - started
    print(f"from the cache, with the start of the process: {wall:.2f} s; {done.stdout.strip()}")


def main(questions: int = 700, delay: float = 0.25, concurrency: int = 32) -> None:
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    times = context.Value("i", 0)
    server = context.Process(target=start_server, args=(delay, its, times))
    server.start()
    try:
        where = Endpoint(base_url=f"http://127.0.0.1:{mine.recv()}/v1", model="fixed")
        who = Contender(name="first", endpoint=where, asking=Asking(concurrency=concurrency))
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FINIST_HOME"] = folder
            test = Path(folder, "test.jsonl")
            write_jsonl(test, map(dialogue, range(questions)))
            first_run(test, who, delay)
            print(f"the server was asked {times.value} times")
            second_run(test, who)
            print(f"the server was asked {times.value} times")
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(kind(text) for kind, text in zip((int, float, int), given, strict=False)))
