"""Who may do what, as PyPI's `cattle` client sees it: every role asks, each gets exactly what its schemas say.

usage: cattle_roles.py URL VERSION

URL is a server's, such as http://127.0.0.1:8080, with access control on, the bootstrap keys superadmin:secret-of-the-superadmin and
admin:secret-of-the-admin, and no host; VERSION is v1 or v2-beta. The script makes accounts, a project with members of each role, and
a simulated host that joins through the API, and runs containers there. It ends at the first surprise with a traceback.
"""

import sys
import time

import cattle
import gdapi
import requests

TIMEOUT = 60
# What answers by itself, whatever a role lists: logging in, access control, and what is a socket.
APART = ("token", "localAuthConfig", "schema", "subscribe", "publish", "register")
MEMBERS = ("owner", "member", "restricted", "readonly")


class Server:
    """A server, in one version of its API."""

    def __init__(self, url, version):
        self.root = "%s/%s" % (url.rstrip("/"), version)
        self.stack_type = "environment" if version == "v1" else "stack"

    def login(self, access_key, secret_key, project=None):
        below = "/projects/" + project if project else ""
        return cattle.Client(url=self.root + below + "/schemas", access_key=access_key, secret_key=secret_key)

    def create_stack(self, client, name, **fields):
        return client.wait_success(client.create(self.stack_type, name=name, **fields), timeout=TIMEOUT)

    def create_service(self, client, stack, name, **fields):
        fields[self.stack_type + "Id"] = stack.id
        service = client.create_service(name=name, launchConfig={"imageUuid": "sim:web"}, **fields)
        return client.wait_success(service, timeout=TIMEOUT)


def step(name):
    print(name, flush=True)


def wait_for(what, look):
    deadline = time.time() + TIMEOUT
    while True:
        found = look()
        if found:
            return found
        assert time.time() < deadline, "waited for " + what
        time.sleep(0.1)


def refused(status, call, *args, **fields):
    try:
        answer = call(*args, **fields)
    except gdapi.ApiError as error:
        assert error.error.status == status, error.error
        return error.error
    raise AssertionError("expected %d, got %s" % (status, answer))


def only(collection):
    found = list(collection)
    assert len(found) == 1, found
    return found[0]


def key_of(maker, account):
    """A new key of an account, active, as its two halves."""
    key = maker.create_apiKey(accountId=account.id)
    assert maker.wait_success(key, timeout=TIMEOUT).state == "active"
    assert maker.reload(key).secretValue is None, "a secret is shown once"
    return key.publicValue, key.secretValue


def account_id(client):
    """Who the server takes a client for."""
    answer = requests.get(client.schema.types["schema"].links.collection, auth=client._auth)
    assert answer.status_code == 200, answer.text
    return answer.headers["X-Api-Account-Id"]


def raw(client, method, url, body=None):
    return requests.request(method, url, auth=client._auth, json=body, headers={"Accept": "application/json"})


def check_methods(name, client, everything):
    """Each type: there exactly if the role has it, with the methods of the role and no other."""
    collections = client.schema.types["schema"].links.collection.rsplit("/", 1)[0]
    for type_name, whole in everything.schema.types.items():
        if type_name in APART or not getattr(whole, "collectionMethods", None):
            continue
        what, url = "%s %s" % (name, type_name), "%s/%s" % (collections, whole.pluralName)
        if type_name not in client.schema.types:
            assert not hasattr(client, "list_" + type_name), what
            answer = raw(client, "GET", url)
            assert answer.status_code == 404, (what, answer.status_code, answer.text)
            continue
        mine = client.schema.types[type_name]
        may_list, may_create = mine.listable, mine.creatable
        assert hasattr(client, "list_" + type_name) == may_list, what
        assert hasattr(client, "create_" + type_name) == may_create, what
        if may_list:
            try:
                list(client.list(type_name, limit=2))
            except gdapi.ApiError as error:
                # What is not built says so.
                assert error.error.status == 501, (what, error.error)
        else:
            assert raw(client, "GET", url).status_code == 405, what
        if not may_create:
            answer = raw(client, "POST", url, {})
            assert answer.status_code == 405, (what, answer.status_code, answer.text)


def check_cannot_change(name, client, row):
    """A row that a role may read only."""
    found = client.reload(row)
    assert found is not None and found.id == row.id, (name, row)
    for method in ("PUT", "DELETE"):
        assert raw(client, method, found.links.self, {}).status_code == 405, (name, method)


def register_host(server, superadmin, project_client):
    """A simulated host joins a project as any host does; gives it and its agent's client."""
    token = project_client.wait_success(project_client.create_registrationToken(), timeout=TIMEOUT)
    assert token.command.split()[-1] == token.registrationUrl, token
    registering = server.login("registrationToken", token.token)
    assert set(registering.schema.types) == {"register", "schema"}, registering.schema.types.keys()
    key = "key-of-" + token.accountId
    register = superadmin.create_register(key=key, accountId=token.accountId, agentUriFormat="sim://%s")
    register = registering.wait_success(register, timeout=TIMEOUT)
    assert not hasattr(register, "secretKey"), "only who knows the key sees the secret"
    register = only(registering.list_register(key=key))
    agent_client = server.login(register.accessKey, register.secretKey)
    agent = only(agent_client.list_agent())
    superadmin.update(agent, uri="sim://" + key)
    only(superadmin.list_task(name="agent.ping")).execute()
    host = wait_for("a host", lambda: next(iter(superadmin.list_host(agentId=agent.id)), None))
    host = wait_for("the host to be active", lambda: next(iter(project_client.list_host(state="active")), None))
    assert only(host.storagePools()).state == "active"
    only(host.ipAddresses())
    return host, agent_client


def bring_network(server, client):
    """The service that brings a driver and its network, in a stack that only owners can mark as the system's."""
    if server.stack_type == "environment":
        # v1 has neither the mark nor the service.
        return
    stack = server.create_stack(client, "network", system=True)
    assert stack.system, stack
    driver = {"name": "bridge", "defaultNetwork": {"subnets": [{"networkAddress": "10.42.0.0/16"}]}, "cniConfig": {}}
    service = client.create_networkDriverService(
        name="bridge", stackId=stack.id, startOnCreate=True, selectorContainer="none", networkDriver=driver)
    service = client.wait_success(service, timeout=TIMEOUT)
    assert service.state == "active", service
    made = client.wait_success(only(client.list_networkDriver(serviceId=service.id, name="bridge")), timeout=TIMEOUT)
    network = client.wait_success(only(made.networks()), timeout=TIMEOUT)
    assert (made.state, network.state) == ("active", "active"), (made, network)


def check_life(server, name, client, host):
    """What everybody who may run things in a project can do there."""
    stack = server.create_stack(client, "of-" + name)
    service = server.create_service(client, stack, "web", scale=2)
    service = client.wait_success(service.activate(), timeout=TIMEOUT)
    assert service.state == "active", service
    containers = list(service.instances())
    assert len(containers) == 2 and all(one.state == "running" for one in containers), containers
    assert {one.id for c in containers for one in c.hosts()} == {host.id}, "they run on the host that joined"
    service = client.wait_success(client.update(service, scale=1), timeout=TIMEOUT)
    assert len([one for one in service.instances() if one.state == "running"]) == 1
    alone = client.wait_success(client.create_container(imageUuid="sim:alone", name=name), timeout=TIMEOUT)
    assert alone.state == "running" and alone.accountId == stack.accountId, alone
    assert only(alone.hosts()).id == host.id
    alone = client.wait_success(alone.stop(), timeout=TIMEOUT)
    assert client.wait_success(client.delete(alone), timeout=TIMEOUT).state == "removed"
    assert client.wait_success(client.reload(stack).remove(), timeout=TIMEOUT).state == "removed"


def main():
    server = Server(*sys.argv[1:])
    everything = server.login("superadmin", "secret-of-the-superadmin")
    admin = server.login("admin", "secret-of-the-admin")

    step("who asks is who they say")
    assert only(everything.list_identity()).name == "superadmin"
    admin_id = only(everything.list_account(uuid="admin")).id
    assert account_id(admin) == admin_id
    refused(401, server.login, "admin", "of-somebody")
    refused(401, server.login, "nobody", "secret-of-the-admin")

    step("an account of each kind, with a key that an administrator gave it")
    clients = {"superadmin": everything, "admin": admin}
    for kind in ("user", "readAdmin", "service", "agent", "agentRegister"):
        account = everything.wait_success(everything.create_account(uuid="a-" + kind, kind=kind, name=kind), timeout=TIMEOUT)
        assert (account.state, account.kind) == ("active", kind), account
        key = everything.create_apiKey(accountId=account.id, publicValue="key-" + kind, secretValue="of-" + kind)
        everything.wait_success(key, timeout=TIMEOUT)
        clients[kind] = server.login("key-" + kind, "of-" + kind)
        assert account_id(clients[kind]) == account.id
    assert refused(422, everything.create_apiKey, publicValue="KEY-USER").fieldName == "publicValue"

    step("what is there from the start: the account for logging in")
    token_account = only(everything.list_account(uuid="token"))
    clients["token"] = server.login(*key_of(everything, token_account))
    assert account_id(clients["token"]) == token_account.id

    step("a user makes a project and says who belongs to it")
    people = {name: admin.wait_success(admin.create_account(kind="user", name=name), timeout=TIMEOUT) for name in MEMBERS}
    keys = {name: key_of(admin, account) for name, account in people.items()}
    founder = server.login(*keys["owner"])
    members = [{"role": name, "externalId": people[name].id, "externalIdType": "rancher_id"} for name in MEMBERS]
    refused(400, founder.create_project, name="without an owner", members=members[1:])
    project = founder.wait_success(founder.create_project(name="of " + server.root[-2:], members=members), timeout=TIMEOUT)
    assert project.state == "active", project
    assert {m.role for m in project.projectMembers()} == set(MEMBERS)
    for name in MEMBERS:
        clients[name] = server.login(*keys[name], project=project.id)
        assert account_id(clients[name]) == project.id
        assert [p.id for p in clients[name].list_project()] == [project.id], name
    clients["project"] = server.login(*key_of(admin, project))
    assert account_id(clients["project"]) == project.id
    refused(403, server.login, "key-user", "of-user", project=project.id)
    assert clients["user"].by_id_project(project.id) is None
    assert project.id not in [p.id for p in admin.list_project()]
    assert project.id in [p.id for p in admin.list_project(all="true")]

    step("an owner's system stack brings the project a network")
    bring_network(server, clients["owner"])

    step("an owner's host joins")
    host, agent_client = register_host(server, everything, clients["owner"])
    clients["registeredAgent"] = agent_client

    step("each role has the types and methods of its schemas")
    for name, client in clients.items():
        check_methods(name, client, everything)

    step("who may run things in the project does")
    for name in ("owner", "member", "restricted", "project"):
        check_life(server, name, clients[name], host)

    step("who may only read changes nothing")
    owner = clients["owner"]
    stack = server.create_stack(owner, "to-look-at")
    service = server.create_service(owner, stack, "web", scale=1)
    service = owner.wait_success(service.activate(), timeout=TIMEOUT)
    for row in (stack, service, only(service.instances())):
        check_cannot_change("readonly", clients["readonly"], row)
        # What a container said may be read.
        offered = set(vars(clients["readonly"].reload(row).actions))
        assert offered <= ({"logs"} if row.type == "container" else set()), f"nor is there anything to do: {offered}"
        check_cannot_change("readAdmin", clients["readAdmin"], row)
        assert clients["user"].reload(row) is None, "another user sees nothing of it"
    assert owner.reload(service).state == "active"
    assert not hasattr(clients["restricted"], "create_registrationToken")
    assert raw(clients["restricted"], "DELETE", clients["restricted"].reload(host).links.self).status_code == 405

    step("only owners say who belongs to a project")
    for name in ("member", "restricted", "readonly"):
        outside = server.login(*keys[name])
        found = outside.by_id_project(project.id)
        assert not hasattr(found, "setmembers") and not hasattr(found, "deactivate"), name
        refused(403, outside.update, found, name="taken over")
        refused(403, outside.delete, found)
    stranger = clients["user"]
    refused(404, stranger._put, project.links.self, {"name": "taken over"})
    refused(404, stranger._delete, project.links.self)
    refused(422, project.setmembers, members=[])
    assert not clients["project"].schema.types["project"].creatable
    founder.reload(project).setmembers(members=[m for m in members if m["role"] != "readonly"])
    assert server.login(*keys["readonly"]).by_id_project(project.id) is None
    refused(403, clients["readonly"].list_service)

    step("another project's things do not exist")
    elsewhere = stranger.wait_success(stranger.create_project(name="elsewhere"), timeout=TIMEOUT)
    neighbour = server.login("key-user", "of-user", project=elsewhere.id)
    for row in (stack, service, host, only(service.instances())):
        assert neighbour.reload(row) is None, row
    assert not list(neighbour.list_service()) and not list(neighbour.list_host())
    alone = neighbour.create_container(imageUuid="sim:web", requestedHostId=None)
    time_is_up = time.time() + 1
    while time.time() < time_is_up:
        assert neighbour.reload(alone).state != "running", "there is no host for it"
        time.sleep(0.1)

    step("a key that is gone opens nothing")
    assert not list(owner.list_apiKey(publicValue=keys["owner"][0])), "a project does not list the keys of its members"
    key = only(admin.list_apiKey(publicValue=keys["member"][0]))
    key = admin.wait_success(key.deactivate(), timeout=TIMEOUT)
    assert key.state == "inactive"
    refused(401, clients["member"].list_service)
    admin.wait_success(key.activate(), timeout=TIMEOUT)
    assert list(clients["member"].list_service())
    account = admin.reload(people["restricted"])
    account = admin.wait_success(account.deactivate(), timeout=TIMEOUT)
    refused(401, clients["restricted"].list_service)
    admin.wait_success(admin.reload(account).remove(), timeout=TIMEOUT)
    refused(401, clients["restricted"].list_service)
    remaining = {m.role for m in founder.reload(project).projectMembers()}
    assert remaining == {"owner", "member"}, "who is gone belongs to nothing: %s" % remaining

    step("the project ends, and everything in it")
    project = founder.wait_success(founder.reload(project).deactivate(), timeout=TIMEOUT)
    assert project.state == "inactive", project
    assert server.login(*keys["member"]).by_id_project(project.id) is None, "only owners see a sleeping project"
    refused(403, clients["member"].list_service)
    project = founder.wait_success(project.remove(), timeout=TIMEOUT)
    assert project.state == "removed", "who owned it sees how it ended: %s" % project
    assert not list(everything.list_host(accountId=project.id, removed_null="true"))
    assert server.login(*keys["member"]).by_id_project(project.id) is None
    assert project.id not in [p.id for p in founder.list_project()]
    refused(403, owner.list_service)


main()
