"""Programs that call a model, one for each client: tests compare what they see with and without a recorder.

A program gets the server, a route, a model and whether to stream; it keeps the values that it receives and the exception
that reaches it. A client is imported when it is used, so one that is not installed only leaves its cells out.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from erranalytics.client.observer import class_name

# How long a program waits: a short time only where the server never answers.
PATIENCE_S, SHORT_S = 10.0, 0.3
PROMPT = "tell me the secret of the seven seas"
KEY = "sk-live-0123456789abcdef0123"
MESSAGE = [{"role": "user", "content": PROMPT}]

GENERATE, CHAT, COMPLETIONS, MESSAGES = "/api/generate", "/api/chat", "/v1/chat/completions", "/v1/messages"


@dataclass
class Seen:
    """What a program received: values in order, and the exception with its causes."""

    values: list[Any] = field(default_factory=list)
    raised: list[tuple[str, str, Any, Any]] = field(default_factory=list)

    @property
    def exception_name(self) -> str:
        """Name of the exception that reached the program."""
        return self.raised[0][0] if self.raised else "—"

    def keep(self, value: Any, task: Task) -> bool:
        """Keep a value; return whether the program wants more."""
        self.values.append(value)
        return task.leaves_after is None or len(self.values) < task.leaves_after


@dataclass(frozen=True)
class Task:
    """One call: its server and route, whether it streams, and after how many values the program leaves."""

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
        request: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.route == GENERATE:
            return {**request, "prompt": PROMPT}
        more = {"max_tokens": 16} if self.route == MESSAGES else {}
        return {**request, **more, "messages": MESSAGE}


def note(seen: Seen, exception: BaseException) -> None:
    """Keep an exception and its causes, as a program can see them."""
    cause: BaseException | None = exception
    while cause is not None:
        status = getattr(cause, "status_code", getattr(cause, "status", None))
        # Addresses in memory differ from run to run.
        text = re.sub(r"\b(?:0x)?[0-9a-f]{9,16}\b", "ADDRESS", str(cause))
        text = re.sub(r"time taken=[\d.]+", "time taken", text)
        seen.raised.append((class_name(cause), text, status, repr(getattr(cause, "body", None))))
        cause = cause.__cause__ or cause.__context__


_BUILDING = threading.Lock()


def _values(value: Any) -> Any:
    """A value as data, without what differs between two calls."""
    # The first value builds the model class, and pydantic 2.11 fails when several threads do that at once.
    with _BUILDING:
        data = value.model_dump() if hasattr(value, "model_dump") else value
    return json.loads(json.dumps(data, default=str))


def _consume(task: Task, seen: Seen, answer: Any, shown: Callable[[Any], Any] = _values) -> None:
    """Keep the values of an answer until the program leaves; an answer that does not stream is one value."""
    for value in answer if task.stream else [answer]:
        if not seen.keep(shown(value), task):
            break


async def _consume_async(task: Task, seen: Seen, answer: Any, shown: Callable[[Any], Any] = _values) -> None:
    """The same for a client that is async."""
    if not task.stream:
        _consume(task, seen, answer, shown)
        return
    async for value in answer:
        if not seen.keep(shown(value), task):
            break


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
                _consume(task, seen, response.json())
                return
            with client.stream("POST", task.url + task.route, json=task.body) as response:
                if response.status_code >= 400:
                    response.read()
                response.raise_for_status()
                _consume(task, seen, response.iter_lines())

    return run


def _httpx_async(module_name: str) -> Callable[[Task, Seen], None]:
    async def run(task: Task, seen: Seen) -> None:
        module = importlib.import_module(module_name)
        async with task.wrap(module.AsyncClient(timeout=task.patience)) as client:
            if not task.stream:
                response = await client.post(task.url + task.route, json=task.body)
                response.raise_for_status()
                _consume(task, seen, response.json())
                return
            async with client.stream("POST", task.url + task.route, json=task.body) as response:
                if response.status_code >= 400:
                    await response.aread()
                response.raise_for_status()
                await _consume_async(task, seen, response.aiter_lines())

    return _run(run)


def _requests(task: Task, seen: Seen) -> None:
    import requests

    options = {"json": task.body, "timeout": task.patience, "stream": task.stream}
    with task.wrap(requests.Session()) as session, session.post(task.url + task.route, **options) as response:
        response.raise_for_status()
        _consume(task, seen, map(bytes.decode, response.iter_lines()) if task.stream else response.json())


async def _aiohttp(task: Task, seen: Seen) -> None:
    import aiohttp

    patience = aiohttp.ClientTimeout(sock_read=task.patience)
    async with (
        aiohttp.ClientSession(timeout=patience) as session,
        task.wrap(session).post(task.url + task.route, json=task.body) as response,
    ):
        response.raise_for_status()
        if task.stream:
            await _consume_async(task, seen, response.content, bytes.decode)
        else:
            _consume(task, seen, await response.json())


# --- SDKs ----------------------------------------------------------------------------------------------------------


def _ask_ollama(client: Any, task: Task) -> Any:
    """What the call returns: an answer, or what is awaited for it."""
    call, request = client.chat, {"messages": MESSAGE}
    if task.route == GENERATE:
        call, request = client.generate, {"prompt": PROMPT}
    return call(model=task.model, stream=task.stream, **request)


def _ask_openai(client: Any, task: Task) -> Any:
    return client.chat.completions.create(model=task.model, messages=MESSAGE, stream=task.stream)


def _ask_anthropic(client: Any, task: Task) -> Any:
    return client.messages.create(model=task.model, max_tokens=16, messages=MESSAGE, stream=task.stream)


def _ollama(task: Task, seen: Seen) -> None:
    import ollama

    client = task.wrap(ollama.Client(host=task.url, timeout=task.patience))
    with contextlib.closing(client):
        _consume(task, seen, _ask_ollama(client, task))


async def _ollama_async(task: Task, seen: Seen) -> None:
    import ollama

    client = task.wrap(ollama.AsyncClient(host=task.url, timeout=task.patience))
    try:
        answer = await _ask_ollama(client, task)
        async with contextlib.aclosing(answer) if task.stream else contextlib.nullcontext():
            await _consume_async(task, seen, answer)
    finally:
        await client.close()


def _sdk(name: str, ask: Callable[[Any, Task], Any], path: str = "") -> Callable[[Task, Seen], None]:
    """A program of an SDK whose clients and streams are context managers: openai and anthropic."""

    def run(task: Task, seen: Seen) -> None:
        with task.wrap(_sdk_client(name, task, path)) as client:
            answer = ask(client, task)
            with answer if task.stream else contextlib.nullcontext():
                _consume(task, seen, answer)

    return run


def _sdk_async(name: str, ask: Callable[[Any, Task], Any], path: str = "") -> Callable[[Task, Seen], None]:
    async def run(task: Task, seen: Seen) -> None:
        async with task.wrap(_sdk_client(name, task, path)) as client:
            answer = await ask(client, task)
            async with answer if task.stream else contextlib.nullcontext():
                await _consume_async(task, seen, answer)

    return _run(run)


def _sdk_client(name: str, task: Task, path: str) -> Any:
    """A client by the name of its class, such as ``openai.AsyncOpenAI``."""
    module, _, kind = name.partition(".")
    make = getattr(importlib.import_module(module), kind)
    return make(base_url=task.url + path, api_key=KEY, max_retries=0, timeout=task.patience)


def _langchain(task: Task, seen: Seen) -> None:
    from langchain_ollama import ChatOllama

    chat = task.wrap(ChatOllama(model=task.model, base_url=task.url, client_kwargs={"timeout": task.patience}))
    # LangChain always streams on the wire.
    for value in chat.stream(PROMPT):
        if not seen.keep(value.content, task):
            break


def _litellm(prefix: str) -> Callable[[Task, Seen], None]:
    def run(task: Task, seen: Seen) -> None:
        import litellm

        litellm.suppress_debug_info = True
        text = attrgetter("delta.content" if task.stream else "message.content")
        answer = litellm.completion(
            model=f"{prefix}/{task.model}",
            messages=MESSAGE,
            api_base=task.url,
            stream=task.stream,
            timeout=task.patience,
            num_retries=0,
            max_retries=0,
        )
        _consume(task, seen, answer, lambda value: text(value.choices[0]))

    return run


def _run(program: Callable[[Task, Seen], Any]) -> Callable[[Task, Seen], None]:
    return lambda task, seen: asyncio.run(program(task, seen))


@dataclass(frozen=True)
class Program:
    """A client and the routes that it has."""

    name: str
    package: str
    routes: tuple[str, ...]
    run: Callable[[Task, Seen], None]
    # False where only a recorder that is on for the whole process can watch it.
    is_wrapped: bool = True
    # Some stream on the wire even when the program does not.
    always_streams: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether the client can be run here."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """The version that is installed."""
        return importlib.metadata.version(self.package.replace("_", "-"))

    def see(self, task: Task) -> Seen:
        """Run it, and keep what reaches the program."""
        seen = Seen()
        try:
            self.run(task, seen)
        except Exception as exception:  # noqa: BLE001 - the exception is the result
            note(seen, exception)
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
    Program("openai", "openai", (COMPLETIONS,), _sdk("openai.OpenAI", _ask_openai, "/v1")),
    Program("openai, async", "openai", (COMPLETIONS,), _sdk_async("openai.AsyncOpenAI", _ask_openai, "/v1")),
    Program("anthropic", "anthropic", (MESSAGES,), _sdk("anthropic.Anthropic", _ask_anthropic)),
    Program("anthropic, async", "anthropic", (MESSAGES,), _sdk_async("anthropic.AsyncAnthropic", _ask_anthropic)),
    Program("langchain-ollama", "langchain_ollama", (CHAT,), _langchain, always_streams=True),
    Program("litellm ollama/", "litellm", (GENERATE,), _litellm("ollama"), is_wrapped=False),
    Program("litellm ollama_chat/", "litellm", (CHAT,), _litellm("ollama_chat"), is_wrapped=False),
)
