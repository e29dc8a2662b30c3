#!/usr/bin/env python3
"""Takes the place of the serve environment's Python: a tiny OpenAI server on vLLM's options.

`FAKE_VLLM_FAIL=1` makes it end with an error at once; `FAKE_VLLM_SLOW=1` never gets ready.
"""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

parser = argparse.ArgumentParser()
parser.add_argument("-m", dest="module", required=True)
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--served-model-name", required=True)
parser.add_argument("--port", type=int, required=True)
options, rest = parser.parse_known_args()
if os.environ.get("FAKE_VLLM_FAIL"):
    sys.exit("no such kernel")
says = json.loads((options.model / "config.json").read_text(encoding="utf-8"))["says"]
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if os.environ.get("FAKE_VLLM_SLOW"):
            self.send_error(503)
        else:
            self.reply("application/json", b"{}")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] != options.served_model_name:
            self.send_error(404)
        elif asked.get("stream"):
            self.reply("text/event-stream", "".join(events()).encode())
        else:
            message = {"role": "assistant", "content": says}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.reply("application/json", json.dumps(body([choice], usage=USAGE)).encode())

    def reply(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def body(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    head = {"id": "1", "object": "chat.completion", "created": 0}
    return head | {"model": options.served_model_name, "choices": choices} | more


def events() -> list[str]:
    deltas = [{"content": word + " "} for word in says.split()]
    chunks = [body([{"index": 0, "delta": d, "finish_reason": None}]) for d in deltas]
    chunks.append(body([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    chunks.append(body([], usage=USAGE))
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
