//! A bell: rung from anywhere, heard by one. A ring while nobody listens is heard by the next who does.

use std::sync::Arc;
use std::task::Wake;

use smol::channel::{Receiver, Sender, bounded};

pub(crate) struct Bell {
    rope: Sender<()>,
    ear: Receiver<()>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        // When it is full, it has rung already.
        let _ = self.rope.try_send(());
    }

    /// Waits for the next ring.
    pub(crate) async fn rung(&self) {
        // It is never closed, since the rope is here, too.
        let _ = self.ear.recv().await;
    }
}

impl Default for Bell {
    fn default() -> Self {
        let (rope, ear) = bounded(1);
        Self { rope, ear }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
