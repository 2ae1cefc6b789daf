"""The project's environment: what makes it anew, what does not, and what children inherit."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools import environment, system_packages
from tools.errors import SetupError

_ROOT = environment.ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A project with empty lock files, and a record of what pip was asked for."""
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "stubs.lock").touch()
    (tmp_path / "pyproject.toml").write_text((_ROOT / "pyproject.toml").read_text())
    venv = tmp_path / ".venv"
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "ENVIRONMENT", venv)
    monkeypatch.setattr(environment, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(environment, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(environment, "STUBS_LOCK", tmp_path / "stubs.lock")
    monkeypatch.setattr(environment, "STUBS", venv / "stubs")
    monkeypatch.setattr(environment, "_STAMP", venv / "tare-stamp.json")
    asked: list[str] = []

    def pip(arguments: list[str], _report: object, *, of: int = 0) -> None:
        del of
        asked.append(" ".join(arguments[:1] + arguments[-2:]))

    def run(command: list[str]) -> None:
        asked.append("venv")
        python = Path(command[-1]) / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()

    monkeypatch.setattr(environment, "_pip", pip)
    monkeypatch.setattr(environment, "_run", run)
    return SimpleNamespace(root=tmp_path, venv=venv, asked=asked)


def test_a_second_run_does_nothing(project: SimpleNamespace) -> None:
    environment.ensure()
    assert project.asked[0] == "venv"
    project.asked.clear()
    environment.ensure()
    assert project.asked == []


def test_a_half_made_environment_is_made_again(project: SimpleNamespace) -> None:
    (project.venv / "bin").mkdir(parents=True)
    (project.venv / "bin" / "python").touch()
    (project.venv / "half").touch()
    environment.ensure()
    assert not (project.venv / "half").exists()
    assert project.asked[0] == "venv"


@pytest.mark.parametrize("stamp", ["", "[]", "{", '{"base": "x"}', '{"base": 1, "project": 2}'])
def test_a_damaged_stamp_counts_as_half_made(project: SimpleNamespace, stamp: str) -> None:
    environment.ensure()
    (project.venv / "tare-stamp.json").write_text(stamp)
    project.asked.clear()
    environment.ensure()
    assert project.asked[0] == "venv"


@pytest.mark.parametrize("lock", ["requirements.lock", "stubs.lock"])
def test_another_lock_file_makes_it_again(project: SimpleNamespace, lock: str) -> None:
    environment.ensure()
    project.asked.clear()
    (project.root / lock).write_text("# other\n")
    environment.ensure()
    assert project.asked[0] == "venv"


def test_another_command_name_only_installs_the_project_again(project: SimpleNamespace) -> None:
    environment.ensure()
    project.asked.clear()
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace('\ntare = "cloud', '\nother = "cloud'))
    environment.ensure()
    assert project.asked == [f"install -e {project.root}"]


def test_other_lint_settings_change_nothing(project: SimpleNamespace) -> None:
    environment.ensure()
    project.asked.clear()
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace("line-length = 100", "line-length = 99"))
    environment.ensure()
    assert project.asked == []


def test_without_venv_module_root_installs_it(
    project: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ["ensurepip"]
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name)
    )

    def install(packages: list[str], *, why: str) -> None:
        assert why
        project.asked.extend(packages)
        missing.clear()

    monkeypatch.setattr(system_packages, "install", install)
    environment.ensure()
    assert project.asked[0].endswith("-venv")
    assert project.asked[1] == "venv"


def test_without_venv_module_a_plain_user_gets_the_line_to_run(
    project: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name)
    )
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(
        SetupError, match=r"apt-get update && apt-get install -y .*-venv"
    ) as failure:
        environment.ensure()
    assert failure.value.exit_code == 2
    assert not project.venv.exists()


def test_children_get_the_first_existing_certificate_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert "PIP_CERT" not in environment.child_environment()
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    variables = environment.child_environment()
    assert variables["SSL_CERT_FILE"] == variables["PIP_CERT"] == str(bundle)


def test_children_get_nothing_that_would_install_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = environment.child_environment()
    assert "PIP_TARGET" not in variables
    assert "PYTHONPATH" not in variables


def test_lock_files_have_hashes_and_no_address() -> None:
    for lock in (environment.LOCK, environment.STUBS_LOCK):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "#" not in text


def test_the_stamp_is_the_last_thing_written(project: SimpleNamespace) -> None:
    environment.ensure()
    stamp = json.loads((project.venv / "tare-stamp.json").read_text())
    assert stamp.keys() == {"base", "project"}


def test_an_old_python_is_told_what_to_do() -> None:
    """dev.py must be readable by, and speak to, a Python before 3.11."""
    code = (
        "import runpy, sys\n"
        "sys.version_info = (3, 9, 2)\n"
        f"sys.argv = ['tools/dev.py', 'demo']\n"
        f"runpy.run_path({str(_ROOT / 'tools' / 'dev.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs Python 3.11 or newer, and this is 3.9.2" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environments_own_python_finds_it_up_to_date() -> None:
    """Started from inside or outside .venv, the same environment must count as the same."""
    code = "from tools import environment; print(environment._wanted_stamp())"
    outside = sys._base_executable  # type: ignore[attr-defined]  # typeshed leaves it out
    stamps = {
        subprocess.run(
            [python, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True
        ).stdout
        for python in (str(environment.PYTHON), outside)
    }
    assert len(stamps) == 1
