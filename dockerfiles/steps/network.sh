# What steps that use the network begin with: secrets become settings of the step, and of nothing
# that is kept. A secret that packager has not got is not there.
ca=/run/secrets/ca
[ -s "$ca" ] || ca=
if [ -n "$ca" ]; then
    export PIP_CERT="$ca" SSL_CERT_FILE="$ca" REQUESTS_CA_BUNDLE="$ca" CURL_CA_BUNDLE="$ca"
fi
[ ! -s /run/secrets/proxy ] || . /run/secrets/proxy
[ ! -s /run/secrets/netrc ] || export NETRC=/run/secrets/netrc
[ ! -s /run/secrets/pip ] || export PIP_CONFIG_FILE=/run/secrets/pip
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# packager finds this line and says the rest.
failed() {
    echo "packager: $1: $2" >&2
    exit 1
}
