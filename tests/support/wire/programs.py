"""Programs that call a model, one for each client: what each saw is compared with and without a recorder.

A program is given the server, a route, a model and whether to stream; it keeps the values it got and the exception that
reached it. Nothing here is imported before it is used: a client that is not installed leaves its cells out.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# How long a program waits: short only where that is what happens.
PATIENCE_S, SHORT_S = 10.0, 0.3
PROMPT = "tell me the secret of the seven seas"
KEY = "sk-live-0123456789abcdef0123"

GENERATE, CHAT, COMPLETIONS, MESSAGES = "/api/generate", "/api/chat", "/v1/chat/completions", "/v1/messages"


@dataclass
class Seen:
    """What a program got: values in order, and the exception with those behind it."""

    values: list[Any] = field(default_factory=list)
    raised: list[tuple[str, str, Any, Any]] = field(default_factory=list)

    @property
    def told(self) -> str:
        """Name of the exception that reached the program."""
        return self.raised[0][0] if self.raised else "—"


@dataclass(frozen=True)
class Task:
    """One call: where, how, and whether the program leaves after some values."""

    url: str
    route: str
    model: str
    stream: bool
    leaves_after: int | None = None
    wrap: Callable[[Any], Any] = lambda client: client

    @property
    def patience(self) -> float:
        """Seconds after which the client gives up."""
        return SHORT_S if self.model.startswith("hangs") else PATIENCE_S

    @property
    def body(self) -> dict[str, Any]:
        """The request as raw clients send it."""
        asked: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.route == GENERATE:
            return {**asked, "prompt": PROMPT}
        more = {"max_tokens": 16} if self.route == MESSAGES else {}
        return {**asked, **more, "messages": [{"role": "user", "content": PROMPT}]}

    def is_enough(self, seen: Seen) -> bool:
        """Whether the program leaves now."""
        return self.leaves_after is not None and len(seen.values) >= self.leaves_after


def _name(fault: BaseException) -> str:
    return f"{type(fault).__module__}.{type(fault).__qualname__}"


def note(seen: Seen, fault: BaseException) -> None:
    """Keep an exception and those behind it, as a program can see them."""
    behind: BaseException | None = fault
    while behind is not None:
        status = getattr(behind, "status_code", getattr(behind, "status", None))
        # An address in memory is another one in every run.
        text = re.sub(r"\b(?:0x)?[0-9a-f]{9,16}\b", "ADDRESS", str(behind))
        text = re.sub(r"time taken=[\d.]+", "time taken", text)
        seen.raised.append((_name(behind), text, status, repr(getattr(behind, "body", None))))
        behind = behind.__cause__ or behind.__context__


_BUILDING = threading.Lock()


def _values(value: Any) -> Any:
    """A value as data, without what differs between two calls."""
    # Models are built with their first value, which several threads at once do not get along with (pydantic 2.11).
    with _BUILDING:
        data = value.model_dump() if hasattr(value, "model_dump") else value
    return json.loads(json.dumps(data, default=str))


# --- raw clients ---------------------------------------------------------------------------------------------------


def _httpx(module_name: str) -> Callable[[Task, Seen], None]:
    def run(task: Task, seen: Seen) -> None:
        module = importlib.import_module(module_name)
        with task.wrap(module.Client(timeout=task.patience)) as client:
            if not task.stream:
                response = client.post(
                    task.url + task.route, json=task.body, headers={"Authorization": f"Bearer {KEY}"}
                )
                response.raise_for_status()
                seen.values.append(response.json())
                return
            with client.stream("POST", task.url + task.route, json=task.body) as response:
                if response.status_code >= 400:
                    response.read()
                response.raise_for_status()
                for line in response.iter_lines():
                    seen.values.append(line)
                    if task.is_enough(seen):
                        break

    return run


def _httpx_async(module_name: str) -> Callable[[Task, Seen], None]:
    async def run(task: Task, seen: Seen) -> None:
        module = importlib.import_module(module_name)
        async with task.wrap(module.AsyncClient(timeout=task.patience)) as client:
            if not task.stream:
                response = await client.post(task.url + task.route, json=task.body)
                response.raise_for_status()
                seen.values.append(response.json())
                return
            async with client.stream("POST", task.url + task.route, json=task.body) as response:
                if response.status_code >= 400:
                    await response.aread()
                response.raise_for_status()
                async for line in response.aiter_lines():
                    seen.values.append(line)
                    if task.is_enough(seen):
                        break

    return lambda task, seen: asyncio.run(run(task, seen))


def _requests(task: Task, seen: Seen) -> None:
    import requests

    options = {"json": task.body, "timeout": task.patience, "stream": task.stream}
    with task.wrap(requests.Session()) as session, session.post(task.url + task.route, **options) as response:
        response.raise_for_status()
        if not task.stream:
            seen.values.append(response.json())
            return
        for line in response.iter_lines():
            seen.values.append(line.decode())
            if task.is_enough(seen):
                break


async def _aiohttp(task: Task, seen: Seen) -> None:
    import aiohttp

    patience = aiohttp.ClientTimeout(sock_read=task.patience)
    async with (
        aiohttp.ClientSession(timeout=patience) as session,
        task.wrap(session).post(task.url + task.route, json=task.body) as response,
    ):
        response.raise_for_status()
        if not task.stream:
            seen.values.append(await response.json())
            return
        async for line in response.content:
            seen.values.append(line.decode())
            if task.is_enough(seen):
                break


# --- SDKs ----------------------------------------------------------------------------------------------------------


def _ollama(task: Task, seen: Seen) -> None:
    import ollama

    client = task.wrap(ollama.Client(host=task.url, timeout=task.patience))
    try:
        asked = {"prompt": PROMPT} if task.route == GENERATE else {"messages": [{"role": "user", "content": PROMPT}]}
        call = client.generate if task.route == GENERATE else client.chat
        got = call(model=task.model, stream=task.stream, **asked)
        for value in got if task.stream else [got]:
            seen.values.append(_values(value))
            if task.is_enough(seen):
                break
    finally:
        client.close()


async def _ollama_async(task: Task, seen: Seen) -> None:
    import ollama

    client = task.wrap(ollama.AsyncClient(host=task.url, timeout=task.patience))
    try:
        asked = {"prompt": PROMPT} if task.route == GENERATE else {"messages": [{"role": "user", "content": PROMPT}]}
        call = client.generate if task.route == GENERATE else client.chat
        got = await call(model=task.model, stream=task.stream, **asked)
        if not task.stream:
            seen.values.append(_values(got))
            return
        try:
            async for value in got:
                seen.values.append(_values(value))
                if task.is_enough(seen):
                    break
        finally:
            await got.aclose()
    finally:
        await client.close()


def _openai(task: Task, seen: Seen) -> None:
    import openai

    with task.wrap(
        openai.OpenAI(base_url=task.url + "/v1", api_key=KEY, max_retries=0, timeout=task.patience)
    ) as client:
        got = client.chat.completions.create(
            model=task.model, messages=[{"role": "user", "content": PROMPT}], stream=task.stream
        )
        if not task.stream:
            seen.values.append(_values(got))
            return
        with got:
            for value in got:
                seen.values.append(_values(value))
                if task.is_enough(seen):
                    break


async def _openai_async(task: Task, seen: Seen) -> None:
    import openai

    made = openai.AsyncOpenAI(base_url=task.url + "/v1", api_key=KEY, max_retries=0, timeout=task.patience)
    async with task.wrap(made) as client:
        got = await client.chat.completions.create(
            model=task.model, messages=[{"role": "user", "content": PROMPT}], stream=task.stream
        )
        if not task.stream:
            seen.values.append(_values(got))
            return
        async with got:
            async for value in got:
                seen.values.append(_values(value))
                if task.is_enough(seen):
                    break


def _anthropic(task: Task, seen: Seen) -> None:
    import anthropic

    with task.wrap(anthropic.Anthropic(base_url=task.url, api_key=KEY, max_retries=0, timeout=task.patience)) as client:
        got = client.messages.create(
            model=task.model, max_tokens=16, messages=[{"role": "user", "content": PROMPT}], stream=task.stream
        )
        if not task.stream:
            seen.values.append(_values(got))
            return
        with got:
            for value in got:
                seen.values.append(_values(value))
                if task.is_enough(seen):
                    break


async def _anthropic_async(task: Task, seen: Seen) -> None:
    import anthropic

    made = anthropic.AsyncAnthropic(base_url=task.url, api_key=KEY, max_retries=0, timeout=task.patience)
    async with task.wrap(made) as client:
        got = await client.messages.create(
            model=task.model, max_tokens=16, messages=[{"role": "user", "content": PROMPT}], stream=task.stream
        )
        if not task.stream:
            seen.values.append(_values(got))
            return
        async with got:
            async for value in got:
                seen.values.append(_values(value))
                if task.is_enough(seen):
                    break


def _langchain(task: Task, seen: Seen) -> None:
    from langchain_ollama import ChatOllama

    chat = task.wrap(ChatOllama(model=task.model, base_url=task.url, client_kwargs={"timeout": task.patience}))
    # LangChain always streams on the wire.
    for value in chat.stream(PROMPT):
        seen.values.append(value.content)
        if task.is_enough(seen):
            break


def _litellm(prefix: str) -> Callable[[Task, Seen], None]:
    def run(task: Task, seen: Seen) -> None:
        import litellm

        litellm.suppress_debug_info = True
        got = litellm.completion(
            model=f"{prefix}/{task.model}",
            messages=[{"role": "user", "content": PROMPT}],
            api_base=task.url,
            stream=task.stream,
            timeout=task.patience,
            num_retries=0,
            max_retries=0,
        )
        if not task.stream:
            seen.values.append(got.choices[0].message.content)
            return
        for value in got:
            seen.values.append(value.choices[0].delta.content)
            if task.is_enough(seen):
                break

    return run


def _run(program: Callable[[Task, Seen], Any]) -> Callable[[Task, Seen], None]:
    return lambda task, seen: asyncio.run(program(task, seen))


@dataclass(frozen=True)
class Program:
    """A client with the routes it knows."""

    name: str
    package: str
    routes: tuple[str, ...]
    run: Callable[[Task, Seen], None]
    # Some can only be watched by a recorder that is on for the whole process.
    is_wrapped: bool = True
    # litellm opens its own connections and reads to their end in its own way.
    always_streams: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether the client is there to be run."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.package.replace("_", "-"))

    def see(self, task: Task) -> Seen:
        """Run it; whatever reaches the program is kept."""
        seen = Seen()
        try:
            self.run(task, seen)
        except Exception as fault:  # noqa: BLE001 - the exception is the result
            note(seen, fault)
        return seen


RAW = (GENERATE, COMPLETIONS, MESSAGES)
PROGRAMS = (
    Program("httpx", "httpx", RAW, _httpx("httpx")),
    Program("httpx, async", "httpx", RAW, _httpx_async("httpx")),
    Program("httpx2", "httpx2", RAW, _httpx("httpx2")),
    Program("httpx2, async", "httpx2", RAW, _httpx_async("httpx2")),
    Program("requests", "requests", RAW, _requests),
    Program("aiohttp", "aiohttp", RAW, _run(_aiohttp)),
    Program("ollama", "ollama", (GENERATE, CHAT), _ollama),
    Program("ollama, async", "ollama", (GENERATE, CHAT), _run(_ollama_async)),
    Program("openai", "openai", (COMPLETIONS,), _openai),
    Program("openai, async", "openai", (COMPLETIONS,), _run(_openai_async)),
    Program("anthropic", "anthropic", (MESSAGES,), _anthropic),
    Program("anthropic, async", "anthropic", (MESSAGES,), _run(_anthropic_async)),
    Program("langchain-ollama", "langchain_ollama", (CHAT,), _langchain, always_streams=True),
    Program("litellm ollama/", "litellm", (GENERATE,), _litellm("ollama"), is_wrapped=False),
    Program("litellm ollama_chat/", "litellm", (CHAT,), _litellm("ollama_chat"), is_wrapped=False),
)
