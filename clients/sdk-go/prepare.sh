# Makes a static token, as somebody who runs the service does for those who bring the SDK.
set -euo pipefail
"$BIN" token create --name sdk --role editor --file tokens.toml >static-token
printf '%s\n' --tokens-file "$WORK/tokens.toml"
