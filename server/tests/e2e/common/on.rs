//! What a test runs on. A test that one runtime alone passes is a bug, so whatever starts a server says:
//!
//! ```ignore
//! on_every_runtime! {
//!     one worker: mail_arrives, a_bounce_comes_back;
//!     two workers: mail_arrives;
//! }
//!
//! fn mail_arrives(on: On) { … }
//! ```
//!
//! and there are the tests `tokio::mail_arrives`, `smol::mail_arrives`, …, `tokio_with_two_workers::mail_arrives`, … A
//! function that is forgotten there is dead code, and the compiler says so.
//!
//! What asks much of the machines in the core and nothing of the sockets stands under `one runtime:`, for it is the same
//! on all: `on_one_runtime::…`.

/// What a server runs on; by default what its configuration says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct On {
    /// The runtime and the number of workers, in the command line's words.
    chosen: Option<(&'static str, &'static str)>,
}

impl On {
    /// On this runtime, with so many workers.
    pub(crate) fn new(runtime: &'static str, workers: &'static str) -> Self {
        Self { chosen: Some((runtime, workers)) }
    }

    /// On the same runtime.
    pub(crate) fn with_workers(self, workers: &'static str) -> Self {
        Self { chosen: self.chosen.map(|(runtime, _)| (runtime, workers)) }
    }

    /// What is to stand behind `serve` or `demo`.
    pub(crate) fn arguments(self) -> Vec<&'static str> {
        self.chosen.map_or_else(Vec::new, |(runtime, workers)| vec!["--runtime", runtime, "--workers", workers])
    }
}

/// Makes tests of functions that take an [`On`]; see [above](self). A new runtime is two more lines here.
macro_rules! on_every_runtime {
    ($(one runtime: $($core:ident),+;)? $(one worker: $($one:ident),+;)? $(two workers: $($two:ident),+;)?) => {
        $($crate::common::on_every_runtime! { @ [$($core)+]
            on_one_runtime "tokio" "1",
        })?
        $($crate::common::on_every_runtime! { @ [$($one)+]
            tokio "tokio" "1",
            smol "smol" "1",
            blocking "blocking" "1",
        })?
        $($crate::common::on_every_runtime! { @ [$($two)+]
            tokio_with_two_workers "tokio" "2",
            smol_with_two_workers "smol" "2",
            blocking_with_two_workers "blocking" "2",
        })?
    };
    (@ $tests:tt $($name:ident $runtime:literal $workers:literal,)+) => {
        $($crate::common::on_every_runtime! { @@ $tests $name $runtime $workers })+
    };
    (@@ [$($test:ident)+] $name:ident $runtime:literal $workers:literal) => {
        mod $name {
            $(#[test]
            fn $test() {
                super::$test($crate::common::On::new($runtime, $workers));
            })+
        }
    };
}

pub(crate) use on_every_runtime;
