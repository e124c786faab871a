"""The help page of a verb, read off its configuration as text: no torch, no hydra."""

import re
from collections.abc import Sequence

from ..resources import resource_folder

GROUP = re.compile(r"^\s*- (?P<group>[\w-]+)@(?P<key>\w+): (?P<choice>[\w-]+)$")


def groups(verb: str) -> dict[str, tuple[str, str]]:
    """The choices of a verb: {key: (folder of the leaves in configs/, default leaf)}."""
    lines = (resource_folder("configs") / f"{verb}.yaml").read_text(encoding="utf-8").splitlines()
    found = (GROUP.match(line) for line in lines)
    return {m["key"]: (m["group"], m["choice"]) for m in found if m}


def leaves(group: str) -> list[str]:
    """Names of the leaves of a group of configs/."""
    return sorted(path.stem for path in (resource_folder("configs") / group).glob("*.yaml"))


def usage(verb: str, summary: str, words: Sequence[str] = ()) -> str:
    """Help text of a verb: its settings with their defaults and comments.

    Arguments:
        verb: name of the verb, and of its file in configs/.
        summary: what it does, in one line.
        words: given with the verb; choices among them ("data=darcy") show the settings of that leaf.
    """
    given = dict(word.split("=", 1) for word in words if "=" in word)
    text = (resource_folder("configs") / f"{verb}.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("defaults:\n")
    settings = [line for line in body.splitlines() if not line.startswith("  - ")] if body else head.splitlines()
    lines = [f"usage: sciml-diffusion {verb} [key=value ...] [--debug]", "", summary, ""]
    lines += head.strip().splitlines() if body else []
    lines += [re.sub(r"^(\w+): \?\?\?", r"\1:      (needed)", line) for line in settings]
    for key, (group, usual) in groups(verb).items():
        choice = given[key] if given.get(key) in leaves(group) else usual
        lines += ["", f"{key}: {choice}      # one of {', '.join(leaves(group))}"]
        lines += _flat((resource_folder("configs") / group / f"{choice}.yaml").read_text(encoding="utf-8"), key)
    return "\n".join(lines).strip()


def _flat(text: str, prefix: str) -> list[str]:
    """The settings of a leaf with their dotted names, values and comments."""
    lines, path = [], [prefix]
    for line in text.splitlines():
        found = re.match(r"^( *)([a-z]\w*):(.*)$", line)
        if found:
            path = path[: 1 + len(found[1]) // 2] + [found[2]]
            if found[3].partition("#")[0].strip():
                lines.append(f"{'.'.join(path)}:{found[3]}")
    return lines
