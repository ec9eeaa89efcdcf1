"""Runs inside the clean room, with the archive's own Python (3.7 or newer, standard library only).

Imports the top-level modules of every distribution under the folders that are named, loads what
its console scripts call and starts the scripts as far as their interpreter. The work is done by
child processes, so that one that crashes or hangs costs nobody else; what fails is tried again
alone before it counts. The last line of standard output is the answer, as JSON.

Not imported, since these are not for importing: names that are no identifiers; private names,
unless they are compiled; names of folders with tests and documents that wheels bring by mistake;
and loose files that belong to no distribution, which may be scripts.
"""

import configparser
import csv
import glob
import importlib
import json
import keyword
import os
import select
import signal
import subprocess
import sys
import traceback

ANSWER = "packager-room: "
NOT_FOR_IMPORT = {
    "benchmarks",
    "conftest",
    "doc",
    "docs",
    "example",
    "examples",
    "setup",
    "test",
    "tests",
}
# Started in place of a program: `site` imports it before the program's first line.
WITNESS = """\
import os, sys
os.write(1, ("\\npackager-prefix: %s\\n" % sys.prefix).encode())
os._exit(0)
"""


def main(arguments):
    if arguments[0] == "child":
        return child(int(arguments[1]))
    limit, folders = float(arguments[0]), arguments[1:]
    sites = [site for folder in folders for site in site_folders(folder)]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(spark_path()), PYTHONDONTWRITEBYTECODE="1")
    modules, scripts = [], []
    for site in sites:
        for name, info in distributions(site):
            modules += [(module, name) for module in modules_of(site, info)]
            scripts += [(*script, name, bin_of(site)) for script in scripts_of(info)]
        if not site.endswith("site-packages"):  # packages of a project that is only files
            owned = {module.partition(".")[0] for module, _ in modules}
            modules += [(module, "") for module in loose_packages(site) if module not in owned]
    tasks = dict.fromkeys([module for module, _ in modules])
    tasks.update(dict.fromkeys([target for _, target, _, _ in scripts]))
    failed = run_all(list(tasks), limit, env)
    broken = [
        dict(failed[module], kind="module", name=module, distribution=name)
        for module, name in modules
        if module in failed
    ]
    for script, target, name, folder in scripts:
        if target in failed:
            about = {"kind": "script", "name": script, "target": target, "distribution": name}
            broken.append(dict(failed[target], **about))
        else:
            problem = launch(os.path.join(folder, script), limit, env)
            if problem:
                broken.append(
                    {
                        "kind": "launcher",
                        "name": script,
                        "distribution": name,
                        "how": "launch",
                        "error": problem,
                    }
                )
    answer = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "modules": len({module for module, _ in modules}),
        "scripts": len(scripts),
        "failures": broken,
    }
    print("\n" + ANSWER + json.dumps(answer))  # start-up code may have left a line open
    return 0


def spark_path():
    """What spark-submit puts on a job's path: the release's own PySpark, which an app imports."""
    home = os.path.join(os.environ.get("SPARK_HOME") or "/usr/lib/spark", "python")
    found = [home] if os.path.isdir(os.path.join(home, "pyspark")) else []
    return found + sorted(glob.glob(os.path.join(home, "lib", "*.zip")))


# What there is to try.


def site_folders(folder):
    """The import directories of an environment; any other folder is one itself."""
    found = sorted(glob.glob(os.path.join(folder, "lib", "python*", "site-packages")))
    return found or [folder]


def bin_of(site):
    up = os.path.join(site, "..", "..", "..") if site.endswith("site-packages") else site
    return os.path.join(os.path.normpath(up), "bin")


def distributions(site):
    """Names and metadata folders of what is installed in an import directory."""
    for entry in sorted(os.listdir(site)):
        if entry.endswith((".dist-info", ".egg-info")) and os.path.isdir(os.path.join(site, entry)):
            yield entry.rpartition(".")[0].partition("-")[0], os.path.join(site, entry)


def modules_of(site, info):
    files = recorded(info)
    if files is None:
        listed = read(os.path.join(info, "top_level.txt")).split()
        return [name for name in listed if for_import(name, compiled=is_compiled(site, name))]
    tree = {}
    for path in files:
        folder = tree
        *parents, name = path.split("/")
        for parent in parents:
            folder = folder.setdefault(parent, {})
            if not isinstance(folder, dict):
                break
        else:
            folder.setdefault(name, None)
    return list(dict.fromkeys(modules_in(tree, "")))


def recorded(info):
    """Paths of a distribution's files below its import directory; None without a record."""
    try:
        with open(os.path.join(info, "RECORD"), encoding="utf-8", newline="") as file:
            paths = [row[0] for row in csv.reader(file) if row]
    except OSError:
        return None
    own = os.path.basename(info) + "/"
    return [p for p in paths if not p.startswith(("../", "/", own)) and "__pycache__" not in p]


def modules_in(tree, prefix):
    """Importable names of a folder; one that is no package itself is looked into."""
    for name, inside in sorted(tree.items()):
        if inside is None:
            stem, suffix = name.partition(".")[0], name.partition(".")[2]
            is_library = suffix == "so" and stem.startswith("lib")
            compiled = suffix.split(".")[-1] == "so" and not is_library
            if (suffix == "py" or compiled) and for_import(stem, compiled=compiled):
                yield prefix + stem
        elif any(file.partition(".")[0] == "__init__" for file in inside):
            if for_import(name, compiled=False):
                yield prefix + name
        elif name.isidentifier() and name not in NOT_FOR_IMPORT:
            for module in modules_in(inside, prefix + name + "."):
                yield module


def for_import(name, *, compiled):
    if not name.isidentifier() or keyword.iskeyword(name) or name in NOT_FOR_IMPORT:
        return False
    return compiled or not name.startswith("_")


def is_compiled(site, name):
    return bool(glob.glob(os.path.join(glob.escape(site), glob.escape(name) + ".*so")))


def loose_packages(site):
    for name in sorted(os.listdir(site)):
        if os.path.isfile(os.path.join(site, name, "__init__.py")) and for_import(
            name, compiled=False
        ):
            yield name


def scripts_of(info):
    """Names of console scripts, and what each calls; not those that need an extra."""
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str
    try:
        parser.read_string(read(os.path.join(info, "entry_points.txt")))
    except configparser.Error:
        return
    for group in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(group) if parser.has_section(group) else ():
            if "[" not in target and ":" in target:
                yield name, "".join(target.split())


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# Trying it.


def run_all(tasks, limit, env):
    """Failures by task: all in one process as far as it lives, then each that failed alone."""
    suspects = []
    left = tasks
    while left:
        done, failures, ending = run(left, limit, env)
        suspects += list(failures)
        if ending is None:
            break
        if done < len(left):
            suspects.append(left[done])
        left = left[done + 1 :]
    confirmed = {}
    for task in suspects:
        _, failures, ending = run([task], limit, env)
        if ending is not None:
            confirmed[task] = ending
        elif task in failures:
            confirmed[task] = failures[task]
    return confirmed


def run(tasks, limit, env):
    """How many tasks came to an end, those that failed, and how the process did if it did not."""
    # Not standard output: start-up code of the environment may print to that.
    answers, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-B", os.path.abspath(__file__), "child", str(theirs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[theirs],
        env=env,
    )
    os.close(theirs)
    try:
        process.stdin.write(json.dumps(tasks).encode())
        process.stdin.close()
    except BrokenPipeError:  # it has ended already, which is told below
        pass
    done, failures, said, hung = 0, {}, b"", False
    pending = {answers: b"", process.stderr.fileno(): b""}
    while pending:
        ready, _, _ = select.select(list(pending), [], [], limit)
        if not ready:
            hung = True
            process.kill()
            break
        for pipe in ready:
            data = os.read(pipe, 65536)
            if not data:
                del pending[pipe]
            elif pipe == process.stderr.fileno():
                said = (said + data)[-65536:]
            else:
                *lines, pending[pipe] = (pending[pipe] + data).split(b"\n")
                for line in lines:
                    failure = json.loads(line.decode())
                    if failure is not None:
                        failures[tasks[done]] = failure
                    done += 1
    status = process.wait()
    os.close(answers)
    process.stderr.close()
    if hung:
        return done, failures, {"how": "hung", "error": "it took longer than %g s" % limit}
    if status == 0 and done == len(tasks):
        return done, failures, None
    return done, failures, {"how": "crashed", "error": ending(status), "trace": last_lines(said)}


def ending(status):
    if status >= 0:
        return "the process ended with exit status %d" % status
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "signal %d" % -status
    return "the process was killed by " + name


def last_lines(said):
    lines = said.decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip()][-12:]


def child(answers):
    """Answers one line for each task: null, or how it failed."""
    import faulthandler

    faulthandler.enable()
    tasks = json.load(sys.stdin)
    sys.path.pop(0)  # this script's own folder
    sys.argv = [""]
    for task in tasks:
        try:
            load(task)
            failure = None
        except BaseException as error:  # noqa: BLE001  # SystemExit among them
            failure = told(error)
        os.write(answers, (json.dumps(failure) + "\n").encode())
    os._exit(0)  # threads that were started may never end


def load(task):
    module, _, path = task.partition(":")
    found = importlib.import_module(module)
    for name in filter(None, path.split(".")):
        found = getattr(found, name)


def told(error):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_foreign(frame)]
    at = ["%s:%s" % (frame.filename, frame.lineno) for frame in frames[-3:]]
    return {
        "how": "raised",
        "type": type(error).__name__,
        "error": "%s: %s" % (type(error).__name__, error),
        "missing": error.name if isinstance(error, ModuleNotFoundError) else None,
        "trace": at,
    }


def is_foreign(frame):
    return frame.filename != __file__ and "importlib" not in frame.filename


def launch(path, limit, env):
    """Why a script does not start; its program itself does not run."""
    if not os.path.lexists(path):
        return "it is not there"
    with open(path, "rb") as file:
        head = file.read(512).split(b"\n")[:3]
    if any(option in line.split() for line in head for option in (b"-E", b"-I", b"-S", b"-sE")):
        return None  # it would not ask the witness, and run
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", "packager-witness")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "sitecustomize.py"), "w", encoding="utf-8") as file:
        file.write(WITNESS)
    try:
        process = subprocess.run(
            [os.path.abspath(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env, PYTHONPATH=folder),
            timeout=limit,
            check=False,
        )
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return "it did not start within %g s" % limit
    marked = [line for line in process.stdout.splitlines() if line.startswith(b"packager-prefix: ")]
    prefix = marked[-1].partition(b": ")[2].decode("utf-8", "replace") if marked else ""
    if process.returncode:
        return ending(process.returncode) + "".join(
            "; " + s for s in last_lines(process.stderr)[-1:]
        )
    if prefix and os.path.realpath(prefix) != os.path.realpath(sys.prefix):
        return "it starts the Python of " + prefix
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
