"""Holds YAML from standard input to the schemas of Kubernetes, of AWS for an ECS task definition, or of CycloneDX; has a reader of JUnit's XML
read that.

argument: "kubernetes", "ecs", "sbom" or "junit". Prints the documents as a JSON list; complaints go to standard error, and the exit code is 1.
"""

import json
import sys

import yaml


def kubernetes(document):
    import kubernetes_validate

    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return ""


def ecs(document):
    import botocore.session
    import botocore.validate

    service = botocore.session.get_session().get_service_model("ecs")
    shape = service.operation_model("RegisterTaskDefinition").input_shape
    return botocore.validate.ParamValidator().validate(document, shape).generate_report()


def sbom(document):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return str(JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(document)) or "")


def junit(document):
    for suite in document["suites"]:
        counted = {kind: sum(case["result"] == kind for case in suite["cases"]) for kind in ("failure", "error", "skipped")}
        said = {"failure": suite["failures"], "error": suite["errors"], "skipped": suite["skipped"]}
        if said != counted or suite["tests"] != len(suite["cases"]):
            return f"{suite['name']}: it says {said} of {suite['tests']}, and has {counted} of {len(suite['cases'])}"
        if any(not case["name"] or not case["classname"] or case["time"] is None for case in suite["cases"]):
            return f"{suite['name']}: a case without a name, a class or a time"
    return "" if document["suites"] else "no suite"


def read_junit(text):
    import junitparser

    def case(read):
        result = type(read.result[0]).__name__.lower() if read.result else None
        return {"name": read.name, "classname": read.classname, "time": read.time, "result": result, "output": read.system_out}

    def suite(read):
        counts = {"tests": read.tests, "failures": read.failures, "errors": read.errors, "skipped": read.skipped}
        return {"name": read.name, "cases": [case(one) for one in read]} | counts

    return {"suites": [suite(one) for one in junitparser.JUnitXml.fromstring(text)]}


kind, text = sys.argv[1], sys.stdin.read()
documents = [read_junit(text.encode())] if kind == "junit" else list(yaml.safe_load_all(text))
holds = {"kubernetes": kubernetes, "ecs": ecs, "sbom": sbom, "junit": junit}[kind]
complaints = [complaint for complaint in map(holds, documents) if complaint]
print("\n".join(complaints), file=sys.stderr)
print(json.dumps(documents))
sys.exit(1 if complaints else 0)
