# Certificates for trying things out and a client, as the README and docs/auth.md make them.
set -euo pipefail
"$BIN" help dev-cert >/dev/null || { echo "this countersign has no dev-cert, and so no TLS" >&2; exit 77; }
"$BIN" dev-cert tls >/dev/null
"$BIN" client create --name sdk --role editor --host 127.0.0.1 --file clients.toml >credentials
printf '%s\n' --tls-cert "$WORK/tls/cert.pem" --tls-key "$WORK/tls/key.pem" --clients-file "$WORK/clients.toml"
