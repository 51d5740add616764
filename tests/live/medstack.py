"""Asks a server for all operations of MedStack Control's API, with values that nobody would choose.

    medstack.py URL CONTRACT SEED EXAMPLES

CONTRACT has what each operation takes and answers, in short; a document of OpenAPI is made of it here, with the ids of things that
are made first, and with what this server asks of values. All of schemathesis' checks are run. Operations that remove something have
things of their own to remove.

schemathesis loads this file, too, for the hook below: names have to be others each time, and so have addresses.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from pathlib import Path

KEY = ("FUZZADMIN", "secret-of-the-admin")
# So many of each kind are there to be removed.
SPARE = 12

NAME = {"type": "string", "pattern": "^[a-z][a-z0-9]{3,20}$"}
URL = {"type": "string", "pattern": "^https://[a-z0-9]{4,12}\\.example/[a-z]{1,8}$"}
LABEL = {"type": "string", "maxLength": 255, "nullable": True}
VALUE = {"type": "string", "pattern": "^[^\\x00]*$", "nullable": True}


def call(url, method="GET", body=None):
    """An answer, read as JSON."""
    credentials = b64encode(":".join(KEY).encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def closed(members, required):
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def whole(least, most):
    return {"type": "integer", "minimum": least, "maximum": most, "nullable": True}


def words(*all):
    return {"type": "string", "enum": [*all, None], "nullable": True}


def some(items, most):
    return {"type": "array", "items": items, "maxItems": most, "nullable": True}


def service_body(is_new, is_patch):
    """A service, with what this server asks of its members. What only a sentence could say of a text is left out, and how many
    containers there are, of which there would be too many; so are files, which the service that is kept has."""
    members = {
        "image": {"type": "string", "pattern": "^[!-~]{1,512}$"},
        "hosts": some({"type": "string"}, 0),
        "port": whole(1, 65535),
        "protocol": words("http"),
        "healthcheck_interval": whole(1, 3600),
        "healthcheck_timeout": whole(1, 3600),
        "secrets": some({"type": "object"}, 0),
        "configs": some({"type": "object"}, 0),
        "mounts": some({"type": "object"}, 0),
        "environment_variables": some(closed({"key": {"type": "string", "pattern": "^[A-Z]{1,8}$"}, "value": VALUE}, ["key"]), 1000),
        "placement_constraints": some({"type": "string", "enum": ["node.labels.a != b", "node.role == manager"]}, 100),
    }
    for which, actions in (("update", ["continue", "pause", "rollback"]), ("rollback", ["continue", "pause"])):
        members |= {
            f"{which}_order": words("stop-first", "start-first"),
            f"{which}_delay": whole(0, 3600),
            f"{which}_parallelism": whole(0, 2**31 - 1),
            f"{which}_failure_action": words(*actions),
            f"{which}_max_failure_ratio": {"type": "number", "minimum": 0, "maximum": 1, "nullable": True},
            f"{which}_monitor": whole(0, 3600),
        }
    required = [] if is_patch else ["image"]
    if is_new:
        members["name"], required = NAME, ["name", *required]
    return closed({"value": closed(members, required)}, [] if is_patch else ["value"])


def body_of(operation, fixtures):
    """What an operation takes."""
    method, path = operation["do"].split()
    if path.endswith("/services") or "/services/" in path:
        return service_body(method == "POST", method == "PATCH")
    if "/webhooks/" in path:
        return closed({"cluster_id": words(fixtures["cluster_id"]), "label": LABEL, "url": URL}, ["url"])
    if "/nodes" in path:
        return closed({"size_id": {"type": "string", "enum": fixtures["sizes"]}}, ["size_id"])
    if path.endswith("/volumes"):
        return closed({"name": NAME}, ["name"])
    return closed({"name": NAME, "data": {"type": "string", "minLength": 1}}, ["name", "data"])


WORDS = {"text": "string", "whole": "integer", "number": "number", "truth": "boolean"}


def schema_of(short):
    """A schema of its short form: a word, a reference, a list of one, or members."""
    if isinstance(short, list):
        return {"type": "array", "items": schema_of(short[0])}
    if isinstance(short, dict):
        members = {}
        for name, one in short.items():
            members[name.rstrip("?")] = schema_of(one) | ({"nullable": True} if name.endswith("?") else {})
        return {"type": "object", "properties": members}
    if short.startswith("@"):
        return {"$ref": f"#/components/schemas/{short[1:]}"}
    if "|" in short:
        return {"type": "string", "enum": short.split("|")}
    return {"type": WORDS[short]}


def document(contract, fixtures):
    """The contract as OpenAPI, for the things that were made."""
    paths = {}
    for operation in contract["operations"]:
        method, path = operation["do"].split()
        # Beside what the original says: what is in use or changed meanwhile, and methods that there are not.
        codes = {*operation["refused"], 405} | ({400, 409} if method != "GET" else set())
        responses = {str(code): {"description": "", "content": json_of({"type": "object"})} for code in codes}
        ok = {"description": ""}
        if "answer" in operation:
            ok["content"] = json_of(schema_of(operation["answer"]))
        responses[str(operation["ok"])] = ok
        parameters = []
        for name in re.findall(r"{(\w+)}", path):
            ids = fixtures["spare" if method == "DELETE" and path.endswith(f"{{{name}}}") else "kept"].get(name) or [fixtures[name]]
            parameters.append({"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": ids}})
        one = {"operationId": operation["do"], "parameters": parameters, "responses": responses}
        if "body" in operation:
            one["requestBody"] = {"required": True, "content": json_of(body_of(operation, fixtures))}
        paths.setdefault(path, {})[method.lower()] = one
    types = {name: with_null(schema_of(short)) for name, short in contract["types"].items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "MedStack Control", "version": "1"},
        "paths": paths,
        "components": {"schemas": types, "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
        "security": [{"basic": []}],
    }


def with_null(schema):
    """A schema in which what may be null says it as a type."""
    if isinstance(schema, list):
        return [with_null(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: with_null(one) for name, one in schema.items()}
    if schema.pop("nullable", False):
        schema["type"] = [schema["type"], "null"]
    return schema


def json_of(schema):
    return {"application/json": {"schema": with_null(schema)}}


def make(base):
    """Makes what the operations are about: of each kind one that is kept, and some to be removed."""
    company = call(f"{base}/companies/current")["id"]
    of = f"{base}/companies/{company}"
    cluster = next(one["id"] for one in call(f"{of}/clusters")["data"] if one["label"] == "Default")
    at = f"{of}/clusters/{cluster}"
    sizes = [size["id"] for size in call(f"{at}/node-sizes")["data"]]
    bodies = {
        "secret_id": (f"{at}/secrets", lambda name: {"name": name, "data": "x"}),
        "config_id": (f"{at}/configs", lambda name: {"name": name, "data": "x"}),
        "volume_id": (f"{at}/volumes", lambda name: {"name": name}),
        "node_id": (f"{at}/nodes", lambda name: {"size_id": sizes[0]}),
        "service_id": (f"{at}/services", lambda name: {"value": {"name": name, "image": "sim:a", "port": 80}}),
        "outgoing_webhook_id": (f"{of}/webhooks/outgoing", lambda name: {"url": f"https://{name}.example/"}),
    }
    files = {
        "healthcheck_path": "/",
        "secrets": [{"name": "keptsecret", "file_name": "one", "uid": "1", "mode": "400"}],
        "configs": [{"name": "keptconfig", "file_name": "/two"}],
        "mounts": [{"source": "keptvolume", "target": "/data"}],
        "environment_variables": [{"key": "A", "value": "1"}],
    }
    kept, spare = {}, {}
    for kind, (url, body) in bodies.items():
        name = kind.split("_")[-2]
        own = body(f"kept{name}")
        if kind == "service_id":
            own["value"] |= files
        kept[kind] = [call(url, "POST", own)["id"]]
        spare[kind] = [call(url, "POST", body(f"spare{name}{n}"))["id"] for n in range(SPARE)]
    return {"company_id": company, "cluster_id": cluster, "sizes": sizes, "kept": kept, "spare": spare}


def main(url, contract, seed, examples):
    base = f"{url}/medstack/v1"
    contract = json.loads(Path(contract).read_text())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "medstack.json"
        path.write_text(json.dumps(document(contract, make(base))))
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "run", str(path), "--url", base, "--auth", ":".join(KEY),
            "--checks", "all", "--phases", "examples,coverage,fuzzing", "--seed", seed, "--max-examples", examples,
            "--request-timeout", "30", "--no-color",
        ]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "medstack", "PYTHONPATH": str(Path(__file__).parent), "NO_PROXY": "*"}
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    print(ended.stdout[-20000:])
    print(ended.stderr[-4000:], file=sys.stderr)
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
else:
    import schemathesis

    numbers = itertools.count()

    @schemathesis.hook
    def before_call(context, case, kwargs):
        """Each request comes from somebody else: who guesses keys has to wait after a few wrong ones, and each operation is asked without
        a good one."""
        number = next(numbers)
        case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        # Other names and addresses each time, where they are in order.
        inner = case.body.get("value", case.body) if isinstance(case.body, dict) else None
        if isinstance(inner, dict):
            for member, form in (("name", NAME), ("url", URL)):
                text = inner.get(member)
                if isinstance(text, str) and re.fullmatch(form["pattern"], text):
                    inner[member] = f"{text[:12]}{number}" if member == "name" else f"https://n{number:04}.example/a"
