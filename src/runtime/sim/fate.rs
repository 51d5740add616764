//! What happens to a simulated engine and its containers from outside: tests decide it.

use super::{Health, Sim};
use crate::runtime::SecretFile;

impl Sim {
    /// Decides the end of later probes of a container, now or later created.
    pub fn set_health(&self, uuid: &str, health: Health) {
        self.shared.lock().state.health.insert(uuid.to_owned(), health);
    }

    /// The server whose password the last pull of an image brought along; none if it brought none, or there was no pull.
    pub fn shown_to(&self, image: &str) -> Option<String> {
        self.shared.lock().state.shown_to.get(image).cloned().flatten()
    }

    /// What a container has in its folder of secrets; none if it was given none, or they were taken back.
    pub fn secrets_of(&self, uuid: &str) -> Option<Vec<SecretFile>> {
        self.shared.lock().secrets.get(uuid).cloned()
    }

    /// Forgets all secrets, as a machine does that is started anew.
    pub fn forget_secrets(&self) {
        self.shared.lock().secrets.clear();
    }

    /// What it says that it is from now on; at first nothing.
    pub fn set_identity(&self, id: &str) {
        id.clone_into(&mut self.shared.lock().identity);
    }

    /// Which node of a cluster it says that it is from now on; at first none.
    pub fn set_node(&self, id: &str) {
        id.clone_into(&mut self.shared.lock().node);
    }

    /// The container's process dies (code 137). False if it does not run.
    pub fn kill(&self, uuid: &str) -> bool {
        self.exit(uuid, 137)
    }

    /// The container's process ends by itself. False if it does not run.
    pub fn exit(&self, uuid: &str, code: i64) -> bool {
        let ended = self.shared.lock().state.end(uuid, code);
        if ended {
            self.shared.changed(uuid);
        }
        ended
    }

    /// The container vanishes, as if someone had removed it by hand. False if there is none.
    pub fn forget(&self, uuid: &str) -> bool {
        let gone = self.shared.lock().state.forget(uuid);
        if gone {
            self.shared.changed(uuid);
        }
        gone
    }

    /// While disconnected every call fails as [`super::super::Error::Unreachable`] and no event comes; containers go on.
    pub fn set_disconnected(&self, disconnected: bool) {
        self.shared.silence(|world| world.disconnected = disconnected);
    }

    /// When strict, names, public ports and fixed addresses of this simulator's own containers clash as in Docker.
    pub fn set_strict(&self, strict: bool) {
        self.shared.lock().state.strict = strict;
    }

    /// A stranger takes a container name.
    pub fn hold_name(&self, name: &str) {
        self.shared.lock().state.held_names.insert(name.to_owned());
    }

    /// A stranger binds a port of the host.
    pub fn hold_port(&self, port: u16) {
        self.shared.lock().state.held_ports.insert(port);
    }

    /// The stranger lets go of the port.
    pub fn release_port(&self, port: u16) {
        self.shared.lock().state.held_ports.remove(&port);
    }
}
