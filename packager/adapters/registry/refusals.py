"""What registries say no with, in words that lead on."""

from typing import Any, Final

from packager.documents import parse_json
from packager.errors import CommandError
from packager.references import Reference

LONGEST_WORDS: Final = 300


def refusal(status: int, content: bytes, reference: Reference, doing: str) -> CommandError:
    """`doing` is what was tried, as in `pushing the manifest`."""
    code, message = _words(content)
    words = f"it answers {status}" + (f": {message}" if message else "")

    def error(what: str, fix: str) -> CommandError:
        return CommandError(what, why=words, fix=fix, status=status, code=code)

    host = reference.host
    if code in {"TAG_INVALID", "ImageTagAlreadyExistsException"} or "immutable" in message.lower():
        return error(
            f"the tag {reference.tag} of {reference.name} is taken, and can not be moved",
            "choose another tag: what stands under this one stays",
        )
    if status == 401 or code == "UNAUTHORIZED":
        return error(f"{host} does not know who asks, for {doing}", _login(host))
    if status == 403 or code == "DENIED":
        return error(
            f"{host} does not allow {doing}",
            f"ask for the right to it on {reference.repository}, or log in as somebody else: "
            f"{_login(host)}",
        )
    if code == "NAME_UNKNOWN":
        return error(
            f"{host} has no repository {reference.repository}",
            f"correct the name, or create it{_create(reference)}",
        )
    if status == 404:
        return error(f"{reference} is not there", "correct the name, or push it first")
    if status == 413:
        return error(f"{host} takes nothing that large, in {doing}", "ask its keeper for more")
    return error(f"{host} refuses {doing}", "see what it says")


def _words(content: bytes) -> tuple[str, str]:
    """Code and message of the first error."""
    try:
        value: Any = parse_json(content.decode())
        first = value["errors"][0]
        message = first.get("message") or ""
        code = str(first.get("code") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", ""
    return code, " ".join(f"{message}".split())[:LONGEST_WORDS]


def _is_ecr(host: str) -> bool:
    return ".dkr.ecr." in host or ".dkr-ecr." in host


def _login(host: str) -> str:
    if _is_ecr(host):
        region = host.split(".")[3]
        return (
            f"aws ecr get-login-password --region {region} | "
            f"docker login --username AWS --password-stdin {host}"
        )
    return f"docker login {host}"


def _create(reference: Reference) -> str:
    if _is_ecr(reference.host):
        return f": aws ecr create-repository --repository-name {reference.repository}"
    return ""
