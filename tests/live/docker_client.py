"""Drives services through Docker's API with PyPI's `docker`, as its users do.

usage: docker_client.py URL IMAGE NEWER

URL is the server's, such as tcp://127.0.0.1:8080/docker; both images print something and stay up. It ends at the first surprise with
a traceback.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

import docker
from docker.types import ContainerSpec, EndpointSpec, RestartPolicy, SecretReference, ServiceMode, TaskTemplate, UpdateConfig

TIMEOUT = 60


def until(what, look):
    deadline = time.monotonic() + TIMEOUT
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.2)


def tasks(api, service, state="running"):
    wanted = api.tasks(filters={"service": service, "desired-state": "running"})
    return [task for task in wanted if task["Status"]["State"] == state]


def by_low_level(api, image, newer):
    """The calls that the documents of `APIClient` show."""
    container = ContainerSpec(image, env={"A": "1", "B": "x=y"}, labels={"c": "d"}, command=["sh", "-c", "echo said; exec sleep 100000"])
    template = TaskTemplate(container, restart_policy=RestartPolicy("any"))
    made = api.create_service(template, name="py-low", labels={"a": "b"}, mode=ServiceMode("replicated", 2))
    until("two tasks", lambda: len(tasks(api, "py-low")) == 2)
    assert [service["ID"] for service in api.services(filters={"name": "py-low"})] == [made["ID"]]
    found = api.inspect_service(made)
    assert found["Spec"]["Mode"] == {"Replicated": {"Replicas": 2}} and found["Spec"]["Labels"] == {"a": "b"}, found
    kept = found["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert kept["Env"] == ["A=1", "B=x=y"] and kept["Command"][0] == "sh" and "Args" not in kept, kept
    assert api.inspect_task(tasks(api, "py-low")[0]["ID"])["ServiceID"] == made["ID"]

    def lines():
        return b"".join(api.service_logs(made, stdout=True, stderr=True, is_tty=False)).count(b"said") == 2

    until("two lines in the log", lines)

    policy = UpdateConfig(parallelism=2, order="start-first", monitor=1000000000, failure_action="continue")
    newer = TaskTemplate(ContainerSpec(newer, command=["sh", "-c", "exec sleep 100000"]))
    version = found["Version"]["Index"]
    api.update_service(made, version, newer, name="py-low", mode=ServiceMode("replicated", 2), update_config=policy)
    try:
        api.update_service(made, version, newer, name="py-low")
        raise AssertionError("an old version was taken")
    except docker.errors.APIError as refused:
        assert refused.explanation.endswith("update out of sequence"), refused
    until("the update", lambda: api.inspect_service(made)["UpdateStatus"]["State"] == "completed")
    assert all(task["Spec"]["ContainerSpec"]["Image"] == newer["ContainerSpec"]["Image"] for task in tasks(api, "py-low"))
    # As the documents have it: a new name and a new task.
    version = api.inspect_service(made)["Version"]["Index"]
    api.update_service(made, version, name="py-other", fetch_current_spec=True)
    assert api.inspect_service("py-other")["ID"] == made["ID"]
    assert api.remove_service("py-other") is True
    try:
        api.inspect_service(made)
        raise AssertionError("what was removed is still there")
    except docker.errors.NotFound:
        pass


def by_models(client, image):
    """The calls of `client.services`, and what they need around."""
    secret = client.secrets.create(name="py-secret", data=b"hush", labels={"a": "b"})
    assert client.secrets.get(secret.id).name == "py-secret"
    config = client.configs.create(name="py-config", data=b"plain")
    assert client.configs.get(config.id).attrs["Spec"]["Name"] == "py-config"
    network = client.networks.create("py-net", driver="overlay")
    service = client.services.create(
        image,
        name="py-high",
        command="sh",
        args=["-c", "cat /run/secrets/py-secret; echo; exec sleep 100000"],
        secrets=[SecretReference(secret.id, "py-secret")],
        networks=[network.id],
        endpoint_spec=EndpointSpec(ports={18099: 80}),
        constraints=["node.role==manager"],
        mode=ServiceMode("replicated", 1),
    )
    until("a task", lambda: len(service.tasks(filters={"desired-state": "running"})) == 1 and tasks(client.api, "py-high"))
    until("the secret in the log", lambda: b"hush" in b"".join(service.logs(stdout=True)))
    service.reload()
    assert service.attrs["Endpoint"]["Ports"][0]["PublishedPort"] == 18099, service.attrs["Endpoint"]
    assert [one.name for one in client.services.list(filters={"name": "py-high"}, status=True)] == ["py-high"]
    assert service.update(labels={"k": "v"}) == {"Warnings": None}
    service.reload()
    assert service.attrs["Spec"]["Labels"] == {"k": "v"}
    node = client.nodes.list()[0]
    assert node.attrs["Status"]["State"] == "ready" and client.info()["Swarm"]["LocalNodeState"] == "active"
    service.remove()
    until("the service to go", lambda: not client.services.list(filters={"name": "py-high"}))
    for thing in (secret, config, network):
        thing.remove()
    assert not [one for one in client.secrets.list() if one.name == "py-secret"]


def in_containers(client, image):
    """Commands in a task's container, its log, what it uses, and what happens meanwhile."""
    events = client.events(decode=True, filters={"type": ["service", "container"]})
    script = "echo said; echo wrong >&2; trap 'exit 0' TERM; while :; do sleep 1; done"
    service = client.services.create(image, name="py-exec", command="sh", args=["-c", script])
    until("a task", lambda: tasks(client.api, "py-exec"))
    container = client.containers.get(tasks(client.api, "py-exec")[0]["Status"]["ContainerStatus"]["ContainerID"])
    assert container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True) == (3, (b"out\n", b"err\n"))
    said = container.exec_run("sh -c 'echo $A; pwd; id -un'", environment={"A": "b"}, workdir="/tmp", user="worker")
    assert said == (0, b"b\n/tmp\nworker\n"), said
    assert container.exec_run("tty", tty=True).output.startswith(b"/dev/pts/")
    pieces = container.exec_run("sh -c 'echo 1; sleep 1; echo 2'", stream=True).output
    assert b"".join(pieces) == b"1\n2\n"
    assert container.exec_run("sleep 1000", detach=True).output == ""
    _, socket = container.exec_run("cat", stdin=True, socket=True)
    socket._sock.sendall(b"typed\n")
    framed = b""
    while not framed.endswith(b"typed\n"):
        framed += socket._sock.recv(100)
    socket.close()
    until("the log", lambda: container.logs() in (b"said\nwrong\n", b"wrong\nsaid\n"))
    assert container.logs(stdout=False) == b"wrong\n" and container.logs(tail=0) == b""
    followed = container.logs(stream=True, follow=True, stderr=False)
    assert next(followed) == b"said\n"
    used = container.stats(stream=False)
    assert used["id"] == container.id and used["memory_stats"]["limit"] > 0, used
    assert used["cpu_stats"]["system_cpu_usage"] > used["precpu_stats"]["system_cpu_usage"] > 0, used
    service.remove()
    told = []
    for event in events:
        told.append((event["Type"], event["Action"], event["Actor"]["Attributes"]["name"]))
        if event["Action"] == "destroy":
            break
    for expected in (("service", "create"), ("container", "create"), ("container", "start"), ("service", "remove"), ("container", "die")):
        assert expected in [one[:2] for one in told], (expected, told)
    assert {name for kind, _, name in told if kind == "service"} == {"py-exec"}, told


def in_a_terminal(client, url, image):
    """Docker's command line in a terminal, as somebody sits before it."""
    service = client.services.create(image, name="py-tty", command="sleep", args=["100000"])
    until("a task", lambda: tasks(client.api, "py-tty"))
    container = tasks(client.api, "py-tty")[0]["Status"]["ContainerStatus"]["ContainerID"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    command = ["docker", "--host", url, "exec", "-it", container, "sh"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""

    def read_until(words):
        nonlocal said
        while words not in said:
            said += os.read(ours, 1000)

    read_until(b"# ")
    os.write(ours, b"until stty size | grep 99; do sleep 0.1; done\n")
    read_until(b"33 99")
    os.write(ours, b"exit 7\n")
    assert process.wait(TIMEOUT) == 7, said
    service.remove()


def main():
    url, image, newer = sys.argv[1:]
    client = docker.DockerClient(base_url=url, version="auto")
    assert client.version()["ApiVersion"] == "1.41"
    by_low_level(client.api, image, newer)
    by_models(client, image)
    in_containers(client, image)
    in_a_terminal(client, url, image)


main()
