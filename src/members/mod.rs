//! Several servers on one database: one of them leads and does everything, the others pass on to it what they are asked, and one of
//! them follows when it is gone.
//!
//! `turn` keeps this server's place among them, and says whose turn it is. `front` is what a server serves as long as it does not
//! lead; `hop` is what it says of a request that it passes on, and `entrance` reads that where the request arrives. What a request
//! asks for is not known here.

mod entrance;
mod front;
mod hop;
mod reach;
mod refusal;
mod turn;

pub use entrance::Entrance;
pub use front::{Door, Front};
pub use reach::Advertised;
pub use turn::{Standing, Turn};
