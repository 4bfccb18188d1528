#!/usr/bin/python3
"""from_json.py FILE PATH: prints a value of a JSON document.

PATH names keys with dots between them; a number counts in a list, `*` is each entry of a list (one line each), `#` a list's length.
"""

import json
import sys


def walk(value, steps):
    if not steps:
        yield value
    elif steps[0] == "*":
        for entry in value:
            yield from walk(entry, steps[1:])
    elif steps[0] == "#":
        yield len(value)
    else:
        yield from walk(value[int(steps[0]) if isinstance(value, list) else steps[0]], steps[1:])


try:
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    for found in walk(document, [step for step in sys.argv[2].split(".") if step] if len(sys.argv) > 2 else []):
        print(found if isinstance(found, str) else json.dumps(found, sort_keys=True))
except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
    sys.exit(f"{sys.argv[1]}: {' '.join(sys.argv[2:])}: {type(error).__name__}: {error}")
