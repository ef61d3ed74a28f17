//! What lies between a machine and its peer while a dialogue is played: nothing at all, or a real connection.

use pillarbox_core::Close;

/// A way for bytes between a machine and its peer.
///
/// Every method fails, in words, when the way does not carry what it should.
pub trait Wire {
    /// The peer says these bytes. They may take their time to arrive.
    ///
    /// # Errors
    /// They cannot be sent.
    fn say(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// Whether there is more on its way to a machine that reads.
    fn is_pending(&self) -> bool;

    /// What has come to the machine; asked before each of its polls.
    ///
    /// # Errors
    /// What is on its way does not come.
    fn arrive(&mut self) -> Result<Vec<u8>, String>;

    /// The machine said these bytes: they reach the peer.
    ///
    /// # Errors
    /// They do not, or others do.
    fn hear(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// The machine waits, and reads meanwhile, or not.
    ///
    /// # Errors
    /// It is read against its will.
    fn wait(&mut self, read: bool) -> Result<(), String>;

    /// The connection ends, as far as the peer has to do with it. What it said before and has not arrived comes first.
    ///
    /// # Errors
    /// The end is not seen, or seen as another one.
    fn end(&mut self, why: Close) -> Result<Vec<u8>, String>;

    /// The machine is done: these are its last words, and the peer hears them.
    ///
    /// # Errors
    /// It does not.
    fn over(&mut self, last: &[u8]) -> Result<(), String>;

    /// The dialogue ends here; the machine may not.
    ///
    /// # Errors
    /// Something went wrong meanwhile.
    fn leave(&mut self) -> Result<(), String>;
}

/// Nothing lies between them: what is said is heard.
#[derive(Debug, Default)]
pub struct Direct(Vec<u8>);

impl Wire for Direct {
    fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn arrive(&mut self) -> Result<Vec<u8>, String> {
        Ok(std::mem::take(&mut self.0))
    }

    fn hear(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn wait(&mut self, _: bool) -> Result<(), String> {
        Ok(())
    }

    fn end(&mut self, _: Close) -> Result<Vec<u8>, String> {
        self.arrive()
    }

    fn over(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        Ok(())
    }
}
