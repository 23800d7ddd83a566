"""Holds YAML from standard input to the schemas of Kubernetes, or of AWS for an ECS task definition.

argument: "kubernetes" or "ecs". Prints the documents as a JSON list; complaints go to standard error, and the exit code is 1.
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


documents = list(yaml.safe_load_all(sys.stdin))
complaints = [complaint for complaint in map({"kubernetes": kubernetes, "ecs": ecs}[sys.argv[1]], documents) if complaint]
print("\n".join(complaints), file=sys.stderr)
print(json.dumps(documents))
sys.exit(1 if complaints else 0)
