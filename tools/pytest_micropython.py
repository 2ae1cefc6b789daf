"""A pytest plugin: tests that run inside real MicroPython, one pytest item per test function.

`test_*_mp.py` runs only in MicroPython and is never imported by CPython; `test_*_both.py` runs in
both. Tests are plain functions `def test_*()` or `async def test_*()` without parameters; they
raise `tools.mp_support.SkipTest` to skip. A module may set `TIMEOUT_S` (default 60). All tests of a
file share one process as long as it lives.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import micropython
from tools.mp_process import ROOT, MicroPythonProcess, Outcome, Result
from tools.mp_support import SkipTest

_TIMEOUT_S = 60.0
#: Beyond a test's own limit, so that ours, which knows what was printed, comes first.
_MARGIN_S = 30.0
_PROCESSES = pytest.StashKey[dict[Path, MicroPythonProcess]]()


def pytest_configure(config: pytest.Config) -> None:
    """Where the shared vectors are is decided once, for both runtimes."""
    config.stash[_PROCESSES] = {}
    os.environ.setdefault("TARE_SHARED", str(ROOT.parent / "shared"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """No MicroPython outlives the run."""
    for process in config.stash.get(_PROCESSES, {}).values():
        process.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """Keeps CPython from importing files that are for MicroPython alone."""
    if module_path.stem.endswith("_mp"):
        return MicroPythonFile.from_parent(parent, path=module_path)
    return None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file for both runtimes is collected a second time, for MicroPython."""
    if file_path.match("test_*_both.py"):
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call() -> Iterator[None]:
    """A file for both runtimes may skip, on CPython too, the one way that both know."""
    try:
        return (yield)
    except SkipTest as reason:
        pytest.skip(str(reason))


class _CoroutineRunner:
    """Runs the coroutine tests of files for both runtimes on CPython (they carry no marker)."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        if not pyfuncitem.path.match("test_*_both.py"):
            return None
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        asyncio.run(pyfuncitem.obj())
        return True


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Registers the runner of coroutines beside this module (one module, one hook of a name)."""
    if getattr(plugin, "__name__", None) == __name__:
        manager.register(_CoroutineRunner(), "micropython-coroutines")


class MicroPythonFile(pytest.File):
    """A file whose test functions run inside MicroPython; it is read, never imported."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item a top-level test function, in the file's order."""
        tree = ast.parse(self.path.read_bytes(), str(self.path))
        timeout_s = _timeout_s(tree)
        suffix = "[micropython]" if self.path.stem.endswith("_both") else ""
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("test_"):
                continue
            if node.args.args or node.decorator_list:
                raise self.CollectError(
                    f"{self.path}:{node.lineno}: {node.name} runs in MicroPython,"
                    " where tests have no parameters and no decorators"
                )
            yield MicroPythonTest.from_parent(
                self, name=node.name + suffix, test=node.name, line=node.lineno, limit_s=timeout_s
            )


class MicroPythonTest(pytest.Item):
    """One test function, run inside MicroPython."""

    def __init__(self, *, test: str, line: int, limit_s: float, **others: Any) -> None:
        super().__init__(**others)
        self._test = test
        self._line = line
        self._limit_s = limit_s
        self.add_marker(pytest.mark.timeout(limit_s + _MARGIN_S))

    def runtest(self) -> None:
        """Runs the test; raises MicroPythonFailure, or skips."""
        result = self._process().run(self._test, timeout_s=self._limit_s)
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(result.reason)
        if result.outcome is not Outcome.PASSED:
            raise MicroPythonFailure(result)
        if result.text:
            self.add_report_section("call", "micropython", result.text)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """What MicroPython said, without the insides of pytest."""
        if isinstance(excinfo.value, MicroPythonFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the test stands, for pytest's reports."""
        return self.path, self._line - 1, self.name

    def _process(self) -> MicroPythonProcess:
        processes = self.config.stash[_PROCESSES]
        if self.path not in processes:
            processes[self.path] = MicroPythonProcess(
                interpreter=micropython.find_or_unpack(),
                file=self.path,
                environment={**os.environ, "TARE_SCRATCH": str(self._scratch())},
            )
        return processes[self.path]

    def _scratch(self) -> Path:
        # The fixture of this factory is for functions of Python; an item of our own asks directly,
        # by a name that pytest keeps to itself and has no types for.
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
        return factory.mktemp(self.path.stem)


class MicroPythonFailure(Exception):  # noqa: N818 -- pytest's word
    """A test failed inside MicroPython: what ended it (pytest's summary shows the first line),
    then what the test had printed, with the traceback.
    """

    def __init__(self, result: Result) -> None:
        last_line = result.text.rstrip().rpartition("\n")[2]
        super().__init__(f"{result.reason or last_line}\n\n{result.text}")


def _timeout_s(tree: ast.Module) -> float:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == [
            "TIMEOUT_S"
        ]:
            return float(ast.literal_eval(node.value))
    return _TIMEOUT_S
