"""Whether a bill is what the published schemas and validators take for one.

    bills.py FORMAT FILE          spdx, cyclonedx or provenance; says what is wrong, and ends with 1 then
    bills.py --spoil FORMAT FILE  the same document with a mistake in it, on standard output
    bills.py --edges FILE STATUS  whether the dependencies in a bill of SPDX are those of a database of dpkg

The first runs with the Python of a virtual environment: see bills.sh.
"""

import json
import re
import sys


def spdx(path):
    """By the SPDX project's own parser and validator."""
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    return [message.validation_message for message in validate_full_spdx_document(parse_file(path))]


def cyclonedx(path):
    """By the JSON schema of the CycloneDX project."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path, encoding="utf-8") as file:
        problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(file.read())
    return [] if problem is None else [str(problem)]


def provenance(path):
    """By the messages of the in-toto attestation framework: they have no field beside their own."""
    from google.protobuf.json_format import Parse
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    statement = Statement.copy_from_pb(Parse(json.dumps(document), Message()))
    statement.validate()
    predicate = Parse(json.dumps(document["predicate"]), Provenance())
    for dependency in predicate.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(dependency).validate()
    if not predicate.build_definition.build_type or not predicate.run_details.builder.id:
        return ["the build has no type, or no builder"]
    return []


def spoiled(form, document):
    """With a mistake that only a real validation finds: the document is JSON all the same."""
    if form == "spdx":
        document["packages"][1]["licenseDeclared"] = "LicenseRef-unexplained"
    elif form == "cyclonedx":
        document["components"][0]["hashes"][0]["content"] = "no digest"
    else:
        document["predicate"]["buildDefinition"]["madeBy"] = "nobody"
    return document


def groups(paragraph):
    """The alternatives of each dependency, by their names."""
    for field in re.findall(r"^(?:Pre-)?Depends: (.*)$", paragraph, re.MULTILINE):
        for group in field.split(","):
            yield {re.split(r"[ :(]", alternative.strip())[0] for alternative in group.split("|")}


def edges(path, status):
    """What a bill says more, or less, than a database: versions are left to the program, which names fit is not."""
    with open(path, encoding="utf-8") as file:
        bill = json.load(file)
    name_of = {package["SPDXID"]: package["name"] for package in bill["packages"]}
    told = {name: set() for name in name_of.values()}
    for relation in bill["relationships"]:
        if relation["relationshipType"] == "DEPENDS_ON":
            told[name_of[relation["spdxElementId"]]].add(name_of[relation["relatedSpdxElement"]])
    with open(status, encoding="utf-8") as file:
        packages = {re.search(r"^Package: (.*)$", text, re.MULTILINE)[1]: text for text in file.read().strip().split("\n\n")}
    providers = {name: {name} for name in packages}
    for name, text in packages.items():
        for provided in ",".join(re.findall(r"^Provides: (.*)$", text, re.MULTILINE)).split(","):
            providers.setdefault(re.split(r"[ :(]", provided.strip())[0], set()).add(name)
    for name, text in packages.items():
        wanted = [set().union(*(providers.get(one, set()) for one in group)) for group in groups(text)]
        allowed = set().union(*wanted)
        if told[name] - allowed:
            yield f"{name} does not depend on {sorted(told[name] - allowed)}"
        for met in wanted:
            if name not in met and not met & told[name]:
                yield f"{name} depends on one of {sorted(met)}"
    if sum(map(len, told.values())) < 2 * len(packages):
        yield "these are few dependencies for so many packages"


def main():
    *spoil, form, path = sys.argv[1:]
    if spoil == ["--edges"]:
        problems = list(edges(form, path))
        print("\n".join(problems[:10]))
        return 1 if problems else 0
    if spoil == ["--spoil"]:
        with open(path, encoding="utf-8") as file:
            json.dump(spoiled(form, json.load(file)), sys.stdout)
        return 0
    try:
        problems = {"spdx": spdx, "cyclonedx": cyclonedx, "provenance": provenance}[form](path)
    except Exception as error:  # what cannot even be read is no bill
        problems = [f"{type(error).__name__}: {error}"]
    for problem in problems[:10]:
        print(problem)
    return 1 if problems else 0


sys.exit(main())
