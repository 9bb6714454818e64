"""What is installed is what stands in the checkout: the wheel holds its data and works from any folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.folders import ROOT, TESTS

from erranalytics.classification import rulebook

pytestmark = pytest.mark.slow

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOWEST = TESTS / "compat" / "lowest.txt"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without isolation so that nothing is downloaded."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel; the libraries are those of the running one, seen through a path file."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Plain paths only: an editable install of the running environment must not be seen.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return venv / "bin" / "python"


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One call of the installed program, from a folder that is no checkout."""
    command = [str(python), "-I", "-m", "erranalytics", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)


def test_the_wheel_holds_its_data(wheel: Path) -> None:
    """Rules, formats, reports, migrations, derivations, pages, the taxonomy and the mark for type checkers."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = [
        path
        for path in (ROOT / "erranalytics").rglob("*")
        if path.suffix in {".py", ".toml", ".sql", ".csv", ".txt", ".html", ".css", ".js"}
    ]
    wanted = {str(path.relative_to(ROOT)) for path in data}
    wanted |= {f"erranalytics/queries/{path.name}" for path in (ROOT / "queries").glob("*.sql")}
    assert wanted | {"erranalytics/py.typed"} <= names
    assert not any(name.startswith(("tests", "scripts", "queries", "sample_logs")) for name in names)


def test_the_wheel_brings_the_forms_of_its_data(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """An installed program reads its rules, formats and reports at once, though it may write nothing."""
    with zipfile.ZipFile(wheel) as archive:
        forms = [name for name in archive.namelist() if name.startswith("erranalytics/__prepared__/")]
    assert {Path(name).stem for name in forms} == {"formats", "mappings", "reports", "rulebook", "tables"}
    assert len(forms) == 5
    code = (
        "import sys; from erranalytics import datafiles; from erranalytics.calls import mapping\n"
        "from erranalytics.classification import rulebook; from erranalytics.parsing import lineformats\n"
        "from erranalytics.reports import catalogue\n"
        "datafiles._write = lambda *_: sys.exit('a form is made')\n"
        "rulebook.load(), lineformats.load(), mapping.load(), catalogue.catalogue(), datafiles.table('facts')\n"
        "print({'pydantic', 'tomllib'} & set(sys.modules), rulebook.load().hash)"
    )
    out = subprocess.run([str(installed), "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert out.stdout == f"set() {rulebook.load().hash}\n"


def test_the_installed_program_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    code = "import erranalytics, erranalytics.reports.catalogue as c; print(erranalytics.__file__, c.folder())"
    out = subprocess.run([str(installed), "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(ROOT) not in out.stdout


def test_the_installed_program_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    """Ingest, report, explain and the proof of the rules, without the checkout."""
    log = ROOT / "sample_logs" / "server" / "oom-0.24.0.log"
    told = run(installed, "ingest", str(log), "--db", "s.duckdb", cwd=tmp_path).stderr
    assert "710 lines" in told.replace(",", "")
    assert "MEM013" in run(installed, "report", "error-frequency", "--db", "s.duckdb", cwd=tmp_path).stdout
    assert "What to do" in run(installed, "explain", "MEM013", cwd=tmp_path).stdout
    assert "prove" in run(installed, "rules", "check", cwd=tmp_path).stderr


def test_the_console_script_is_declared(wheel: Path) -> None:
    """`erranalytics` is a command after the installation."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "erranalytics = erranalytics.cli.main:main" in archive.read(name).decode()


def test_lower_bounds_are_the_versions_that_are_tested() -> None:
    """``make compat`` runs the tests with exactly the lowest versions the package accepts."""
    pinned = dict(line.split("==") for line in LOWEST.read_text(encoding="utf-8").splitlines() if "==" in line)
    required = [text.split(";")[0] for text in PYPROJECT["project"]["dependencies"] if "sys_platform" not in text]
    lowest = dict(text.split(",")[0].split(">=") for text in required)
    assert {name: _padded(version) for name, version in lowest.items()} == pinned


def test_every_dependency_is_bounded_above_and_justified() -> None:
    """A new major version is tried before it is allowed; each library has its line in docs/ARCHITECTURE.md."""
    reasons = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for text in PYPROJECT["project"]["dependencies"]:
        name = text.split(">=")[0]
        assert f"- **{name}**" in reasons
        assert ",<" in text or name == "tzdata"


def test_the_readme_states_the_supported_versions() -> None:
    """The table in README.md is that of pyproject.toml."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for text in PYPROJECT["project"]["dependencies"]:
        if ";" not in text:
            name, bounds = text.split(">=")
            low, high = bounds.split(",<")
            assert f"| {name} | {low} | below {high} |" in readme


def _padded(version: str) -> str:
    return version + ".0" * (2 - version.count("."))
