"""The console command: `sciml-diffusion VERB key=value ...`. Help is printed without importing torch or hydra."""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "demo": "posteriors on real data and on Burgers' equation, beside optimal interpolation, with a report page",
    "generate": "simulate trajectories of an equation",
    "train": "train a prior on a shipped dataset or on your own files",
    "sample": "draw fields from a prior",
    "posterior": "reconstruct fields from sensors, as an ensemble",
    "evaluate": "score a posterior against fields or held-out sensors",
    "info": "describe a dataset, a file, a prior or a run folder",
}
USER_ERRORS = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError, RuntimeError)
NO_MEMORY = re.compile("can't allocate memory|out of memory|unable to allocate", re.IGNORECASE)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit code: 0, 2 for an error of the user's, 130 after Ctrl-C.

    Arguments:
        argv: words after the command's name; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        from .. import __version__

        print(__version__)
        return 0
    try:
        return run(words[0], words[1:])
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has left
        return 0
    except USER_ERRORS as error:
        if debug:
            raise
        print(f"sciml-diffusion {words[0]}: {_said(error)}\n(--debug shows where it happened)", file=sys.stderr)
        return 2


def run(verb: str, words: Sequence[str]) -> int:
    """Runs `verb` with its overrides, or prints its help; returns the exit code.

    Raises:
        ValueError: an unknown verb or option.
    """
    if verb not in VERBS:
        from difflib import get_close_matches

        near = get_close_matches(verb, VERBS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(VERBS)}."
        raise ValueError(f"unknown verb {verb!r}; {hint}")
    if "-h" in words or "--help" in words:
        from .usage import usage

        print(usage(verb, VERBS[verb], words))
        return 0
    for word in words:
        if word.startswith("-"):
            raise ValueError(f"unknown option {word!r}; settings are written key=value, options are --help and --debug")
    import warnings

    warnings.showwarning = _show_warning
    return import_module(f".{verb}", __package__).run(words)


def overview() -> str:
    """The help text of the command: every verb in one line."""
    rows = "\n".join(f"  {verb:10}{text}" for verb, text in VERBS.items())
    return (
        f"usage: sciml-diffusion VERB [key=value ...] [--debug]\n\n{rows}\n\n"
        "`sciml-diffusion VERB --help` lists the settings of a verb. `--version` prints the version."
    )


def _said(error: Exception) -> str:
    """What an error says, with what to do where memory is short; its kind where it says nothing."""
    text = str(error) or type(error).__name__
    own = isinstance(error, RuntimeError) and "worker" in text  # says itself what to do
    if not own and (isinstance(error, MemoryError) or NO_MEMORY.search(text)):
        first = text.splitlines()[0][:200]
        return f"not enough memory ({first}); ask for fewer points, frames, samples or workers"
    odd = isinstance(error, (OverflowError, ZeroDivisionError))
    return f"a number is too large or too small ({text}); check the settings" if odd else text


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Warnings of this program in words; those of others with where they come from."""
    where = "" if category is UserWarning else f" ({category.__name__}, {filename}:{lineno})"
    print(f"warning: {message}{where}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
