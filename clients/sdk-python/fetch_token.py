"""Gets a bearer token for ConductorOne's Python SDK, which has no way of its own to fetch one, and prints it.

The kinds are `static`, a token that `countersign token create` made; `assertion`, fetched with a client's assertion that PyJWT
signs; `secret`, fetched with the client's secret as it is. Needs the files that prepare.sh made, in the current folder.
Usage: token.py SERVER_URL KIND
"""

import base64
import json
import sys
import time
import uuid

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def credentials():
    """The client's id and secret, as `countersign client create` printed them."""
    with open("credentials", encoding="utf-8") as lines:
        values = dict(line.strip().split("=", 1) for line in lines)
    return values["CONDUCTORONE_CLIENT_ID"], values["CONDUCTORONE_CLIENT_SECRET"]


def assertion(client, secret):
    """A statement that the client signs with the private key in its secret."""
    prefix = "secret-token:conductorone.com:v1:"
    assert secret.startswith(prefix), "the secret is not one of ConductorOne's form"
    # Without padding: the Go SDK refuses any.
    key = json.loads(base64.urlsafe_b64decode(secret[len(prefix) :]))
    private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(key["d"] + "="))
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": ["127.0.0.1"], "iat": now, "nbf": now - 120, "exp": now + 120}
    return jwt.encode(claims, private, algorithm="EdDSA", headers={"nonce": uuid.uuid4().hex})


def main(server, kind):
    if kind == "static":
        with open("static-token", encoding="utf-8") as file:
            print(file.read().strip())
        return
    client, secret = credentials()
    form = {"grant_type": "client_credentials", "client_id": client}
    if kind == "assertion":
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        form["client_assertion"] = assertion(client, secret)
    else:
        form["client_secret"] = secret
    answer = httpx.post(f"{server}/auth/v1/token", data=form)
    assert answer.status_code == 200, answer.text
    token = answer.json()
    assert token["token_type"] == "Bearer" and isinstance(token["expires_in"], int), token
    print(token["access_token"])


main(*sys.argv[1:])
