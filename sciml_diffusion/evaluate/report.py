"""One page for people: tables of scores and pictures in a single HTML file that needs nothing beside it."""

import base64
import html
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; } caption { text-align: left; color: #555; padding-bottom: .3rem; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #888; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #555; }
.wide { overflow-x: auto; }
"""


@dataclass
class Section:
    """One part of a report.

    Arguments:
        heading: its title.
        text: paragraphs, separated by empty lines.
        table: {row: {column: value}}; a column that a row lacks stays empty, lists are left out.
        caption: words above the table.
        pictures: {caption: a Figure, or the path of a PNG}, or a list without captions; paths may be relative to the
            report's folder.
    """

    heading: str
    text: str = ""
    table: dict[str, dict[str, Any]] = field(default_factory=dict)
    caption: str = ""
    pictures: "dict[str, Figure | str | Path] | list[Figure | str | Path]" = field(default_factory=dict)


def write_report(folder: "str | Path", title: str, sections: list[Section | dict]) -> Path:
    """Writes report.html, with every picture inside it, to a folder that it makes if need be: whole or not at all.

    Arguments:
        folder: where report.html goes.
        title: of the page.
        sections: Section objects, or dictionaries of their arguments.

    Returns:
        The path of report.html.

    Raises:
        FileNotFoundError: a picture is missing. TypeError: something that is no Section or no picture.
    """
    folder, body = Path(folder), [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        section = Section(**section) if isinstance(section, dict) else section
        if not isinstance(section, Section):
            raise TypeError(f"a report is made of Section objects; got {type(section).__name__}")
        body.append(f"<h2>{html.escape(section.heading)}</h2>")
        body += [f"<p>{html.escape(part.strip())}</p>" for part in section.text.split("\n\n") if part.strip()]
        if section.table:
            body.append(_table(section.table, section.caption))
        pictures = section.pictures
        pairs = pictures.items() if isinstance(pictures, dict) else [("", picture) for picture in pictures]
        body += [_picture(caption, picture, folder) for caption, picture in pairs]
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "report.html.partial"
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, folder / "report.html")
    return folder / "report.html"


def number(value) -> str:
    """A value for a table: four significant digits, whole numbers in full."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: dict[str, dict[str, Any]], caption: str) -> str:
    rows = {name: {k: v for k, v in row.items() if not isinstance(v, list | dict)} for name, row in rows.items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = "".join(f"<th>{html.escape(c)}</th>" for c in ("", *columns))
    lines = [
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(f"<td>{html.escape(number(row[c])) if c in row else ''}</td>" for c in columns)
        + "</tr>"
        for name, row in rows.items()
    ]
    words = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="wide"><table>{words}{body}</table></div>'


def _picture(caption: str, picture, folder: Path) -> str:
    if isinstance(picture, str | Path):
        path = next((p for p in (folder / picture, Path(picture)) if p.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"the picture {picture} is not there, nor in {folder}; save it before the report")
        data, caption = path.read_bytes(), caption or path.stem.replace("_", " ")
    elif hasattr(picture, "savefig"):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=DPI)
        data = buffer.getvalue()
    else:
        raise TypeError(f"a picture is a Figure or the path of a PNG; got {type(picture).__name__}")
    words, code = html.escape(caption), base64.b64encode(data).decode()
    return f'<figure><img alt="{words}" src="data:image/png;base64,{code}"><figcaption>{words}</figcaption></figure>'
