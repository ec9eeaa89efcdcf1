"""A JSON schema of [tool.packager], for editors. Pure.

What it accepts, packager takes; what needs more than one value or a file to judge, packager alone
refuses.
"""

from typing import Any, Final

from packager.settings import (
    BUILDERS,
    CLEAN_ROOM_MODES,
    ENCRYPTIONS,
    LAYOUTS,
    MOST_TAGS,
    OPTIONS,
    SLIMS,
    STORAGE_CLASSES,
)
from packager.target import ARCHES

Schema = dict[str, Any]


def _choice(*known: str) -> Schema:
    return {"enum": list(known)}


def _pattern(pattern: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", **more}


def _list(of: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": of, **more}


def _table(**keys: Schema) -> Schema:
    """`x_y` is the key `x-y`."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name.replace("_", "-"): schema for name, schema in keys.items()},
    }


def _requiring(table: Schema, *keys: str) -> Schema:
    return {**table, "required": list(keys)}


def _by_name(of: Schema, **more: Any) -> Schema:
    return {"type": "object", "additionalProperties": of, **more}


def _number(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


TEXT: Final = _pattern(r"[^\0]*[^\0\s][^\0]*")
FLAG: Final[Schema] = {"type": "boolean"}
TEXTS: Final[Schema] = {"anyOf": [_list(_pattern(r"[^\0]+")), TEXT]}
SPARK: Final = _by_name({"type": ["string", "number", "boolean"]})
TEXT_BY_NAME: Final = _by_name({"type": "string"})
S3_URI: Final = _pattern(r"s3://[^/\s#,'\"\0]+(?:/[^\s#,'\"\0]*)?")
LOG_URI: Final = _pattern(r"s3://[^/]+(?:/.*)?")
IMAGE: Final = _pattern(r"[A-Za-z0-9](?:[\w./:@-]*[\w.-])?")
ECR_IMAGE: Final = _pattern(
    r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.-]+/[^@:\n]+(?::[^@:\n]+|@sha256:\w+)"
)
VCPU: Final[Schema] = {
    "anyOf": [_pattern(r"[1-9][0-9]*\s*(?:[vV][cC][pP][uU])?"), _number(1, 1_000_000)]
}
GB: Final[Schema] = {"anyOf": [_pattern(r"[1-9][0-9]*\s*(?:[gG][bB])?"), _number(1, 1_000_000)]}
CAPACITY: Final[dict[str, Schema]] = {"cpu": VCPU, "memory": GB, "disk": GB}
WORKERS: Final = _requiring(
    _table(
        workers=_number(1, 1_000_000),
        **CAPACITY,
        disk_type=_choice("STANDARD", "SHUFFLE_OPTIMIZED", "standard", "shuffle_optimized"),
    ),
    "workers",
    "cpu",
    "memory",
)
SHARED: Final[dict[str, Schema]] = {
    "log_uri": LOG_URI,
    "log_key": TEXT,
    "log_group": TEXT,
    "log_stream_prefix": TEXT,
    "log_executors": FLAG,
    "managed_logs": FLAG,
    "prometheus_url": _pattern(
        r"https://aps-workspaces\.[a-z]{2}-[a-z-]{1,20}-[1-9]\.amazonaws(\.[0-9A-Za-z]{2,4})+"
        r"/workspaces/[-_.0-9A-Za-z]{1,100}/api/v1/remote_write"
    ),
    "disk_key": _pattern(r"arn:aws[a-zA-Z0-9-]*:kms:[a-zA-Z0-9-]*:[0-9]{12}:key/[a-zA-Z0-9-]+"),
    "disk_context": SPARK,
}

OPTION_SCHEMAS: Final[dict[str, Schema]] = {
    "arch": {"anyOf": [_choice(*ARCHES, "all"), _list(_choice(*ARCHES, "all"), minItems=1)]},
    "python": _pattern(r"[0-9]+\.[0-9]+"),
    "layout": _choice(*LAYOUTS),
    "builder": _choice(*BUILDERS),
    "build_packages": _list(_pattern(r"[A-Za-z0-9/][A-Za-z0-9@._+:=~/-]*")),
    "slim": {"anyOf": [_choice(*SLIMS), _list(_choice(*SLIMS))]},
    "base_image": IMAGE,
    "clean_room": _choice(*CLEAN_ROOM_MODES),
    "s3_uri": S3_URI,
    "bucket_owner": _pattern(r"[0-9]{12}"),
    "encryption": _choice(*ENCRYPTIONS),
    "storage_class": _choice(*STORAGE_CLASSES),
    "s3_tags": _list(_pattern(r"[\w .:/+@-]{1,128}=[\w .:/+=@-]{0,256}"), maxItems=MOST_TAGS),
    "region": _pattern(r"[A-Za-z0-9][A-Za-z0-9-]*"),
    "aws_timeout": _number(1, 999_999),
    "cache_size": {
        "anyOf": [
            _pattern(r"none|[0-9]+(?:\.[0-9]+)?\s*[kMGT]?i?B?"),
            {"type": "integer", "minimum": 0},
        ]
    },
}
"""Of options whose type does not tell: others are flags, lists of texts, or texts."""

TABLE_SCHEMAS: Final[dict[str, Schema]] = {
    "conf": SPARK,
    "releases": _by_name(
        _table(
            like=TEXT,
            spark=TEXT,
            os=TEXT,
            glibc=TEXT,
            python=_pattern(r"[0-9]+\.[0-9]+"),
            architectures=_list(_choice(*ARCHES), minItems=1),
            java=TEXT,
            base_image=TEXT,
            interpreters=_list({"type": "object"}),
        )
    ),
    "waivers": _by_name(TEXT, propertyNames={"pattern": "^(ARC|ROOM|IMG)[0-9]{3}$"}),
    "ecr": _table(
        repository=TEXT,
        immutable_tags=FLAG,
        scan_on_push=FLAG,
        encryption=_choice("AES256", "KMS", "KMS_DSSE"),
        kms_key=TEXT,
        expire_untagged_days={"type": "integer", "minimum": 1},
        lifecycle=TEXT,
        applications=_list(_pattern(r"[^\0]+")),
    ),
    "run": _table(
        application=TEXT,
        role=_pattern(r"arn:aws[a-zA-Z0-9-]*:iam::[0-9]{12}:role/([!-\x7F]+/)?[\w+=,.@-]+"),
        name=TEXT,
        mode=_choice("batch", "streaming", "BATCH", "STREAMING"),
        timeout_minutes=_number(0, 1_000_000),
        max_attempts=_number(1, 1_000),
        max_failures_per_hour=_number(1, 1_000),
        **SHARED,
        session_policy=TEXT,
        session_policy_arns=_list(_pattern(r".+")),
        flex=FLAG,
        tags=SPARK,
        client_token=TEXT,
    ),
    "application": _table(
        name=TEXT,
        type=_choice("spark", "hive"),
        image={
            "anyOf": [
                ECR_IMAGE,
                _requiring(_table(driver=ECR_IMAGE, executor=ECR_IMAGE), "driver", "executor"),
            ]
        },
        resolve_image_at_start=FLAG,
        maximum_capacity=_requiring(_table(**CAPACITY), "cpu", "memory"),
        initial_capacity=_table(driver=WORKERS, executor=WORKERS) | {"minProperties": 1},
        auto_start=FLAG,
        auto_stop_minutes={"anyOf": [{"const": False}, _number(1, 10080)]},
        subnets=_list(_pattern(r".+")),
        security_groups=_list(_pattern(r".+")),
        max_concurrent_runs=_number(1, 1000),
        queue_timeout_minutes=_number(15, 720),
        studio=FLAG,
        livy=FLAG,
        sessions=FLAG,
        **SHARED,
        conf=SPARK,
        classifications=_by_name(SPARK),
        tags=SPARK,
        api={"type": "object"},
    ),
}
IMAGE_KEYS: Final[dict[str, Schema]] = {
    "env": TEXT_BY_NAME,
    "labels": TEXT_BY_NAME,
    "files": TEXT_BY_NAME,
    "jars": _list(
        {
            "anyOf": [
                _pattern(r"[^\0]+\.jar"),
                _requiring(
                    _table(maven=TEXT, sha256=_pattern("[0-9a-fA-F]{64}")), "maven", "sha256"
                ),
            ]
        }
    ),
    "maven_repository": _pattern(r"https?://.+"),
    "packages": _list(TEXT),
    "commands": _list(TEXT),
    "java": TEXT,
}
TABLE_SCHEMAS["image"] = _table(
    **IMAGE_KEYS, driver=_table(**IMAGE_KEYS), executor=_table(**IMAGE_KEYS)
)


def settings_schema() -> Schema:
    options: dict[str, Schema] = {}
    for option in OPTIONS:
        schema = OPTION_SCHEMAS.get(option.name)
        if schema is None:
            schema = FLAG if isinstance(option.default, bool) else TEXT
            schema = TEXTS if isinstance(option.default, tuple) else schema
        default = option.default if option.default not in (None, ()) else None
        options[option.name] = {
            "description": option.metadata["help"],
            **schema,
            **({} if default is None else {"default": default}),
        }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "[tool.packager] in pyproject.toml",
        **_table(**options, **TABLE_SCHEMAS),
    }
