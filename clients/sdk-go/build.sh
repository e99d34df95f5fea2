# Builds `program` from main.go with ConductorOne's Go SDK at the version that go.mod pins, or ends with 77 where the module proxy
# does not serve it. There is no go.sum: Go's checksum database vouches for what comes.
command -v go >/dev/null || { echo "go is missing"; exit 77; }
cp "$ROOT"/clients/sdk-go/{go.mod,main.go,every-step.json} "$WORK"
go mod tidy 2>"$WORK/tidy" || { cat "$WORK/tidy"; echo "github.com/conductorone/conductorone-sdk-go v1.26.1 cannot be had here"; exit 77; }
go build -o program .
