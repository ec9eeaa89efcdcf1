"""What base images have inside, as far as AWS's own validator tells. Pure but for one file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

ImageType = Literal["spark", "hive"]
IMAGE_TYPES: Final[tuple[ImageType, ...]] = get_args(ImageType)
TABLE: Final = Path(__file__).parent / "data" / "image-contents.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """Files that a directory has to have."""

    folder: str
    """Absolute; may begin with a variable of the image, as in `$SPARK_HOME/jars`."""
    names: tuple[str, ...]

    def lacking(self, present: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the set that no file of the directory stands for.

        A file stands for the longest name that fits it: `avro-ipc-1.11.0.jar` is not `avro`.
        """
        fitting = ((name for name in self.names if _fits(file, name)) for file in present)
        stood_for = {max(names, key=len, default="") for names in fitting}
        return tuple(name for name in self.names if name not in stood_for)


_AFTER_NAME: Final = re.compile(r"(?:_\d[\d._]*)?(?:-v?\d.*)?(?:\.(?:jar|pom|war))?")
"""Scala's version, its own, an ending: `_2.12`, `-3.3.0-amzn-1`, `.jar`."""


def _fits(file: str, name: str) -> bool:
    return file.startswith(name) and _AFTER_NAME.fullmatch(file, len(name)) is not None


def required_files(label: str, kind: ImageType) -> tuple[FileSet, ...] | None:
    """None where nobody has published what the release's image has."""
    document = _document()
    image = document["image"].get(label)
    if image is None:
        return None
    sets = (document["files"][name] for name in image[kind]["files"])
    return tuple(FileSet(folder=one["folder"], names=tuple(one["names"])) for one in sets)


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


ANY_RELEASE: Final[Mapping[ImageType, tuple[FileSet, ...]]] = {
    "spark": (
        FileSet(folder="$SPARK_HOME/bin", names=("spark-class", "spark-submit")),
        FileSet(folder="$SPARK_HOME/jars", names=("spark-core", "spark-sql", "spark-launcher")),
        FileSet(folder="$JAVA_HOME/bin", names=("java",)),
    ),
    "hive": (FileSet(folder="$JAVA_HOME/bin", names=("java",)),),
}
"""What no job starts without, for releases of which no list is known."""

USER: Final = "hadoop:hadoop"
ENTRYPOINT: Final = "/usr/bin/entrypoint.sh"
WORKDIR: Final[Mapping[ImageType, str]] = {"spark": "/home/hadoop", "hive": ""}
VARIABLES: Final[Mapping[ImageType, Mapping[str, str]]] = {
    "spark": {"SPARK_HOME": "/usr/lib/spark", "JAVA_HOME": ""},
    "hive": {
        "HADOOP_HOME": "/usr/lib/hadoop",
        "HADOOP_LIBEXEC_DIR": "/usr/lib/hadoop/libexec",
        "HADOOP_USER_HOME": "/home/hadoop",
        "HADOOP_YARN_HOME": "/usr/lib/hadoop-yarn",
        "HIVE_HOME": "/usr/lib/hive",
        "JAVA_HOME": "",
        "TEZ_HOME": "/usr/lib/tez",
        "YARN_HOME": "/usr/lib/hadoop-yarn",
    },
}
"""Values where they are known; the empty text where any will do."""

PROTECTED_VARIABLES: Final = ("HIVE_HOME", "JAVA_HOME", "SPARK_HOME", "TEZ_HOME")
"""The guide, 'Customizing an EMR Serverless image': do not change these."""

PROTECTED_FOLDERS: Final = (
    "etc/spark",
    "usr/lib/hadoop",
    "usr/lib/hadoop-yarn",
    "usr/lib/hive",
    "usr/lib/spark",
    "usr/lib/tez",
    "usr/share/aws",
)
"""Where the base's own files are, which it is to keep; one may be added."""
