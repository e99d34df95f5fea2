#!/usr/bin/env bash
# Generates Go stubs from this repository's proto/ with protoc-gen-go and protoc-gen-go-grpc, at the versions that go.mod pins,
# and runs main.go with them. Needs Go, and Python for the protoc that grpcio-tools brings.
set -euo pipefail
command -v go >/dev/null || { echo "go is missing"; exit 77; }
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
. "$ROOT/clients/stubs-python/venv.sh"
here=$ROOT/clients/stubs-go
go build -C "$here" -o "$CACHE/bin/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc

# Our files name no Go packages: each folder becomes one, and Google's own are taken from where Go has them.
module=countersign.dev/clients/stubs-go/stubs
options=()
for file in $(cd "$ROOT/proto" && find c1 validate google/api -name '*.proto'); do
    case $file in
        google/api/*) package="google.golang.org/genproto/googleapis/api/annotations" ;;
        *) package="$module/$(dirname "$file")" ;;
    esac
    options+=("--go_opt=M$file=$package" "--go-grpc_opt=M$file=$package")
done
cp "$here"/go.mod "$here"/go.sum "$here"/main.go "$WORK"
mkdir "$WORK/stubs"
PATH=$CACHE/bin:$PATH "$venv/bin/python" -m grpc_tools.protoc -I "$ROOT/proto" "${options[@]}" \
    --go_out="$WORK/stubs" --go-grpc_out="$WORK/stubs" --go_opt=module=$module --go-grpc_opt=module=$module \
    $(cd "$ROOT/proto" && find c1 validate -name '*.proto')
cd "$WORK"
go build -o client .
./client "$ADDR"
