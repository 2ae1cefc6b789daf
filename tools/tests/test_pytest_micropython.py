"""The plugin that runs tests inside MicroPython: what it collects, and what it says of each end."""

import os
from pathlib import Path

import pytest

_CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
# Hypothesis would be imported for each run, only to report that it was not used.
_SETTINGS = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:hypothesispytest"]
asyncio_default_fixture_loop_scope = "function"
"""
_SKIP = "from tools.mp_support import SkipTest\n"


@pytest.fixture(autouse=True)
def _keep_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytester gives its runs a home of their own, and a MicroPython would be fetched for each."""
    monkeypatch.setenv("XDG_CACHE_HOME", _CACHE)


def _run(pytester: pytest.Pytester, name: str, source: str, *options: str) -> pytest.RunResult:
    pytester.makepyprojecttoml(_SETTINGS)
    (pytester.path / name).write_text(source)
    return pytester.runpytest("-p", "tools.pytest_micropython", "-rA", *options)


def test_each_function_is_one_item_and_runs_in_micropython(pytester: pytest.Pytester) -> None:
    source = """
import sys

def test_one():
    assert sys.implementation.name == "micropython"

async def test_two():
    import asyncio
    await asyncio.sleep_ms(1)

def helper():
    raise RuntimeError("not a test")
"""
    result = _run(pytester, "test_sample_mp.py", source)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["PASSED test_sample_mp.py::test_one"])


def test_cpython_never_imports_a_file_for_micropython(pytester: pytest.Pytester) -> None:
    source = """
import sys
if sys.implementation.name != "micropython":
    raise RuntimeError("imported by CPython")

def test_one():
    pass
"""
    _run(pytester, "test_sample_mp.py", source).assert_outcomes(passed=1)


def test_a_failure_shows_the_reason_the_output_and_the_source(pytester: pytest.Pytester) -> None:
    source = """
def test_bad():
    print("weighing")
    check(41)

def check(answer):
    assert answer == 42, answer
"""
    result = _run(pytester, "test_sample_mp.py", source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "AssertionError: 41",
            "weighing",
            "Traceback (most recent call last):",
            "  File *test_sample_mp.py*, line 4, in test_bad",
            "    check(41)",
            "  File *test_sample_mp.py*, line 7, in check",
            "    assert answer == 42, answer",
            "FAILED test_sample_mp.py::test_bad - AssertionError: 41",
        ]
    )
    result.stdout.no_fnmatch_line("*mp_runner*")
    result.stdout.no_fnmatch_line("*pytest_micropython.py*")


def test_a_crash_names_the_test_and_the_next_one_still_runs(pytester: pytest.Pytester) -> None:
    source = """
def test_before():
    pass

def test_crash():
    import uctypes
    print("last words")
    uctypes.bytearray_at(8, 1)[0] = 1

def test_after():
    pass
"""
    result = _run(pytester, "test_sample_mp.py", source)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["MicroPython was ended by SIGSEGV during test_crash", "last words"]
    )


def test_a_test_without_an_end_is_stopped(pytester: pytest.Pytester) -> None:
    source = """
TIMEOUT_S = 0.5

def test_endless():
    print("begun")
    while True:
        pass

def test_after():
    pass
"""
    result = _run(pytester, "test_sample_mp.py", source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["test_endless did not end within 0.5 s", "begun"])


def test_leaving_the_program_ends_only_the_test(pytester: pytest.Pytester) -> None:
    source = """
import sys

def test_exit():
    sys.exit(0)

def test_after():
    pass
"""
    _run(pytester, "test_sample_mp.py", source).assert_outcomes(passed=1, failed=1)


def test_a_skip_carries_its_reason_in_both_runtimes(pytester: pytest.Pytester) -> None:
    source = _SKIP + "def test_it():\n    raise SkipTest('no recording here')\n"
    result = _run(pytester, "test_sample_both.py", source)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*SKIPPED*no recording here"])


def test_a_file_for_both_runtimes_runs_twice(pytester: pytest.Pytester) -> None:
    source = """
import sys

def test_which():
    print("runtime", sys.implementation.name)

async def test_waiting():
    import asyncio
    await asyncio.sleep(0)
    print("waited in", sys.implementation.name)
"""
    result = _run(pytester, "test_sample_both.py", source)
    result.assert_outcomes(passed=4)
    for runtime in ("micropython", "cpython"):
        result.stdout.fnmatch_lines([f"runtime {runtime}"])
        result.stdout.fnmatch_lines([f"waited in {runtime}"])


def test_a_coroutine_can_fail_in_both_runtimes(pytester: pytest.Pytester) -> None:
    source = "async def test_it():\n    assert 1 == 2\n"
    _run(pytester, "test_sample_both.py", source).assert_outcomes(failed=2)


def test_what_an_earlier_coroutine_left_behind_does_not_go_on(pytester: pytest.Pytester) -> None:
    source = """
import asyncio

seen = []

async def test_leaves_a_task():
    async def later():
        await asyncio.sleep_ms(5)
        seen.append(1)
    asyncio.create_task(later())

async def test_is_not_disturbed():
    await asyncio.sleep_ms(50)
    assert not seen
"""
    _run(pytester, "test_sample_mp.py", source).assert_outcomes(passed=2)


def test_an_error_at_import_fails_each_test_with_its_traceback(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "test_sample_mp.py", "import nowhere\n\ndef test_it():\n    pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ImportError: no module named 'nowhere'"])


def test_parameters_are_refused_when_collecting(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "test_sample_mp.py", "def test_it(tmp_path):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it runs in MicroPython*no parameters*"])


def test_one_item_can_be_chosen_by_name(pytester: pytest.Pytester) -> None:
    source = "def test_a():\n    pass\n\ndef test_b():\n    raise ValueError\n"
    _run(pytester, "test_sample_mp.py", source, "test_sample_mp.py::test_a").assert_outcomes(
        passed=1
    )


def test_tests_find_the_project_the_folders_and_each_other(pytester: pytest.Pytester) -> None:
    (pytester.path / "neighbour.py").write_text("VALUE = 7\n")
    source = """
import os
import neighbour
import protocol
from tools.mp_support import scratch_folder

def test_it():
    assert neighbour.VALUE == 7
    assert os.getenv("TARE_SHARED")
    first, second = scratch_folder(), scratch_folder()
    assert first != second
    assert os.listdir(first) == []
"""
    _run(pytester, "test_sample_mp.py", source).assert_outcomes(passed=1)


def test_works_on_several_workers(pytester: pytest.Pytester) -> None:
    source = "".join(f"def test_{number}():\n    assert {number} != 3\n" for number in range(6))
    result = _run(pytester, "test_sample_mp.py", source, "-n2")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_sample_mp.py::test_3 - AssertionError:*"])
