"""What in a text file is a credential. Pure; it tells the kind and never the credential itself."""

import re
from collections.abc import Callable, Iterator
from typing import Final

TEXTS: Final = frozenset(
    (
        *("", ".cfg", ".conf", ".env", ".ini", ".ipynb", ".json", ".key", ".md", ".pem", ".py"),
        *(".properties", ".rst", ".sh", ".tf", ".tfvars", ".toml", ".txt", ".xml", ".yaml", ".yml"),
    )
)
"""Endings of files that people write. Data may be large, and is not where credentials are left."""

_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\\[nr]|\s)+"
    rb"(?:[A-Za-z-]+: [^\n]*\s+)*[A-Za-z0-9+/=]{40}"
)
_AWS_KEY: Final = re.compile(rb"(?<![A-Za-z0-9])A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])")
_AWS_SECRET: Final = re.compile(rb"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_SECRET_NEAR_BYTES: Final = 300
_URL: Final = re.compile(rb"https?://[^\s/@:'\"<>$*{]+:([^\s/@'\"<>$*{]+)@")
_PASSWORD: Final = re.compile(
    rb"(?im)^[ \t]*(?:(?:machine|login)[^\n]*\s)?(?:export[ \t]+)?[a-z0-9_]*"
    rb"(?:password|passwd|secret|token|api_?key|access_key)[a-z0-9_]*"
    rb"(?:[ \t]*[=:][ \t]*|[ \t]+)['\"]?([^\s'\"<>$*{}]{6,})"
)
_PLACEHOLDERS: Final = (b"example", b"changeme", b"password", b"placeholder", b"your", b"xxxx")


def credentials(path: str, open_: Callable[[], bytes]) -> str | None:
    """What kind of credential the file holds, or None. `open_` is called for likely files only."""
    folder, _, name = path.rpartition("/")
    if _suffix(name).lower() not in TEXTS and not _is_of_passwords(folder, name):
        return None
    return next(_found(folder, name, open_()), None)


def _suffix(name: str) -> str:
    """As `pathlib` has it, but tens of thousands of times without making a path."""
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def _is_of_passwords(folder: str, name: str) -> bool:
    return (
        name in {".netrc", "_netrc", ".pypirc", ".env"}
        or (name.startswith(".env.") and _suffix(name) not in {".example", ".sample"})
        or (name == "credentials" and folder.rpartition("/")[2] == ".aws")
    )


def _is_of_an_index(name: str) -> bool:
    return name in {"pip.conf", "pip.ini", "uv.toml", "pyproject.toml"} or (
        name.startswith("requirements") and _suffix(name) == ".txt"
    )


def _found(folder: str, name: str, text: bytes) -> Iterator[str]:
    if b"PRIVATE KEY-----" in text and _PRIVATE_KEY.search(text):
        yield "a private key"
    if (b"AKIA" in text or b"ASIA" in text) and _has_aws_key(text):
        yield "an AWS access key"
    if _is_of_passwords(folder, name) and any(_is_real(m[1]) for m in _PASSWORD.finditer(text)):
        yield "passwords"
    if _is_of_an_index(name) and any(_is_real(m[1]) for m in _URL.finditer(text)):
        yield "the password of an index"


def _has_aws_key(text: bytes) -> bool:
    for key in _AWS_KEY.finditer(text):
        near = text[key.end() : key.end() + _SECRET_NEAR_BYTES]
        for secret in _AWS_SECRET.findall(near):
            kinds = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")
            if _is_real(key[0] + secret) and all(re.search(kind, secret) for kind in kinds):
                return True
    return False


def _is_real(value: bytes) -> bool:
    return not any(word in value.lower() for word in _PLACEHOLDERS)
