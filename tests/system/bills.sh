# Bills, judged by what others published: sourced by the groups that look at bills.

# What validates bills, in a virtual environment that all groups share: the schemas of CycloneDX, the validator of SPDX, the messages of in-toto.
readonly VALIDATORS=('cyclonedx-python-lib[json-validation]>=11,<12' 'spdx-tools>=0.8.5,<0.9' 'in-toto-attestation>=0.9.3,<0.10')

bill_validators() {
    VALIDATE=$SCRATCH/validators/bin/python
    exec {LOCK}>"$SCRATCH/validators.lock"
    flock "$LOCK"
    [[ ! -e $SCRATCH/validators/done ]] || return 0
    "$PYTHON" -m venv "$SCRATCH/validators" || { echo "$PYTHON cannot make a virtual environment: install python3-venv"; return 1; }
    HOME=$CALLER_HOME "$SCRATCH/validators/bin/pip" install --quiet "${VALIDATORS[@]}" || { echo "pip cannot install ${VALIDATORS[*]}"; return 1; }
    touch "$SCRATCH/validators/done"
}

# valid FORMAT FILE
valid() { "$VALIDATE" "$HERE/bills.py" "$1" "$2"; }

# The same document with a mistake in it is none: or the validation would be worth nothing.
noticed() { "$PYTHON" "$HERE/bills.py" --spoil "$1" "$2" >"${2%.json}.spoiled.json" && ! valid "$1" "${2%.json}.spoiled.json" >/dev/null; }
