"""Drives services through Docker's API with PyPI's `docker`, as its users do.

usage: docker_client.py URL IMAGE NEWER

URL is the server's, such as tcp://127.0.0.1:8080/docker; both images print something and stay up. It ends at the first surprise with
a traceback.
"""

import sys
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


def main():
    url, image, newer = sys.argv[1:]
    client = docker.DockerClient(base_url=url, version="auto")
    assert client.version()["ApiVersion"] == "1.41"
    by_low_level(client.api, image, newer)
    by_models(client, image)


main()
