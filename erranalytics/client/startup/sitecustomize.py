"""Runs at the start of every Python that ``erranalytics record`` starts, because its folder is on PYTHONPATH.

It loads the recorder from this installation, whatever that Python has installed itself, turns it on, and writes what
happened as lines of a file. It must run on any Python and never disturb the program; a fault only becomes such a line.
"""

import os
import sys
import types

NOTES_VARIABLE = "ERRANALYTICS_NOTES"
# Clients that do not use one of the libraries that can be watched.
UNWATCHED = (
    "http.client",
    "httplib2",
    "pycurl",
    "tornado.httpclient",
    "twisted.web.client",
    "grpc",
    "curl_cffi",
    "niquests",
)


def note(**facts: object) -> None:
    """Append what happened to the file that the command reads when the program has ended."""
    try:
        import json

        line = json.dumps(dict(facts, pid=os.getpid())) + "\n"
        descriptor = os.open(os.environ[NOTES_VARIABLE], os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line.encode("utf-8"))
        finally:
            os.close(descriptor)
    except Exception:
        pass


def load(folder: str) -> types.ModuleType:
    """The recorder of this installation; nothing else from it becomes importable."""
    import importlib
    import importlib.util

    for name, parts in (("erranalytics", ()), ("erranalytics.client", ("client",))):
        if name not in sys.modules:
            home = os.path.join(folder, *parts)
            place = os.path.join(home, "__init__.py")
            spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=[home])
            if spec is None or spec.loader is None:
                raise ImportError(place)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
    return importlib.import_module("erranalytics.client.instrumentation")


def start() -> None:
    """Turn the recorder on for the life of this process."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):
        note(python=version, fault="the recorder needs Python 3.11")
        return
    note(python=version)
    here = os.path.dirname(os.path.abspath(__file__))
    instrumentation = load(os.path.dirname(os.path.dirname(here)))
    recorder = instrumentation.turn_on_for_good(lambda name: note(watched=name))
    import atexit

    def leave() -> None:
        unwatched = [name for name in UNWATCHED if name in sys.modules]
        note(lost=recorder.lost_count, others=unwatched)

    # The function that is registered first runs last, when the recorder has written the open calls.
    atexit.unregister(recorder.abandon)
    atexit.register(leave)
    atexit.register(recorder.abandon)


def chain() -> None:
    """Run the file of the same name that this one hides; systems and tools have such files."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


# Under any other name a tool or a test only looks at this file.
if __name__ == "sitecustomize":
    if os.environ.get(NOTES_VARIABLE):
        try:
            start()
        except Exception as fault:
            note(fault="%s: %s" % (type(fault).__name__, fault))
    chain()
