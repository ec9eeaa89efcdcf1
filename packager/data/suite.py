"""Runs a project's tests in a container of the release's image, with the environment's Python.

Standard library only, in words that Python 3.7 knows, until pytest takes over. The one argument is
JSON: `site` (folder of pytest and what else only tests need), `tree` (the project's files), `junit`
and `coverage` (files to write, or null), `arguments` (of pytest).
"""

import glob
import json
import os
import site
import sys

TESTS = ("test", "tests")
MODULES = (".py", ".pyi")


def main():
    told = json.loads(sys.argv[1])
    sys.path.pop(0)  # the folder of this program
    # Nothing of the project's own folder takes the place of what was packed.
    library = os.path.dirname(os.__file__)
    own = {library, os.path.join(library, "lib-dynload")}
    places = [path for path in sys.path if os.path.isdir(path) and path not in own]
    spark_importable()
    os.chdir(told["tree"])
    packed, changed = same_as_packed(places)
    for path in sorted(packed.values()):
        os.remove(path)
    for path in sorted(changed):
        print("warning: " + path + " is not as it was packed: packager pack", file=sys.stderr)
    # At the end of the path: what the environment has comes first. And of this process alone:
    # Spark's workers have what they would have on EMR.
    site.addsitedir(told["site"])
    arguments = list(told["arguments"])
    if told["junit"]:
        arguments.append("--junitxml=" + told["junit"])
    if told["coverage"]:
        tops = {os.path.splitext(name.split("/")[0])[0] for name in packed}
        arguments += ["--cov=" + name for name in sorted(tops) or ["."]]
        arguments.append("--cov-report=xml:" + told["coverage"])
    sys.argv = ["pytest"]
    import pytest

    status = pytest.main(arguments)
    if told["coverage"] and os.path.exists(told["coverage"]):
        name_as_in_project(told["coverage"], packed)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))  # whatever threads the tests have left


def spark_importable():
    """As `spark-submit` does it: for this process, and for those that Spark starts."""
    home = os.environ.get("SPARK_HOME", "/usr/lib/spark")
    os.environ["SPARK_HOME"] = home
    paths = [os.path.join(home, "python")]
    paths += sorted(glob.glob(os.path.join(home, "python", "lib", "py4j-*-src.zip")))
    paths = [path for path in paths if os.path.exists(path) and path not in sys.path]
    os.environ["PYTHONPATH"] = ":".join([*paths, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    sys.path[0:0] = paths


def same_as_packed(places):
    """The modules below this folder that `places` have too, which are imported from there then.

    First those with the same content, by their path in `places`; then the paths of those that have
    another. Tests that stand beside packages stay, even if they were packed with them.
    """
    packed, changed = {}, []
    for folder, folders, files in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name))
            if path.endswith(MODULES):
                module, same = find_packed(path, places)
                if same:
                    packed[module] = path
                elif module in {path, os.path.relpath(path, "src")}:
                    changed.append(path)
    return packed, changed


def find_packed(path, places):
    parts = path.split(os.sep)
    for start in range(len(parts)):
        if start and os.path.exists(os.path.join(*parts[:start], "__init__.py")):
            break  # what lies in a package is imported as a part of it
        module = os.path.join(*parts[start:])
        for place in places:
            found = os.path.join(place, module)
            if os.path.isfile(found) and not own_test(parts[start:], place):
                return module, content(found) == content(path)
    return None, False


def own_test(parts, place):
    """Whether a module is one of tests that are no part of a package of the project's."""
    top = os.path.join(place, parts[0], "__init__.py")
    if parts[0] not in TESTS and os.path.exists(top):
        return False
    name = parts[-1]
    is_test = name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")
    return is_test or any(part in TESTS for part in parts[:-1])


def content(path):
    with open(path, "rb") as file:
        return file.read()


def name_as_in_project(report, packed):
    """Name files in a report of coverage as the project does, not as the archives do."""
    from xml.etree import ElementTree as ET

    document = ET.parse(report)  # noqa: S314  # coverage has written it
    folders = [source.text or "" for source in document.iter("source")]
    for source in document.iter("source"):
        source.text = "."
    for measured in document.iter("class"):
        wholes = [os.path.join(folder, measured.get("filename")) for folder in folders]
        # The longest: `shop/main.py` also ends as `main.py` does.
        for module in sorted(packed, key=len):
            if any(whole.endswith("/" + module) for whole in wholes):
                measured.set("filename", packed[module])
    document.write(report, encoding="utf-8", xml_declaration=True)


if __name__ == "__main__":
    main()
