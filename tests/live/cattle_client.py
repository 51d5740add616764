"""Drives a service through its whole life with PyPI's `cattle` client, as its users do.

usage: cattle_client.py URL STACK

URL is a project's, such as http://127.0.0.1:8080/v1/projects/1a5. It ends at the first surprise with a traceback.
What the client itself cannot do on Python 3 (`in`, indexing and `len` of a collection) is not used.
"""

import sys
import time

import cattle
import gdapi

TIMEOUT = 60


def image(name):
    return "docker:drover-test/" + name


class Version:
    """Where the two versions of the API differ."""

    def __init__(self, client, url):
        self.client = client
        self.is_first = "/v1/" in url
        self.stack_type = "environment" if self.is_first else "stack"
        self.stack_field = self.stack_type + "Id"

    def create_stack(self, name):
        return self.client.create(self.stack_type, name=name)

    def create_service(self, stack, **fields):
        fields[self.stack_field] = stack.id
        return self.client.create_service(**fields)


def main():
    url, stack_name = sys.argv[1:]
    client = cattle.Client(url=url)
    version = Version(client, url)

    def wait(resource):
        return client.wait_success(resource, timeout=TIMEOUT)

    def wait_for(what, look):
        deadline = time.time() + TIMEOUT
        while True:
            last = look()
            if last:
                return last
            assert time.time() < deadline, "waited for " + what
            time.sleep(0.1)

    def containers(service):
        """The containers of a service that are not parked by an upgrade, by name."""
        return {one.name: one for one in service.instances() if one.state != "stopped" and one.state != "removed"}

    step("the schemas become methods")
    for method in ("list_service", "create_service", "by_id_service", "list_container", "by_id_host"):
        assert hasattr(client, method), method
    assert hasattr(client, "create_" + version.stack_type)
    assert not hasattr(client, "create_no_such_type")
    assert wait_for("a host", lambda: [host for host in client.list_host() if host.state == "active"])

    step("create a stack")
    stack = version.create_stack(stack_name)
    assert stack.type == version.stack_type, stack.type
    stack = wait(stack)
    assert stack.state == "active", stack

    step("create a service")
    launch_config = {"imageUuid": image("web:1"), "labels": {"Tier": "Front"}, "environment": {"WHO": "python"}}
    service = version.create_service(stack, name="web", scale=2, launchConfig=launch_config)
    assert service.state == "registering", service
    service = wait(service)
    assert service.state == "inactive", service
    assert service.launchConfig.labels.Tier == "Front", service
    assert getattr(service, version.stack_field) == stack.id
    assert service.upgrade is None

    step("activate it")
    service = wait(service.activate())
    assert service.state == "active", service
    running = containers(service)
    assert sorted(running) == [stack_name + "-web-1", stack_name + "-web-2"], sorted(running)
    assert all(one.state == "running" and one.externalId for one in running.values())

    step("list with filters")
    found = list(client.list_service(name="web", **{version.stack_field: stack.id}))
    assert [one.id for one in found] == [service.id], found
    assert list(client.list_service(name="no-such-service")) == []
    assert list(client.list_service(uuid=service.uuid, removed_null=True)), "found by uuid"
    assert [one.id for one in client.list_service(name_prefix="we", state="active")] == [service.id]
    assert client.by_id_service("1s999999") is None

    step("a mistake is explained")
    try:
        version.create_service(stack, name="not a name!", launchConfig=launch_config)
        raise AssertionError("a bad name was accepted")
    except gdapi.ApiError as refused:
        assert refused.error.status == 422, refused.error
        assert refused.error.fieldName == "name", refused.error

    step("scale up and down")
    service = wait(client.update(service, scale=3, name=service.name))
    assert service.scale == 3 and service.state == "active", service
    assert len(containers(service)) == 3
    service = wait(client.update(service, scale=2))
    assert sorted(containers(service)) == [stack_name + "-web-1", stack_name + "-web-2"]
    before = {one.externalId for one in containers(service).values()}

    step("link another service")
    other = wait(version.create_service(stack, name="db", launchConfig={"imageUuid": image("web:3")}))
    other = wait(other.activate())
    service.addservicelink(serviceLink={"serviceId": other.id, "name": "store"})
    linked = [one.id for one in client.reload(service).consumedservices()]
    assert linked == [other.id], linked
    client.reload(service).removeservicelink(serviceLink={"serviceId": other.id, "name": "store"})
    assert not list(client.reload(service).consumedservices())
    client.reload(service).setservicelinks(serviceLinks=[{"serviceId": other.id}])
    assert [one.id for one in client.reload(service).consumedservices()] == [other.id]

    def upgrade(service, to):
        # `upgrade` is also a field, so the client calls the action by its longer name.
        strategy = {"batchSize": 1, "intervalMillis": 100, "launchConfig": dict(launch_config, imageUuid=image(to))}
        service = service.upgrade_action(inServiceStrategy=strategy)
        assert service.state == "upgrading", service
        service = wait(service)
        assert service.state == "upgraded", service
        assert service.launchConfig.imageUuid == image(to), service
        return service

    step("upgrade and roll back")
    service = upgrade(client.reload(service), "web:2")
    assert service.upgrade.inServiceStrategy.previousLaunchConfig.imageUuid == image("web:1")
    service = wait(service.rollback())
    assert service.state == "active" and service.launchConfig.imageUuid == image("web:1"), service
    after = {one.externalId for one in containers(service).values()}
    assert after == before, "the same containers come back"

    step("upgrade and finish")
    service = upgrade(service, "web:3")
    service = wait(service.finishupgrade())
    assert service.state == "active", service
    now = containers(service)
    assert sorted(now) == [stack_name + "-web-1", stack_name + "-web-2"], sorted(now)
    assert not before & {one.externalId for one in now.values()}

    step("deactivate and activate")
    service = wait(service.deactivate())
    assert service.state == "inactive", service
    assert not hasattr(service, "deactivate"), "an action that is not offered is no method"
    service = wait(service.activate())
    assert service.state == "active", service

    step("remove")
    service = wait(client.delete(service))
    assert service.state == "removed", service
    stack = wait(client.reload(stack).remove())
    assert stack.state == "removed", stack
    assert list(client.list_service(**{version.stack_field: stack.id})) == []


def step(name):
    print(name, flush=True)


main()
