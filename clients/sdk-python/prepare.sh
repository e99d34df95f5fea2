# Makes a static token and a client, as somebody who runs the service does for those who bring the SDKs.
set -euo pipefail
"$BIN" token create --name sdk --role editor --file tokens.toml >static-token
"$BIN" client create --name sdk --role editor --host 127.0.0.1 --file clients.toml >credentials
printf '%s\n' --tokens-file "$WORK/tokens.toml" --clients-file "$WORK/clients.toml"
