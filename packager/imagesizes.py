"""What takes how much room in an image: by layer, by package, and the largest files. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from packager.images import ImageFacts
from packager.inspection import megabytes, printable, table
from packager.releases import limits

GB: Final = 10**9
MOST: Final = 10
"""How many packages and files are shown."""
LONGEST: Final = 72
"""Of what made a layer, in a line."""
_SITES: Final = re.compile(r"(?:^|.*/)(?:site|dist)-packages/(?=[^/])")
_ENDINGS: Final = re.compile(r"(-[^-]*\.(dist|egg)-info|\.libs|\.data|\.py|\.pyc|\.pth|\..*\.so)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    made_by: str
    """As the image's history tells; empty where it tells nothing."""
    of_base: bool
    transferred: int
    """Bytes, compressed if it is."""
    unpacked: int
    """Bytes of its files."""
    hidden: int
    """Bytes of these that later layers have removed or written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    name: str
    size: int
    """Bytes, unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSizes:
    name: str
    platform: str
    base: str
    """Its base's name; empty where it is not known what it was made from."""
    transferred: int
    unpacked: int
    layers: tuple[LayerSize, ...]
    packages: tuple[Weight, ...]
    """Of Python, by the names in `site-packages`, largest first; the base's are left out."""
    files: tuple[Weight, ...]
    """Others, largest first; the base's are left out."""


def sizes_of(facts: ImageFacts) -> ImageSizes:
    """Of an image that was looked into, or of its layers only."""
    known = facts.base if facts.base is not None and facts.base.is_below else None
    visible = {(node.layer, node.source) for node in facts.tree.nodes.values()}
    layers = []
    for number, (made_by, size) in enumerate(zip(_made_by(facts), facts.layer_sizes, strict=True)):
        entries = facts.layers[number].entries if facts.read else {}
        files = {path: entry.size for path, entry in entries.items() if entry.kind == "file"}
        hidden = sum(size for path, size in files.items() if (number, path) not in visible)
        layers.append(
            LayerSize(
                made_by=made_by,
                of_base=number < facts.own,
                transferred=size,
                unpacked=sum(files.values()),
                hidden=hidden,
            )
        )
    packages, others = _weights(facts)
    return ImageSizes(
        name=facts.name,
        platform=facts.config.platform,
        base=known.name if known else "",
        transferred=facts.size,
        unpacked=facts.unpacked,
        layers=tuple(layers),
        packages=_largest(packages),
        files=_largest(others),
    )


def _made_by(facts: ImageFacts) -> Iterator[str]:
    """The history's words for each layer; a history that does not fit tells nothing."""
    steps = [step.created_by for step in facts.config.history if not step.empty]
    fits = len(steps) == len(facts.layer_sizes)
    return iter(map(_plain, steps) if fits else [""] * len(facts.layer_sizes))


def _plain(step: str) -> str:
    words = " ".join(step.split())
    return re.sub(r"^(RUN )?/bin/sh -c (#\(nop\) +)?|# buildkit$", r"\1", words).strip()


def _weights(facts: ImageFacts) -> tuple[Mapping[str, int], Mapping[str, int]]:
    packages: dict[str, int] = defaultdict(int)
    others: dict[str, int] = {}
    seen: set[tuple[int, str]] = set()
    for path, node in sorted(facts.tree.nodes.items()):
        content = (node.layer, node.source)
        if node.layer < facts.own or node.entry.kind != "file" or content in seen:
            continue
        seen.add(content)  # of hard links the first counts
        site = _SITES.match(path)
        if site is None:
            others[f"/{path}"] = node.entry.size
            continue
        name = path[site.end() :].partition("/")[0]
        packages[f"{_ENDINGS.sub('', name).lower().replace('-', '_')} in /{site[0]}"] += (
            node.entry.size
        )
    return packages, others


def _largest(sizes: Mapping[str, int]) -> tuple[Weight, ...]:
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Weight(name=name, size=size) for name, size in ordered[:MOST] if size)


def sizes_json(sizes: ImageSizes) -> dict[str, Any]:
    return {**asdict(sizes), "limit": limits().image_gb * GB}


def sizes_text(sizes: ImageSizes) -> str:
    limit = limits().image_gb
    part = max(sizes.transferred, sizes.unpacked) / limit / GB
    head = f"{printable(sizes.name)} for {sizes.platform}"
    total = f"{megabytes(sizes.transferred)} transferred, {megabytes(sizes.unpacked)} unpacked"
    parts = [
        f"{head}\n{total}: {part:.0%} of the {limit} GB that images may have",
        _layers(sizes),
    ]
    for title, weights in (("packages", sizes.packages), ("other files", sizes.files)):
        if weights:
            lines = [f"{megabytes(one.size):>11}  {printable(one.name)}" for one in weights]
            parts.append("\n".join((f"largest {title}, unpacked", *lines)))
    return "\n\n".join(parts)


def _layers(sizes: ImageSizes) -> str:
    rows = []
    base = [layer for layer in sizes.layers if layer.of_base]
    if base:
        count = f"{len(base)} layers" if len(base) > 1 else "one layer"
        rows.append((*_sums(base), f"the base's {count}: {printable(sizes.base)}"))
    rows += [
        (*_sums([layer]), _short(layer.made_by)) for layer in sizes.layers if not layer.of_base
    ]
    return table(("transferred", "unpacked", "hidden", "layer"), ">>><", rows)


def _sums(layers: Sequence[LayerSize]) -> tuple[str, str, str]:
    def total(sizes: Iterable[int]) -> str:
        size = sum(sizes)
        return megabytes(size) if size else "-"

    return (
        total(layer.transferred for layer in layers),
        total(layer.unpacked for layer in layers),
        total(layer.hidden for layer in layers),
    )


def _short(made_by: str) -> str:
    text = printable(made_by) or "(its history does not tell)"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
