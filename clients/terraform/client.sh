#!/usr/bin/env bash
# Shows ConductorOne's Terraform provider at work over TLS, with client credentials: apply, an empty plan afterwards, a change,
# data sources, import, destroy. Needs Terraform or OpenTofu, Go, and a module proxy that serves the provider; Terraform takes the
# provider that is built here by its development override.
set -euo pipefail
terraform=$(command -v terraform || command -v tofu) || { echo "terraform is missing, and so is tofu"; exit 77; }
command -v go >/dev/null || { echo "go is missing"; exit 77; }
module=github.com/conductorone/terraform-provider-conductorone version=v1.5.0
GOBIN=$CACHE/bin go install "$module@$version" 2>"$WORK/install" ||
    { cat "$WORK/install"; echo "$module $version cannot be had or built here"; exit 77; }

cp "$ROOT/clients/terraform/main.tf" .
cat >override.tfrc <<TFRC
provider_installation {
  dev_overrides {
    "conductorone/conductorone" = "$CACHE/bin"
  }
  direct {}
}
TFRC
set -a
TF_CLI_CONFIG_FILE=$WORK/override.tfrc
SSL_CERT_FILE=$WORK/tls/ca.pem
CONDUCTORONE_SERVER_URL=https://$ADDR
. ./credentials
set +a
tf() { "$terraform" "$@" -no-color; }
# Exit status 0 of such a plan means that there is nothing to do.
clean() { tf plan -detailed-exitcode "$@" || { echo "there is something left to do"; exit 1; }; }

tf apply -auto-approve
clean
tf apply -auto-approve -var description=Changed
clean -var description=Changed
id=$("$terraform" output -raw id)
[[ $("$terraform" output -json found) == "[\"$id\",\"$id\"]" ]]
tf state rm conductorone_policy.production
"$terraform" import -no-color -var description=Changed conductorone_policy.production "$id"
clean -var description=Changed
tf destroy -auto-approve -var description=Changed
