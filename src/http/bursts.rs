//! What comes in many small pieces, told in few larger ones.
//!
//! A piece that comes after a silence is told at once. What follows close behind the last one waits a moment, and is told with
//! all that has come by then: a source that is loud costs a look for each moment, not one for each piece. As nothing is taken from
//! the source meanwhile, it feels that nobody reads, and waits when it has no more room.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep_until};

/// The moment: nobody who watches sees it, and a hundred lines may fall into it.
const MOMENT: Duration = Duration::from_millis(5);

/// Pieces that belong together because they came together. Made by [`bursts`].
pub struct Bursts<S: Stream> {
    source: Fuse<S>,
    /// How much a piece counts.
    weight: fn(&S::Item) -> usize,
    /// So much is told at once.
    most: usize,
    moment: Duration,
    /// What came too early, and waits with its timer.
    early: Option<S::Item>,
    /// Until when what comes is too early; none if the last burst was as large as it may be.
    until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The pieces of a source in bursts, in their order, each of about `most` by `weight` and never empty.
pub fn bursts<S: Stream + Unpin>(source: S, most: usize, weight: fn(&S::Item) -> usize) -> Bursts<S> {
    Bursts {
        source: source.fuse(),
        weight,
        most,
        moment: MOMENT,
        early: None,
        until: None,
        timer: None,
    }
}

impl<S: Stream + Unpin> Bursts<S> {
    /// Keeps a piece until its time; whether that is still to come.
    fn is_too_early(&mut self, context: &mut Context<'_>) -> bool {
        let Some(until) = self.until else { return false };
        if until <= Instant::now() {
            return false;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(context).is_pending()
    }
}

impl<S> Stream for Bursts<S>
where
    S: Stream + Unpin,
    S::Item: Unpin,
{
    type Item = Vec<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.early.is_none() {
            match std::task::ready!(Pin::new(&mut this.source).poll_next(context)) {
                Some(piece) => this.early = Some(piece),
                None => return Poll::Ready(None),
            }
        }
        if this.is_too_early(context) {
            return Poll::Pending;
        }
        let mut burst: Vec<S::Item> = this.early.take().into_iter().collect();
        let mut weight: usize = burst.iter().map(this.weight).sum();
        while weight < this.most {
            // The end of the source is told when it is asked again.
            let Poll::Ready(Some(piece)) = Pin::new(&mut this.source).poll_next(context) else {
                break;
            };
            weight += (this.weight)(&piece);
            burst.push(piece);
        }
        // Whoever has more than that is not to wait for it.
        this.until = (weight < this.most).then(|| Instant::now() + this.moment);
        Poll::Ready(Some(burst))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use futures_util::FutureExt as _;
    use tokio::sync::mpsc;

    use super::*;

    type Source = Pin<Box<dyn Stream<Item = u8> + Send>>;

    fn numbers(moment: Duration) -> (mpsc::UnboundedSender<u8>, Bursts<Source>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let source = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|number| (number, receiver))
        });
        let told = bursts(source.boxed(), 5, |number: &u8| usize::from(*number));
        (sender, Bursts { moment, ..told })
    }

    fn send(sender: &mpsc::UnboundedSender<u8>, numbers: &[u8]) {
        for number in numbers {
            sender.send(*number).unwrap();
        }
    }

    #[tokio::test]
    async fn what_comes_after_a_silence_waits_for_nothing() {
        let (sender, mut told) = numbers(Duration::from_secs(3600));
        assert_eq!(told.next().now_or_never(), None);
        send(&sender, &[1]);
        assert_eq!(told.next().now_or_never(), Some(Some(vec![1])));
        // What comes close behind it does, and nothing is taken from the source meanwhile.
        send(&sender, &[1, 1]);
        assert_eq!(told.next().now_or_never(), None);
        assert!(told.early.is_some() && told.until.is_some());
    }

    #[tokio::test]
    async fn what_came_meanwhile_is_told_at_once_and_in_order() {
        let (sender, mut told) = numbers(Duration::from_millis(1));
        send(&sender, &[1]);
        assert_eq!(told.next().await, Some(vec![1]));
        send(&sender, &[0, 1, 2]);
        assert_eq!(told.next().await, Some(vec![0, 1, 2]));
        send(&sender, &[1]);
        drop(sender);
        assert_eq!(told.next().await, Some(vec![1]));
        assert_eq!(told.next().await, None);
        assert_eq!(told.next().await, None);
    }

    #[tokio::test]
    async fn who_has_much_is_not_made_to_wait() {
        let (sender, mut told) = numbers(Duration::from_secs(3600));
        send(&sender, &[3, 3, 3, 1]);
        assert_eq!(told.next().now_or_never(), Some(Some(vec![3, 3])));
        assert_eq!(told.next().now_or_never(), Some(Some(vec![3, 1])));
        send(&sender, &[1]);
        assert_eq!(told.next().now_or_never(), None);
    }
}
