"""Custom images with one fault each, built from a few lines on the stand-in for the base image.

`GOOD` is arranged as an image of emr-6.12.0, the newest that AWS's own validator knows; what it
lacks of that release's jars are empty files of their names, and its Java says that it is 8. Some
are made from the stand-in as it is, for emr-7.13.0.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.contents import required_files
from tests.rig.engine import docker

KNOWN: Final = "emr-6.12.0"
NEWER: Final = "emr-7.13.0"
SPARK: Final = "3.4.0"
"""Of `KNOWN`: the stand-in's own jar gets this name."""

GOOD: Final = f"""\
FROM {{base}} AS good
USER root
COPY lacking.txt /
RUN while read -r file; do set -- "$file"-[0-9]* "$file"_2* "$file"; \\
      for one; do [ -e "$one" ] && continue 2; done; \\
      mkdir -p "${{{{file%/*}}}}" && : > "$file"; done < /lacking.txt \\
 && rm /lacking.txt \\
 && sed -i --follow-symlinks 's/^JAVA_VERSION=.*/JAVA_VERSION="1.8.0"/' /etc/alternatives/jre/release \\
 && mv /usr/lib/spark/jars/spark-core_2.12-*.jar /usr/lib/spark/jars/spark-core_2.12-{SPARK}.jar
USER hadoop:hadoop
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """An image and what our checks say of it."""

    name: str
    lines: str
    """Of its Dockerfile, after `start`."""
    found: tuple[str, ...] = ()
    """Codes of errors."""
    warned: tuple[str, ...] = ()
    release: str = KNOWN
    start: str = "FROM good"
    theirs: str = "not found"
    """What AWS's validator made of it, once, by hand."""
    options: tuple[str, ...] = ()
    """Of `packager image validate`, besides release and base."""


AS_ROOT: Final = "USER root\nRUN {}\nUSER hadoop:hadoop"
JARS: Final = "/usr/lib/spark/jars"
GONE: Final = ("IMG007", "IMG008")
FAULTS: Final = (
    # What AWS's validator finds, or means to find.
    Fault("another user", "USER root", ("IMG002",), theirs="found"),
    Fault("another working directory", "WORKDIR /tmp", ("IMG003",), theirs="found"),
    Fault("another entry point", 'ENTRYPOINT ["/bin/sh"]', warned=("IMG004",), theirs="found"),
    Fault("no `SPARK_HOME`", "ENV SPARK_HOME=", ("IMG005",), theirs="found"),
    Fault(
        "`JAVA_HOME` leads nowhere", "ENV JAVA_HOME=/opt/java", ("IMG005", "IMG007"), theirs="found"
    ),
    Fault("no `tini`", AS_ROOT.format("rm /usr/bin/tini*"), ("IMG007",), theirs="found"),
    Fault(
        "a folder of Hadoop is missing",
        AS_ROOT.format("rm -r /usr/lib/hadoop/lib"),
        GONE,
        theirs="found",
    ),
    Fault(
        "a jar of Spark is missing",
        AS_ROOT.format(f"rm {JARS}/zstd-jni-*.jar"),
        GONE,
        theirs="found",
    ),
    # What it misses, or breaks on.
    Fault(
        "a jar is missing, `avro-ipc` hides that of `avro`",
        AS_ROOT.format(f"rm {JARS}/avro-1*.jar"),
        GONE,
    ),
    Fault(
        "`spark-submit` is missing, `spark-submit.cmd` is there",
        AS_ROOT.format("rm /usr/lib/spark/bin/spark-submit"),
        GONE,
    ),
    Fault(
        "no Spark job can run, for a jar is empty",
        AS_ROOT.format(f": > {JARS}/spark-catalyst_2.12-3.5.6.jar"),
        ("IMG008",),
    ),
    Fault("no entry point (`null`)", "ENTRYPOINT []", warned=("IMG004",), theirs="crashes"),
    Fault(
        "another architecture",
        "COPY --from=good /usr/lib/spark /usr/lib/spark\n"
        "COPY --from=good /usr/lib/hadoop /usr/lib/hadoop",
        start="FROM --platform=linux/arm64 {base}",
    ),
    Fault(
        "`FROM` another release, with all files this one has",
        AS_ROOT.format(f"mv {JARS}/spark-core_2.12-{SPARK}.jar {JARS}/spark-core_2.12-3.5.6.jar"),
        ("IMG008", "IMG009"),
    ),
    Fault(
        "PySpark beside EMR's own",
        AS_ROOT.format("mkdir /usr/local/lib/python3.11/dist-packages/pyspark"),
        ("IMG011",),
    ),
    Fault(
        "a file that `hadoop` may not read",
        AS_ROOT.format("install -m 600 /dev/null /home/hadoop/job.py"),
        ("IMG012",),
    ),
    Fault(
        "a credential in a variable",
        "ENV AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz",
        ("IMG013",),
    ),
    Fault("another Python than the release's", "", ("IMG010",), options=("--python", "3.7")),
    Fault(
        "emr-7.13.0: packages for Python 3.9, jobs run on 3.11",
        AS_ROOT.format(
            "mkdir -p /usr/lib/python3.9/site-packages/pandas-2.2.3.dist-info"
            " && : > /usr/lib/python3.9/site-packages/pandas-2.2.3.dist-info/METADATA"
        ),
        ("IMG010",),
        theirs="release not known",
        release=NEWER,
        start="FROM {base}",
    ),
)
SOUND: Final = (
    Fault("nothing", "", theirs="passes"),
    Fault(
        "nothing, with an `=` in a variable's value",
        "ENV JAVA_TOOL_OPTIONS=-Da=b",
        theirs="crashes",
    ),
    Fault(
        "nothing, emr-7.13.0", "", theirs="release not known", release=NEWER, start="FROM {base}"
    ),
)


def tag(number: int) -> str:
    return f"packager-tests/faults:{os.getpid()}-{number}"


@contextlib.contextmanager
def built(folder: Path, base: str) -> Iterator[dict[str, str]]:
    """The images by the names of their faults, and `base` for `KNOWN`; removed at the end."""
    files = required_files(KNOWN, "spark") or ()
    homes = {"$SPARK_HOME": "/usr/lib/spark", "$JAVA_HOME": "/etc/alternatives/jre"}
    lines = [f"{one.folder}/{name}" for one in files for name in one.names]
    for variable, home in homes.items():
        lines = [line.replace(variable, home) for line in lines]
    lines.sort(key=lambda line: -line.count("/"))  # a folder, before the file of its name
    (folder / "lacking.txt").write_text("".join(f"{line}\n" for line in lines))
    all_ = (*SOUND, *FAULTS)
    stages = [f"{f.start} AS image-{i}\n{f.lines}\n" for i, f in enumerate(all_)]
    text = "\n".join([GOOD, *stages]).replace("{base}", base)
    (folder / "Dockerfile").write_text(text.replace("{{", "{").replace("}}", "}"))
    targets = [("base", "good"), *((f.name, f"image-{i}") for i, f in enumerate(all_))]
    made = {name: tag(number) for number, (name, _) in enumerate(targets)}
    bake = {
        "group": {"default": {"targets": [target for _, target in targets]}},
        "target": {
            target: {
                "context": str(folder),
                "target": target,
                "tags": [made[name]],
                "output": ["type=docker"],
                "attest": ["type=provenance,disabled=true"],
                "network": "none",
            }
            for name, target in targets
        },
    }
    (folder / "bake.json").write_text(json.dumps(bake))
    try:
        docker("buildx", "bake", "--file", str(folder / "bake.json"))
        yield made
    finally:
        docker("image", "rm", "--force", *made.values())
