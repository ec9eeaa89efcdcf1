# The stage `base`: the build packages, the target's Python, and pip in a virtual environment apart.
set -eu
. /steps/network.sh

# An engine that has the image for another architecture only takes that one without a word.
case $(uname -m) in
    x86_64) found=amd64 ;;
    aarch64) found=arm64 ;;
    *) found=$(uname -m) ;;
esac
[ "$found" = "$TARGETARCH" ] || failed architecture "it is there for $found"

for manager in dnf microdnf yum apt-get none; do
    ! command -v "$manager" > /dev/null || break
done

install() {
    case $manager in
        none)
            failed packages "the base image has no package manager to install $* with" ;;
        apt-get)
            rm -f /etc/apt/apt.conf.d/docker-clean # which empties the cache after every step
            set -- apt-get install -y --no-install-recommends ${ca:+-o "Acquire::https::CAInfo=$ca"} "$@"
            DEBIAN_FRONTEND=noninteractive apt-get update -qq ${ca:+-o "Acquire::https::CAInfo=$ca"} &&
                DEBIAN_FRONTEND=noninteractive "$@" ;;
        microdnf)
            microdnf install -y "$@" ;;
        yum) # which else goes on without the names that it does not know
            yum install -y --setopt=skip_missing_names_on_install=False \
                ${ca:+"--setopt=sslcacert=$ca"} "$@" ;;
        *)
            "$manager" install -y ${ca:+"--setopt=sslcacert=$ca"} "$@" ;;
    esac
}

version() {
    "$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2> /dev/null
}

matching() {
    for python in "$INTERPRETER" "/usr/bin/python$PYTHON" "/usr/local/bin/python$PYTHON"; do
        [ "$(version "$python")" != "$PYTHON" ] || return 0
    done
    return 1
}

# Words of the setting, one package each.
[ -z "$BUILD_PACKAGES" ] || install $BUILD_PACKAGES ||
    failed packages "$manager can not install $BUILD_PACKAGES"

if ! matching; then
    # What Fedora's family calls by the path of the file, Debian's by the name of the package.
    case $manager in
        apt-get) install "python$PYTHON" "python$PYTHON-venv" || true ;;
        none) ;;
        *) install "/usr/bin/python$PYTHON" || true ;;
    esac
    matching || failed python "the base image has no Python $PYTHON with venv and ensurepip ($(
        "$INTERPRETER" --version 2> /dev/null || echo "nothing at $INTERPRETER"
    )), and its package manager ($manager) brings none"
fi

# An environment for pip apart from all else, and pip as it comes with Python: to install it as
# `venv` does takes minutes where the machine is emulated.
"$python" -m venv --without-pip /packager
ln -s "$python" /packager/python
"$python" - << 'END' || failed python "the base image's $python comes without pip"
import ensurepip, glob, os, sysconfig, zipfile

folders = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), "/usr/share/python-wheels"]
folders.append(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python3-wheels")
wheels = [wheel for folder in folders for wheel in glob.glob(os.path.join(folder, "pip-*.whl"))]
zipfile.ZipFile(wheels[0]).extractall("/packager/tools")
END
# The first pip that knows wheels by the version of the C library (PEP 600).
/packager/bin/python - << 'END' || {
import sys

sys.path.insert(0, "/packager/tools")
import pip

sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (20, 3))
END
    /packager/bin/python /packager/tools/pip install --quiet --target /packager/newer "pip>=20.3"
    rm -r /packager/tools
    mv /packager/newer /packager/tools
}
