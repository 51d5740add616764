"""Runs the test-suites of swarms that PyPI's `docker` brings along, unmodified, against a server.

usage: docker_suites.py FOLDER PYTHON URL LEFT_OUT

FOLDER is the unpacked source of the library, PYTHON one that has it and what its tests need, URL the server's, such as
tcp://127.0.0.1:8080/docker. What is left out, and why, stands in LEFT_OUT. It ends with status 1 if anything else fails, or if a test
passes that is left out.
"""

import os
import re
import subprocess
import sys

SUITES = ("api_service", "api_swarm", "api_config", "api_secret", "models_services", "models_swarm", "models_nodes")
VERSION = "1.41"
# What one test may take, in seconds.
PATIENCE = 120
# Fewer would say that the suites are not all there.
LEAST = 110
LINE = re.compile(r"^(PASSED|FAILED|ERROR|XPASS|XFAIL) tests/integration/(\S+?)\.py::(\S+)")


def main():
    folder, python, url, left_out = sys.argv[1:]
    files = [f"tests/integration/{suite}_test.py" for suite in SUITES]
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--timeout={PATIENCE}", "-q", "-rA", *files]
    environment = {**os.environ, "DOCKER_HOST": url, "DOCKER_TEST_API_VERSION": VERSION, "NO_PROXY": "*"}
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout
    found = {}
    for line in said.splitlines():
        if match := LINE.match(line):
            found[f"{match[2]}::{match[3]}"] = match[1]
    with open(left_out, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    reasons = dict(line.split(" | ", 1) for line in lines)
    bad = {test for test, word in found.items() if word in ("FAILED", "ERROR")}
    surprises = sorted(bad - reasons.keys())
    needless = sorted(test for test in reasons if test not in bad)
    good = sum(word in ("PASSED", "XPASS") for word in found.values())
    print(f"{len(found)} tests, {good} passed, {len(bad)} failed, {len(reasons)} of them left out")
    if surprises:
        print(said)
        print("Failed:", *surprises, sep="\n")
    if needless:
        print("Left out for nothing:", *needless, sep="\n")
    if len(found) < LEAST:
        print(f"There are to be at least {LEAST}:\n{said}")
    sys.exit(1 if surprises or needless or len(found) < LEAST else 0)


if __name__ == "__main__":
    main()
