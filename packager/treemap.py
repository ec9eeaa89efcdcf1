"""An inspection as one page for a browser: a map of sizes, and tables that say the same.

The page asks nobody for anything. Names come from archives of anyone's, so they are escaped.
"""

import html
import importlib.resources
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from packager.errors import ConfigError
from packager.inspection import FileSize, Inspection, Package, megabytes, share
from packager.output import new_file, require_writable

SMALLEST_SHARE: Final = 0.002
"""Of its directory; what is smaller is one tile together, for nobody could see it alone."""

MAIN_SHARE: Final = 0.8
OTHERS: Final = "(smaller ones)"

Node = list[Any]
"""Name, bytes, files, children: what the page's script reads."""


def page(inspection: Inspection) -> str:
    """The same for the same inspection, to the byte."""
    source = importlib.resources.files("packager") / "data" / "treemap.html"
    whole = inspection.unpacked
    return Template(source.read_text(encoding="utf-8")).substitute(
        title=html.escape(inspection.subject),
        totals="".join(
            f"<div><dt>{name}</dt><dd>{value}</dd></div>"
            for name, value in (
                ("archives", megabytes(inspection.size)),
                ("unpacked", megabytes(whole)),
                ("files", f"{inspection.files:,}"),
                ("packages", f"{len(inspection.packages):,}"),
            )
        ),
        layers=_table(
            ("layer", "file", "*archive", "*unpacked", "*files"),
            (
                (x.kind, x.file, megabytes(x.size), megabytes(x.unpacked), f"{x.files:,}")
                for x in inspection.layers
            ),
        ),
        packages=_table(
            ("package", "version", "layer", "", "*unpacked", "*share", "*files", "#"),
            (
                (
                    p.name,
                    p.version,
                    p.layer,
                    "compiled" if p.compiled else "pure",
                    megabytes(p.unpacked),
                    share(p.unpacked, whole),
                    f"{p.files:,}",
                    f"{p.unpacked / max(inspection.packages[0].unpacked, 1):.2%}",
                )
                for p in inspection.packages
            ),
        ),
        files=_table(
            ("file", "package", "*unpacked"),
            ((f.path, p.name, megabytes(f.size)) for f, p in inspection.largest),
        ),
        data=_script_data(_tree(inspection)),
    )


def write_page(inspection: Inspection, path: Path) -> None:
    """Raise `ConfigError` if there is no place for it."""
    require_writable(path.parent)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", fix="name a file: --html inspection.html")
    with new_file(path.parent) as (file, settle):
        file.write(page(inspection).encode())
        settle(path)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`*` in front of a heading is for numbers, and `#` for bars."""
    kinds = ['class="n"' if h.startswith("*") else "" for h in head]
    heads = "".join(
        f'<th scope="col" {kind}>{html.escape(name.strip("*#"))}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    lines = []
    for row in rows:
        cells = []
        for name, kind, text in zip(head, kinds, row, strict=True):
            if name == "#":
                cells.append(f'<td class="bar"><i style="width:{text}"></i></td>')
            elif name == "file":
                cells.append(f'<td class="path">{html.escape(text)}</td>')
            else:
                cells.append(f"<td {kind}>{html.escape(text)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>\n")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{''.join(lines)}</tbody></table>"


def _script_data(node: Node) -> str:
    """JSON that can not end the element it stands in, nor begin another."""
    text = json.dumps(node, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _tree(inspection: Inspection) -> Node:
    packages = [_package(package) for package in inspection.packages]
    return ["all packages", inspection.unpacked, inspection.files, packages]


def _package(package: Package) -> Node:
    nodes = _children(package.content, 0)
    # Below `lib/python3.11/site-packages` a package is one directory and its metadata: what is
    # in that says more than one tile for all of it.
    while nodes and nodes[0][3] and nodes[0][1] > package.unpacked * MAIN_SHARE:
        main, *others = nodes
        nodes = sorted([*main[3], *others], key=_order)
    name = f"{package.name} {package.version}".rstrip()
    return [name, package.unpacked, package.files, nodes]


def _order(node: Node) -> tuple[int, str]:
    return -node[1], node[0]


def _children(files: Sequence[FileSize], depth: int) -> list[Node]:
    groups: dict[str, list[FileSize]] = {}
    for file in files:
        name, slash, _ = "/".join(file.path.split("/")[depth:]).partition("/")
        groups.setdefault(name + slash, []).append(file)
    whole = sum(file.size for file in files)
    nodes: list[Node] = []
    small_bytes = small_files = 0
    for name, inside in groups.items():
        size = sum(file.size for file in inside)
        if size < whole * SMALLEST_SHARE:
            small_bytes, small_files = small_bytes + size, small_files + len(inside)
        else:
            below = _children(inside, depth + 1) if name.endswith("/") else []
            nodes.append([name, size, len(inside), below])
    if small_files:
        nodes.append([OTHERS, small_bytes, small_files, []])
    return sorted(nodes, key=_order)
