#!/bin/sh
# Certificates for one cluster, good for a year: certificates.sh FOLDER
#
# Writes ca.pem, cert.pem and key.pem, which the scheduler, its workers and whoever runs something on them share.
# Dask compares no host names: who has key.pem gets in, and nobody else. The key of the authority that signed it is
# thrown away, so nobody can be let in later; make new ones instead.
set -eu
folder=${1:?usage: certificates.sh FOLDER}
if [ -e "$folder/key.pem" ]; then
    echo "$folder/key.pem is there already: choose another folder, or remove this one first" >&2
    exit 1
fi
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/openssl.cnf" <<END
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[member]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
authorityKeyIdentifier = keyid
END

quietly() {
    "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

request() { # KEY OUT ...
    key=$1 out=$2
    shift 2
    quietly openssl req -config "$work/openssl.cnf" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
        -keyout "$work/$key" -out "$work/$out" "$@"
}

request authority.pem ca.pem -x509 -days 365 -subj "/CN=authority of a dask cluster" -extensions authority
request key.pem request.pem -subj "/CN=member of a dask cluster"
quietly openssl x509 -req -in "$work/request.pem" -out "$work/cert.pem" -days 365 -sha256 -set_serial 1 \
    -CA "$work/ca.pem" -CAkey "$work/authority.pem" -extfile "$work/openssl.cnf" -extensions member
mkdir -p "$folder"
mv "$work/ca.pem" "$work/cert.pem" "$work/key.pem" "$folder"
