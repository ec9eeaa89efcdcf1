"""Ways to spoil what a reader reads: its bytes, its lines, the values in it, the fields of a zip."""

import copy
import json
import math
import random
import re
import struct
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

DEEP: Final = 20_000
"""Levels of nesting that no parser's recursion survives."""

RAW: Final = {
    "@deep list@": "[" * DEEP + "]" * DEEP,
    "@deep table@": '{"a":' * DEEP + "1" + "}" * DEEP,
    "@deep toml@": "{a=" * DEEP + "1" + "}" * DEEP,
    "@some levels@": "[" * 120 + "]" * 120,
    "@huge@": "9" * 5000,
    "@huge float@": "1e999999",
    "@surrogate@": '"a\\ud800b"',
    "@not a number@": "nan",
    "@quote@": '"',
}
"""What no value in memory can stand for, by the text that is replaced with it."""

VALUES: Final[tuple[Any, ...]] = (
    *RAW,
    None,
    True,
    False,
    0,
    -1,
    1 << 63,
    1.5,
    math.inf,
    date(1970, 1, 1),
    "",
    " ",
    "\0",
    "a\0b",
    "a\nb",
    "\u202eé\x1b[31m",
    "x" * 70_000,
    ".",
    "..",
    "../../nowhere",
    "a/b",
    "C:\\x",
    "-x",
    "http://[",
    "http://[::1/x.whl",
    "http://user:pass@host:99999/fruit-1.0-py3-none-any.whl",
    "https://h/%00-1.0-py3-none-any.whl",
    "file://host/nowhere/fruit-1.0-py3-none-any.whl",
    "ssh://-oProxyCommand=x/y",
    "git+https://h/x",
    "fruit-1.0-py3-none-any.whl",
    "fruit-1!1.0+a.b-py3-none-any.whl",
    "fruit-1.0-1_x-py3-none-any.whl",
    "1.0.dev0+local",
    "1!0",
    "==",
    ">=3,<1",
    "not a version",
    "python_version < '3' or (",
    "extra == 'x' and sys_platform in 'x'",
    "os_name > 1",
    "sha256:" + "0" * 64,
    "md5:0",
    "0" * 40,
    "{a}",
    "%s %(x)s",
    [],
    {},
    [[]],
    [{}],
    [None],
    [0, "a"],
    {"": ""},
    {"a": {"b": ["c"]}},
    {"url": 1, "hashes": []},
)

BYTES: Final = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",  # a surrogate, as UTF-8 must not have it
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b'"',
    b"'''",
    b"[[",
    b"]",
    b"{",
    b"\\",
    b"=",
    b"#",
    b"9" * 5000,
    b"\xf0\x9f\x8d\x8e",
)

LINES: Final = (
    "-r nowhere.txt",
    "-r .",
    "-r requirements.txt",
    "-c ''",
    "-r a\0b",
    "-r " + "x" * 5000,
    "--hash=sha256:zz",
    "fruit==1.0 --hash=md5:00",
    "fruit @ http://[",
    "-e ../../..",
    "--index-url http://[",
    "--extra-index-url=http://user:pass@host:x/simple",
    "-i",
    "\\",
    "fruit ; python_version <",
    "Name: \0",
    "Version: x y",
    "Requires-Dist: fruit[; (",
    "Requires-Python: >=3,",
    "Tag: a-b",
    "Wheel-Version: 9.9",
    "Wheel-Version: x",
    "Root-Is-Purelib: maybe",
    "[console_scripts]",
    "x = y:z:q",
    "%(a)s = a:b",
    "../x,sha256=,1",
    '"a',
    ",,,,,",
)

NAMES: Final = (
    "../evil",
    "/evil",
    "a/../../evil",
    "C:/evil",
    "a\\b",
    "a\0b",
    "",
    ".",
    "..",
    "a//b",
    "a/",
    "x" * 300,
    "/".join("x" * 200),
    "é\u202e",
    "fruit-1.0.data/scripts/x",
    "fruit-1.0.data/nothing/x",
    "fruit-1.0.data/x",
    "fruit-1.0.dist-info",
    "fruit-1.0.dist-info/METADATA",
    "other-1.0.dist-info/METADATA",
    "bin/python",
    "con.py",
)


def spoiled(rng: random.Random, data: bytes, form: str) -> bytes:
    """One spoiled version of `data`, which is of the `form` toml, json, lines or bytes."""
    kinds = ["bytes"] if form == "bytes" else ["bytes", "lines", form, form, form]
    kind = rng.choice(kinds)
    if kind == "lines":
        return by_lines(rng, data)
    if kind in {"toml", "json"}:
        return by_values(rng, data, kind)
    return by_bytes(rng, data)


def by_bytes(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        a = rng.randrange(len(data) + 1)
        b = min(len(data), a + rng.choice((0, 1, 1, 4, 40, 400)))
        match rng.randrange(7):
            case 0:
                data = data[:a]
            case 1:
                data = data[:a] + data[b:]
            case 2:
                data = data[:a] + rng.choice(BYTES) + data[b:]
            case 3:
                data = data[:a] + rng.randbytes(b - a) + data[b:]
            case 4:
                data = data[:b] + data[a:b] + data[b:]
            case 5 if a < len(data):
                data = data[:a] + bytes([data[a] ^ (1 << rng.randrange(8))]) + data[a + 1 :]
            case _:
                c = rng.randrange(len(data) + 1)
                data = data[:a] + data[c : c + b - a] + data[b:]
    return data


def by_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines)) if lines else 0
        match rng.randrange(4):
            case 0:
                lines[at:at] = lines[at : at + rng.choice((1, 1, 5))]  # keys twice, above all
            case 1:
                del lines[at : at + rng.choice((1, 1, 5))]
            case 2:
                lines.insert(at, rng.choice(LINES).encode())
            case _:
                rng.shuffle(lines)
    return b"\n".join(lines)


def by_values(rng: random.Random, data: bytes, form: str) -> bytes:
    """Change what a sound document says, so that it stays a document of its form mostly."""
    text = data.decode()
    tree = tomllib.loads(text) if form == "toml" else json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, tree)
    text = toml(tree) if form == "toml" else json.dumps(tree, default=str, indent=1)
    for token, raw in RAW.items():
        text = text.replace(json.dumps(token), raw)
    return text.encode("utf-8", "surrogatepass")


def _change(rng: random.Random, tree: Any) -> None:
    places = list(_places(tree))
    if not places:
        return
    parent, key = rng.choice(places)
    value = copy.deepcopy(rng.choice(VALUES))  # or later changes would be made in it
    match rng.randrange(6):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[rng.choice(("", "\0", "x", "name", "extra", "a b"))] = parent.pop(key)
        case 2 if isinstance(parent, list):
            parent.append(rng.choice((copy.deepcopy(parent[key]), value)))
        case 3:
            other, its = rng.choice(places)
            if its in other if isinstance(other, dict) else its < len(other):
                parent[key] = json.loads(json.dumps(other[its], default=str))
        case 4 if isinstance(parent[key], str) and parent[key]:
            at = rng.randrange(len(parent[key]))
            parent[key] = parent[key][:at] + rng.choice("\0 /:=<'[;@#é9") + parent[key][at + 1 :]
        case _:
            parent[key] = value


def _places(tree: Any) -> Any:
    """Every place of a value, as what holds it and the key there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def toml(tree: Mapping[str, Any]) -> str:
    return "".join(f"{json.dumps(k)} = {_toml(v)}\n" for k, v in tree.items())


def _toml(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case None:
            return '"none"'
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return str(value)


def renamed(rng: random.Random, names: Sequence[str]) -> list[str]:
    """The names of an archive's members, some of them spoiled."""
    names = list(names)
    for _ in range(rng.choice((0, 1, 1, 3))):
        names[rng.randrange(len(names))] = rng.choice((*NAMES, *names))
    return names


def by_fields(rng: random.Random, data: bytes) -> bytes:
    """A zip with a number in one of its headers changed."""
    spans = {b"PK\x01\x02": 46, b"PK\x03\x04": 30, b"PK\x05\x06": 22}
    found = [
        (m.start(), spans[m[0]]) for m in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)
    ]
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        if not found:
            break
        start, length = rng.choice(found)
        form, size = rng.choice((("<B", 1), ("<H", 2), ("<I", 4)))
        at = start + rng.randrange(4, length - size + 1)
        limit = (1 << 8 * size) - 1
        number = rng.choice((0, 1, limit, limit >> 1, rng.randrange(limit + 1)))
        if at + size <= len(changed):
            struct.pack_into(form, changed, at, number)
    return bytes(changed)
