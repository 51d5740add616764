"""Asks a server for everything that its OpenAPI documents describe, with values that nobody would choose.

    fuzz.py URL SEED REQUESTS

Runs schemathesis over the documents of an admin's and of a project's key, in both versions. A 5xx fails, unless it is
an honest 501; so does an answer that is not what the document says. The same seed draws the same values; rows that
the server makes meanwhile may differ.

schemathesis loads this file, too, for the hooks below: without them most requests would ask for ids that nobody has.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from base64 import b64encode
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

# What the server was started with.
KEYS = {"admin": ("FUZZADMIN", "secret-of-the-admin"), "1a5": ("FUZZPROJECT", "secret-of-the-project")}
VERSIONS = ("v1", "v2-beta")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def fetch(url, key, body=None):
    """The answer to a GET, or to a POST of a body, read as JSON."""
    credentials = b64encode(":".join(key).encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


# ---- What the run stands on, and must not be taken away by it ------------------------------------------------------


def protected(url, key):
    """Ids that are only read. Each would end the run, and prove nothing."""
    ids = set()
    for row in fetch(f"{url}/v2-beta/credentials?limit=1000", key)["data"]:
        # The keys of the run itself.
        if row.get("publicValue") in {access for access, _ in KEYS.values()}:
            ids |= {row["id"], row["accountId"]}
    for row in fetch(f"{url}/v2-beta/accounts?limit=1000", key)["data"]:
        # Without the admin, or the accounts that the server acts as, nobody is let in.
        if row["kind"] in ("admin", "superadmin", "system", "service", "register", "token"):
            ids.add(row["id"])
    # The project of everything that was made for the run; under its v1 and v2-beta name it is the same.
    ids.add("1a5")
    # The only host that runs containers from the start; the agent's host is fair game.
    ids |= {row["id"] for row in fetch(f"{url}/v2-beta/hosts", key)["data"] if row.get("name") == "sim"}
    ids |= {
        # Off, whoever is not the admin would be.
        "api.security.enabled",
        # Without a kind that is good for Basic the keys are good for nothing.
        "account.by.key.credential.types",
    }
    return sorted(ids)


# Whole operations that would end the run.
EXCLUDED = [
    # It turns access control on or off, and sets the admin's password.
    "--exclude-operation-id",
    "createLocalAuthConfig",
]


# What a create needs though no schema says so: without it most of them would be refused for that alone.
LAUNCH = {"imageUuid": "sim:web"}
NEEDED = {
    "containers": LAUNCH,
    "services": {"name": None, "stackId": None, "launchConfig": LAUNCH},
    "dnsservices": {"name": None, "stackId": None},
    "externalservices": {"name": None, "stackId": None, "hostname": "fuzz.example"},
    "passwords": {"publicValue": None, "secretValue": "a password to fuzz"},
    "registrycredentials": {"publicValue": None, "secretValue": "fuzz"},
    "settings": {"name": None, "value": "fuzz"},
}


def make(url, path, body, account="1a5"):
    """Creates something, and gives it back."""
    return fetch(f"{url}/v2-beta/{path}", KEYS[account], body)


def furnish(url):
    """Makes a few of most things that can be made: what is not there cannot be changed."""
    registries = [make(url, "registries", {"serverAddress": f"registry-{n}.example"})["id"] for n in range(4)]
    for number_of, registry in enumerate(registries):
        stack = make(url, "stacks", {"name": f"stack-{number_of}"})["id"]
        launch = LAUNCH | {"ports": [f"{8000 + number_of}:80"], "labels": {"a": "b"}, "dataVolumes": [f"data{number_of}:/data"]}
        web = make(url, "services", {"name": "web", "stackId": stack, "scale": 2, "startOnCreate": True, "launchConfig": launch})["id"]
        db = make(url, "services", {"name": "db", "stackId": stack, "launchConfig": LAUNCH})["id"]
        make(url, f"services/{web}?action=addservicelink", {"serviceLink": {"serviceId": db}})
        make(url, "dnsservices", {"name": "alias", "stackId": stack})
        make(url, "externalservices", {"name": "out", "stackId": stack, "hostname": "out.example"})
        make(url, "containers", LAUNCH | {"name": f"one-{number_of}"})
        make(url, "volumes", {"name": f"volume-{number_of}", "driver": "local"})
        make(url, "genericobjects", {"name": f"object-{number_of}", "kind": "note", "resourceData": {"a": {"b": 1}}})
        make(url, "registrationtokens", {})
        make(url, "apikeys", {"name": f"key-{number_of}"})
        account = make(url, "accounts", {"name": f"user-{number_of}", "kind": "user"}, "admin")["id"]
        make(url, "apikeys", {"name": f"key-{number_of}", "accountId": account}, "admin")
        make(url, "passwords", {"accountId": account, "publicValue": f"login-{number_of}", "secretValue": "a password to fuzz"}, "admin")
        make(url, "projects", {"name": f"project-{number_of}"}, "admin")
        make(url, "projecttemplates", {"name": f"template-{number_of}"}, "admin")
        make(url, "userpreferences", {"name": f"preference-{number_of}", "value": "x"}, "admin")
        make(url, "settings", {"name": f"fuzz.setting.{number_of}", "value": "x"}, "admin")
        make(url, "agents", {"uri": f"sim://fuzz-{number_of}"}, "admin")
        while fetch(f"{url}/v2-beta/registries/{registry}", KEYS["1a5"])["state"] != "active":
            time.sleep(0.05)
        make(url, "registrycredentials", {"registryId": registry, "publicValue": f"user-{number_of}", "secretValue": "x"})


# ---- The hooks -----------------------------------------------------------------------------------------------------


class Pool:
    """Ids that exist, by the path of their collection."""

    def __init__(self, text):
        known = json.loads(text)
        self.protected = set(known["protected"])
        self.ids = known["ids"]

    def pick(self, collection, drawn, reading):
        """An id that is there, chosen by what was drawn; None for the drawn one itself."""
        ids = [i for i in self.ids.get(collection, []) if reading or i not in self.protected]
        # Some ask for what nobody has.
        if not ids or drawn % 8 == 0:
            return None
        return ids[(drawn // 8) % len(ids)]

    def add(self, collection, row_id):
        ids = self.ids.setdefault(collection, [])
        if isinstance(row_id, str) and row_id not in ids and len(ids) < 200:
            ids.append(row_id)


def number(value):
    """A number that is the same for the same drawn value."""
    return zlib.crc32(repr(value).encode())


def hooks():
    import schemathesis

    pool = Pool(Path(os.environ["DROVER_FUZZ_POOL"]).read_text())

    def collection_of(operation):
        return operation.path.split("/")[1]

    @schemathesis.hook
    def map_path_parameters(context, path_parameters):
        operation = context.operation
        if path_parameters and "id" in path_parameters:
            reading = operation.method == "get"
            found = pool.pick(collection_of(operation), number(path_parameters["id"]), reading)
            if found:
                path_parameters["id"] = found
        return path_parameters

    def improve(value, depth=0):
        """Puts an image that runs, and ids of rows that are there, in the place of most drawn ones."""
        if isinstance(value, list):
            return [improve(v, depth + 1) for v in value]
        if not isinstance(value, dict):
            return value
        better = {}
        for name, inner in value.items():
            drawn = number((name, str(inner)))
            if name == "imageUuid" and isinstance(inner, str) and drawn % 4:
                better[name] = "sim:web"
            elif name == "name" and depth == 0 and isinstance(inner, str) and drawn % 4:
                better[name] = f"fuzz-{drawn % 10_000}"
            elif name.endswith("Id") and isinstance(inner, str):
                found = pool.pick(name[:-2].lower() + "s", drawn, True)
                # What refers to nothing is refused: most go without instead.
                if found or drawn % 4 == 0:
                    better[name] = found or inner
            else:
                better[name] = improve(inner, depth + 1)
        return better

    @schemathesis.hook
    def map_body(context, body):
        body = improve(body)
        operation = context.operation
        needed = NEEDED.get(collection_of(operation)) if operation.method == "post" and "{" not in operation.path else None
        if needed and isinstance(body, dict):
            drawn = number(str(body))
            stacks = pool.ids.get("stacks") or pool.ids.get("environments") or ["1st0"]
            given = {"stackId": stacks[drawn % len(stacks)], "name": f"fuzz-{drawn % 10_000}", "publicValue": f"fuzz{drawn}"}
            body |= {name: given.get(name, value) for name, value in needed.items() if name not in body and drawn % 8}
        return body

    @schemathesis.hook
    def before_call(context, case, kwargs):
        # An action that the row offers now, in the place of most of those that it may offer some day.
        row = (case.path_parameters or {}).get("id")
        if case.method.upper() != "POST" or not row or "action" not in (case.query or {}):
            return
        try:
            path = case.operation.path.replace("{id}", quote(str(row), safe=""))
            offered = sorted(fetch(os.environ["DROVER_FUZZ_BASE"] + path, KEYS[os.environ["DROVER_FUZZ_ACCOUNT"]]).get("actions", {}))
        except (HTTPError, ValueError):
            return
        drawn = number((case.query["action"], row))
        # Removed rows stay removed: the others are worth more.
        offered = [name for name in offered if name not in ("remove", "purge", "delete")] or offered
        if offered and drawn % 4:
            case.query["action"] = offered[drawn // 4 % len(offered)]

    @schemathesis.hook
    def filter_case(context, case):
        # Values come from answers, too: what is protected must not slip in by another way.
        row = (case.path_parameters or {}).get("id")
        return case.method.upper() == "GET" or str(row) not in pool.protected

    answers = Counter()
    atexit.register(lambda: Path(os.environ["DROVER_FUZZ_POOL"]).with_name("answers.json").write_text(json.dumps(answers)))

    @schemathesis.hook
    def after_call(context, case, response):
        answers[f"{case.method} {response.status_code}"] += 1
        if case.method.upper() == "POST" and response.status_code == 201 and "{" not in case.operation.path:
            try:
                pool.add(collection_of(case.operation), response.json().get("id"))
            except (ValueError, AttributeError):
                pass

    @schemathesis.hook
    def filter_failure(context, failure, case, response):
        # Known to the schema and not built: it says so, and is no failure.
        is_honest = response.status_code == 501 and b'"code":"NotImplemented"' in response.content
        return not is_honest


# ---- The run -------------------------------------------------------------------------------------------------------


def all_ids(url, version, key, document):
    """The ids of every collection, as this key sees them."""
    ids = {}
    for path, operations in document["paths"].items():
        if path.count("/") == 1 and "{" not in path and "get" in operations:
            rows = fetch(f"{url}/{version}{path}?limit=50", key).get("data", [])
            ids[path[1:]] = [row["id"] for row in rows if isinstance(row.get("id"), str)]
    return ids


def run(url, version, account, examples, seed, guarded):
    """One document; gives what was answered how often, and whether all was well."""
    key = KEYS[account]
    document = fetch(f"{url}/{version}/openapi.json", key)
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.json"
        pool.write_text(json.dumps({"protected": guarded, "ids": all_ids(url, version, key, document)}))
        config = Path(folder) / "schemathesis.toml"
        # Most operations read; what writes is more often worth a try.
        config.write_text(
            "[generation]\nmax-examples = 1\n"
            f'[[operations]]\ninclude-method = ["POST", "PUT", "DELETE"]\ngeneration.max-examples = {examples}\n'
        )
        command = [
            str(Path(sys.executable).parent / "st"), "--config-file", str(config), "run", f"{url}/{version}/openapi.json",
            "--auth", ":".join(key), "--checks", CHECKS, "--phases", "fuzzing", "--mode", "all",
            "--seed", str(seed),
            # One at a time, and nothing kept from earlier runs: the seed decides.
            "--workers", "1", "--generation-database", "none", "--no-shrink",
            "--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30", "--no-color",
            "--output-truncate", "true",
            *EXCLUDED,
        ]  # fmt: skip
        environment = os.environ | {"SCHEMATHESIS_HOOKS": __file__, "DROVER_FUZZ_POOL": str(pool), "NO_PROXY": "*", "COLUMNS": "120"}
        environment |= {"DROVER_FUZZ_BASE": f"{url}/{version}", "DROVER_FUZZ_ACCOUNT": account}
        ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        counted = pool.with_name("answers.json")
        answers = json.loads(counted.read_text()) if counted.exists() else {}
    print(f"{version} as {account}: {sum(answers.values())} requests, exit status {ended.returncode}")
    print("  answers:", ", ".join(f"{count} × {what}" for what, count in sorted(answers.items())), flush=True)
    if ended.returncode != 0:
        print(ended.stdout, ended.stderr, sep="\n", flush=True)
    return answers, ended.returncode == 0


def main():
    url, seed, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    furnish(url)
    guarded = protected(url, KEYS["admin"])
    runs = [(version, account) for version in VERSIONS for account in KEYS]
    documents = [fetch(f"{url}/{version}/openapi.json", KEYS[account])["paths"] for version, account in runs]
    methods = Counter(method for paths in documents for item in paths.values() for method in item)
    writes = sum(methods[method] for method in ("post", "put", "delete"))
    # A tenth more: an operation that takes little has fewer cases than it is asked for.
    examples = max(1, round(1.1 * (requests - methods["get"]) / writes))
    results = [run(url, version, account, examples, seed, guarded) for version, account in runs]
    answers = sum((Counter(answers) for answers, _ in results), Counter())
    done = sum(count for what, count in answers.items() if what.split()[1].startswith("2"))
    print(f"{answers.total()} requests, {done} of them done; seed {seed}")
    if done * 5 < answers.total():
        sys.exit("so few requests were taken that the run says little: see to NEEDED and furnish")
    sys.exit(0 if all(good for _, good in results) else 1)


if __name__ == "__main__":
    main()
elif "DROVER_FUZZ_POOL" in os.environ:
    hooks()
