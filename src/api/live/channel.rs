//! What several connections share: those that would get the same bytes are one class, and have one channel.
//!
//! A channel follows the engine's feed. It reads the rows that changed, writes each of them once as its class sees it,
//! and hands the bytes to all its connections. What nobody of the class may see, or asked for, is not written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::frame::{self, Frame};
use super::names::{EventName, RESOURCE_CHANGE};
use crate::api::resources::chosen::Chosen;
use crate::api::resources::resource::{Included, Writer, shown_type};
use crate::api::wire::call::block;
use crate::api::wire::query;
use crate::engine::{Change, Changed, Engine, Missed, News, Proof, Published, Reach, Scope};
use crate::model::{Resource, ResourceId, Result, State};
use crate::schema::{Role, TypeView, Version, View, render};

/// Rows that are read and written at once.
pub const CHUNK: usize = 64;
/// Chunks that wait for the slowest connection; one that is further behind reads the outbox itself, or is cut.
const BACKLOG: usize = 64;
/// What a scope decides of the bytes that a connection gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Viewer {
    version: Version,
    role: Role,
    reach: Reach,
    project: Option<ResourceId>,
    user: ResourceId,
    effective: ResourceId,
    /// What gave access: when it no longer does, all of the class have to leave.
    proof: Proof,
}

/// All that decides which bytes a connection gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Class {
    /// Who reads.
    pub viewer: Viewer,
    /// What links begin with.
    pub root: String,
    /// `actions` or `actionLinks`.
    pub actions_key: &'static str,
    /// What comes along with each resource.
    pub include: Option<String>,
    /// Only resources of these types (canonical ids), or of types that come from them; none is all.
    pub kinds: Vec<String>,
    /// The fields of each resource; none is all.
    pub chosen: Option<Chosen>,
    /// The events asked for.
    pub names: Vec<EventName>,
}

impl From<&Scope> for Viewer {
    fn from(scope: &Scope) -> Self {
        Self {
            version: scope.version,
            role: scope.role,
            reach: scope.reach,
            project: scope.project,
            user: scope.user.id,
            effective: scope.effective.id,
            proof: scope.proof,
        }
    }
}

impl Class {
    /// The one account that all its events are of, if there is one.
    fn account(&self) -> Option<ResourceId> {
        let first = self.names.first()?.account()?;
        self.names
            .iter()
            .all(|name| name.account() == Some(first))
            .then_some(first)
    }

    fn wants(&self, change: &Change) -> bool {
        self.names
            .iter()
            .any(|n| n.is_about(RESOURCE_CHANGE) && n.admits(change.account, Some(change.resource)))
    }

    fn wants_published(&self, event: &Published) -> bool {
        self.names
            .iter()
            .any(|n| n.is_about(&event.name) && n.admits(event.account, None))
    }
}

/// What the connections of a channel are told.
#[derive(Debug, Clone)]
pub enum Told {
    /// These events.
    Frames(Arc<Frames>),
    /// The session is over.
    Logout,
    /// The server stops.
    Away,
    /// What has to be told cannot be read: come again, and ask for what was missed.
    Failed,
}

/// Events that go out together.
#[derive(Debug)]
pub struct Frames {
    /// In order.
    pub frames: Vec<Frame>,
    /// Everything up to here has been told, now that these are.
    pub position: i64,
}

/// What the connections of a class share.
pub struct Channel {
    engine: Arc<Engine>,
    scope: Scope,
    view: Arc<View>,
    class: Class,
    told: broadcast::Sender<Told>,
    position: AtomicI64,
    sent: AtomicU64,
}

/// A connection's place in a channel.
pub struct Seat {
    /// What is shared.
    pub channel: Arc<Channel>,
    /// What is told from now on.
    pub told: broadcast::Receiver<Told>,
    /// Everything up to here was told before.
    pub position: i64,
}

/// All channels.
pub struct Hub {
    engine: Arc<Engine>,
    channels: Mutex<HashMap<Class, Arc<Channel>>>,
}

impl Hub {
    /// No channels yet.
    pub fn new(engine: Arc<Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            channels: Mutex::default(),
        })
    }

    /// A place in the channel of a class: what is committed from now on is told.
    pub fn join(self: &Arc<Self>, scope: &Scope, view: &Arc<View>, class: Class) -> Result<Seat> {
        let mut channels = self.lock();
        if let Some(channel) = channels.get(&class) {
            // In this order: what is told in between comes twice rather than never.
            let position = channel.position();
            return Ok(Seat {
                told: channel.told.subscribe(),
                channel: channel.clone(),
                position,
            });
        }
        let (news, position) = self.engine.listen()?;
        let (sender, told) = broadcast::channel(BACKLOG);
        let channel = Arc::new(Channel {
            engine: self.engine.clone(),
            scope: scope.clone(),
            view: view.clone(),
            class: class.clone(),
            told: sender,
            position: AtomicI64::new(position),
            sent: AtomicU64::new(0),
        });
        channels.insert(class, channel.clone());
        actix_web::rt::spawn(channel.clone().follow(self.clone(), news));
        Ok(Seat {
            channel,
            told,
            position,
        })
    }

    /// Ends all connections: the server stops.
    pub fn stop(&self) {
        for channel in self.lock().values() {
            let _ = channel.told.send(Told::Away);
        }
    }

    /// Forgets a channel, unless somebody came in the meantime.
    fn retire(&self, class: &Class) -> bool {
        let mut channels = self.lock();
        let is_empty = channels.get(class).is_none_or(|c| c.told.receiver_count() == 0);
        if is_empty {
            channels.remove(class);
        }
        is_empty
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Class, Arc<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    /// Up to where everything has been told.
    pub fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    /// How many events went out so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The engine it follows.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What happened behind a position.
    pub async fn missed(self: &Arc<Self>, position: i64) -> Result<Missed> {
        let channel = self.clone();
        block(move || channel.engine.missed(position, channel.class.account())).await
    }

    /// Writes what these changes are to the class; `position` is where everything before them has been told.
    pub async fn write(self: &Arc<Self>, changes: &[Change], position: i64) -> Result<Vec<Frame>> {
        let wanted: Vec<Change> = changes.iter().filter(|c| self.class.wants(c)).copied().collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let channel = self.clone();
        block(move || channel.render(&wanted, position)).await
    }

    /// Follows the feed until the last connection is gone.
    async fn follow(self: Arc<Self>, hub: Arc<Hub>, mut news: broadcast::Receiver<News>) {
        let mut access = self.engine.access_changes();
        // Once at the beginning: it may have been taken away since it was given.
        access.mark_changed();
        loop {
            let result = tokio::select! {
                // A session that is over hears no more news.
                biased;
                Ok(()) = access.changed() => match self.engine.still_admits(&self.scope) {
                    Ok(true) => Ok(()),
                    Ok(false) => return self.log_out(&hub),
                    Err(error) => Err(error),
                },
                news = news.recv() => match news {
                    Ok(News::Changes(changed)) => self.tell(&changed).await,
                    Ok(News::Published(event)) => {
                        self.tell_published(&event);
                        Ok(())
                    }
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return,
                },
                () = self.told.closed() => {
                    if hub.retire(&self.class) {
                        return;
                    }
                    Ok(())
                }
            };
            if let Err(error) = result {
                log::error!("telling changes: {}", error.chain());
                let _ = self.told.send(Told::Failed);
            }
        }
    }

    /// Makes everybody leave, for their proof no longer counts: after a logout, or when a key or a membership was taken
    /// away. It is the last that this channel tells, so nobody is too far behind to hear it; and who comes in now, admitted
    /// before, gets another channel, which looks for itself.
    fn log_out(&self, hub: &Hub) {
        hub.lock().remove(&self.class);
        let _ = self.told.send(Told::Logout);
    }

    async fn tell(self: &Arc<Self>, changed: &Changed) -> Result<()> {
        for chunk in changed.changes.chunks(CHUNK) {
            let frames = self.write(chunk, changed.position).await?;
            if !frames.is_empty() {
                let position = chunk
                    .last()
                    .map_or(changed.position, |last| last.event.min(changed.position));
                self.send(Frames { frames, position });
            }
        }
        // Only now: who reads this position and finds nothing waiting has got everything.
        self.position.store(changed.position, Ordering::Release);
        Ok(())
    }

    /// The feed was quicker than this channel.
    async fn catch_up(self: &Arc<Self>) -> Result<()> {
        match self.missed(self.position()).await? {
            Missed::Changes(changed) => self.tell(&changed).await,
            Missed::Gone => {
                let _ = self.told.send(Told::Failed);
                Ok(())
            }
        }
    }

    fn tell_published(&self, event: &Published) {
        if self.class.wants_published(event) {
            let text = frame::published(&event.name, &event.fields, self.engine.now());
            self.send(Frames {
                frames: vec![Frame { event: i64::MAX, text }],
                position: self.position(),
            });
        }
    }

    fn send(&self, frames: Frames) {
        self.sent.fetch_add(frames.frames.len() as u64, Ordering::Relaxed);
        // Nobody there is no failure.
        let _ = self.told.send(Told::Frames(Arc::new(frames)));
    }

    fn render(&self, changes: &[Change], position: i64) -> Result<Vec<Frame>> {
        let ids: Vec<ResourceId> = changes.iter().map(|c| c.resource).collect();
        let mut rows = self.engine.find_all(&self.scope, &ids)?;
        rows.retain(|row| is_told(row) && self.is_of_kind(row));
        let derived = self.engine.derive(&self.scope, &rows)?;
        let rows: HashMap<ResourceId, Resource> = rows.into_iter().map(|row| (row.id, row)).collect();
        let Self {
            engine,
            scope,
            view,
            class,
            ..
        } = self;
        let writer = Writer {
            engine,
            scope,
            view,
            root: &class.root,
            actions_key: class.actions_key,
            chosen: class.chosen.as_ref(),
            key: None,
        };
        let time = engine.now();
        let mut frames = Vec::with_capacity(rows.len());
        for change in changes {
            let Some(row) = rows.get(&change.resource) else {
                continue;
            };
            let Some(ty) = self.shown(row) else { continue };
            let link = class.include.as_deref().and_then(|name| query::include_named(ty, name));
            let included = link
                .map(|link| Included::fetch(&writer, std::slice::from_ref(row), link))
                .transpose()?;
            let id = render::wire_id(render::id_prefix(view, ty), row.id);
            let text = frame::change(&frame::event_id(position, change.event), &id, &ty.id, time, |out| {
                writer.row_with(out, row, &derived, included.as_ref())
            });
            frames.extend(text.map(|text| Frame {
                event: change.event,
                text,
            }));
        }
        Ok(frames)
    }

    /// The type as which the class sees a row.
    fn shown(&self, row: &Resource) -> Option<&TypeView> {
        let registry = self.engine.registry();
        shown_type(registry, &self.view, &registry.type_of(&row.root, &row.kind)?.id).map(|ty| &**ty)
    }

    fn is_of_kind(&self, row: &Resource) -> bool {
        let kinds = &self.class.kinds;
        let own = self.engine.registry().type_of(&row.root, &row.kind);
        kinds.is_empty() || own.is_some_and(|ty| kinds.iter().any(|kind| self.engine.is_kind(&ty.id, kind)))
    }
}

/// Whether there is anything to say about a row: of what is removed only that it is (cattle: `ResourceChangeEventProcessor`).
fn is_told(row: &Resource) -> bool {
    row.removed.is_none() || matches!(row.state, State::REMOVED | State::NONE)
}
