"""The console command. Truths used: what each wrong word must be answered with, and a budget of 0.5 s for help."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sciml_diffusion.cli import main as command
from sciml_diffusion.cli.compose import compose, parsed
from sciml_diffusion.cli.usage import groups, leaves

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs the command in an empty folder: words -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        code = command.main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def seconds(*words: str) -> float:
    """Least wall time of three new interpreters; the least, since others may be at work on the machine."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=ROOT)
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.mark.parametrize("words", [["--help"], ["posterior", "--help"], ["--version"]])
def test_help_takes_half_a_second(words):
    """What the interpreter itself takes to start is not ours and is subtracted."""
    assert seconds("-m", "sciml_diffusion.cli.main", *words) - seconds("-c", "pass") < 0.5


def test_help_imports_neither_torch_nor_hydra():
    code = "import sys; from sciml_diffusion.cli.main import main\n"
    code += "for words in [], ['posterior', '--help'], ['train', '-h']: assert main(words) == 0\n"
    code += "print({'torch', 'hydra', 'omegaconf', 'numpy', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_settings_help_and_a_thin_file(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert command.VERBS[verb] in out
    for key, (group, choice) in groups(verb).items():
        assert f"{key}: {choice}" in out
        assert choice in leaves(group)
    assert (ROOT / "configs" / f"{verb}.yaml").is_file()
    assert len((ROOT / "sciml_diffusion" / "cli" / f"{verb}.py").read_text().splitlines()) <= 80


def test_overview_lists_just_the_verbs_that_are_built(run):
    code, out, _ = run()
    assert code == 0
    files = {path.stem for path in (ROOT / "sciml_diffusion" / "cli").glob("*.py")}
    built = files & {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    assert set(command.VERBS) == built
    assert all(verb in out for verb in built)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["posteror"], "did you mean posterior"),
        (["xyz"], "known: demo, generate"),
        (["generate", "--samples=3"], "settings are written key=value"),
        (["generate", "samples"], "settings are written key=value"),
        (["generate", "sample=3"], "did you mean samples"),
        (["generate", "+new=3"], "settings are written key=value"),
        (["generate", "data=burgrs"], "did you mean burgers"),
        (["generate", "data.nuu=0.1"], "did you mean data.nu"),
        (["posterior", "prior=a", "method=mpms"], "did you mean mmps"),
        (["posterior", "prior=a", "method.zeta=1"], "there is no setting 'method.zeta'"),
        (["posterior"], "posterior needs prior=..."),
        (["posterior", "prior=era5-uk-t2m"], "needs obs=<table of sensors>"),
        (["sample", "prior=era5-uk-t2n"], "no prior named 'era5-uk-t2n'"),
        (["evaluate", "run=nowhere", "truth=era5-uk-t2m"], "nowhere holds no posterior.nc"),
        (["info", "era5-uk"], "did you mean 'era5-uk-t2m'"),
        (["generate", "samples=[1"], "samples=[1 cannot be read"),
        (["generate", "samples=2.5"], "samples must be a whole number, for example samples=16; got 2.5"),
        (["posterior", "prior=a", "members=many"], "members must be a whole number"),
        (["posterior", "prior=a", "overwrite=3"], "overwrite must be true or false"),
        (["posterior", "prior=a", "seed=true"], "seed must be a whole number"),
        (["train", "preset=era5-uk-t2m", "steps=many"], "steps must be a number, for example steps="),
        (["posterior", "prior=era5-uk-t2m", "obs=x.csv", "std=small"], "std must be a number"),
        (["sample", "prior=era5-uk-t2m", "members=0"], "members must be at least 1; got 0"),
        (["sample", "prior=era5-uk-t2m", "start=soon"], "start must be a time such as"),
    ],
)
def test_a_wrong_word_is_answered_in_words_and_writes_nothing(run, tmp_path, words, answer):
    code, out, err = run(*words)
    assert code == 2
    assert answer in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(run):
    with pytest.raises(ValueError, match="did you mean posterior"):
        run("posteror", "--debug")


def test_interruption_ends_with_130(run, monkeypatch):
    def interrupted(verb, words):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    code, _, err = run("demo")
    assert code == 130
    assert "interrupted" in err


def test_settings_are_composed():
    config = compose("posterior", ["prior=my prior, (2)/a=b", "method=dps", "method.zeta=0.5", "members=3"])
    assert config.prior == "my prior, (2)/a=b"
    assert config.method._target_ == "sciml_diffusion.inverse.dps.DPS"
    assert (config.method.zeta, config.members, config.obs, config.overwrite) == (0.5, 3, None, False)
    assert compose("sample", ["prior=a", "sampler=heun"]).sampler._target_ == "sciml_diffusion.samplers.ode.Heun"
    assert compose("train", ["preset=burgers", "data=x.nc"]).preset.fields.generator.points == 64


@pytest.mark.parametrize(
    "value", ["it's", "a\\b", "C:\\x y\\'", "a=b,c", "größe [1]", "2019-03-26T00:00", "${seed}", "a: b", "a#b", "*.nc"]
)
def test_a_value_of_any_characters_arrives_as_it_was(value):
    """Paths and dates need no quoting for hydra's grammar; interpolations of a configuration are plain text here."""
    assert compose("info", [f"name={value}"]).name == value


def test_values_have_their_types():
    assert parsed("out", "~/x") == str(Path("~/x").expanduser())
    assert parsed("members", "[1, 2]") == [1, 2]
    assert [parsed("x", v) for v in ("0.5", "1e-3", "8", "true", "null", "8h", "2019-03-26", "")] == [
        0.5, 0.001, 8, True, None, "8h", "2019-03-26", "",
    ]  # fmt: skip


def test_the_readme_shows_commands_and_files_that_exist():
    """Each command line of the README is composed; each room and script that it names is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line.startswith("sciml-diffusion ")]
    assert {words[1] for words in lines} == set(command.VERBS)
    for _, verb, *words in lines:
        compose(verb, [word if "=" in word else f"name={word}" for word in words])
    rooms = re.findall(r"`([\w/]+(?:/|\.py))`", text)
    assert len(rooms) > 15
    for room in rooms:
        assert (ROOT / room).exists() or (ROOT / "sciml_diffusion" / room).exists(), room


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MemoryError(), "not enough memory (MemoryError); ask for fewer points"),
        (RuntimeError("[enforce fail] can't allocate memory: you tried\nframe 0"), "not enough memory ([enforce fail]"),
        (RuntimeError("a worker process ended (out of memory?); use fewer workers"), "use fewer workers"),
        (RuntimeError("sample 3 does not reach the tolerance"), "generate: sample 3 does not reach the tolerance"),
        (OverflowError("int too large"), "a number is too large or too small (int too large)"),
    ],
)
def test_errors_of_the_machine_are_plain_lines(run, monkeypatch, error, answer):
    def fails(verb, words):
        raise error

    monkeypatch.setattr(command, "run", fails)
    code, _, err = run("generate", "data=burgers")
    assert code == 2 and answer in err and "Traceback" not in err and "frame 0" not in err
