# Sets `venv` to an environment with what requirements.txt pins, made on first use.
venv=$CACHE/sdk-python-$(sha256sum "$ROOT/clients/sdk-python/requirements.txt" | cut -c1-16)
if [[ ! -x $venv/bin/python ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv" || { rm -rf "$venv"; echo "python3 has no venv"; exit 77; }
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$ROOT/clients/sdk-python/requirements.txt" ||
        { rm -rf "$venv"; exit 1; }
fi
