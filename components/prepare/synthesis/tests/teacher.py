"""A teacher and a judge that read their prompts, for a real server to answer with."""

import json
import re
from collections.abc import Callable

from components.core.llm import Endpoint
from components.core.tests.canned_server import Canned, CannedServer
from components.prepare.synthesis.settings import SyntheticSource

PRODUCT = re.compile(r"^Продукт: «(.+)»\.$", re.MULTILINE)
MANNER = re.compile(r"^Как пишет клиент: (.+)$", re.MULTILINE)
FACT = re.compile(r"^- (.+)$", re.MULTILINE)
TOPIC = re.compile(r"^О чём спрашивает клиент: (.+)\.$", re.MULTILINE)
FIVE = {"5": 0.9, "4": 0.1}


def written(prompt: str) -> dict[str, str]:
    """What a faithful teacher writes: product, topic and manner asked, every fact answered."""
    product, manner, topic = (p.findall(prompt)[0] for p in (PRODUCT, MANNER, TOPIC))
    return {
        "question": f"Подскажите про «{product}»: {topic}? ({manner})",
        "answer": f"По продукту «{product}»: {', '.join(FACT.findall(prompt))}.",
    }


def is_judged(prompt: str) -> bool:
    return prompt.startswith("Ты оцениваешь")


def faithful(prompt: str) -> Canned:
    """A good teacher and a generous judge behind one address."""
    if is_judged(prompt):
        return Canned("5", top=FIVE)
    return Canned(json.dumps(written(prompt), ensure_ascii=False))


def teaching(reply: Callable[[str], str]) -> Callable[[str], Canned]:
    """A teacher that writes what a function makes of its prompt, before the generous judge."""
    return lambda prompt: Canned("5", top=FIVE) if is_judged(prompt) else Canned(reply(prompt))


def source(server: CannedServer, **changes: object) -> SyntheticSource:
    endpoint = Endpoint(base_url=server.url, model="canned")
    content = {"teacher": endpoint, "judge": endpoint, "dialogues": 8, "retries": 0, "seed": 3}
    return SyntheticSource.model_validate(content | changes)
