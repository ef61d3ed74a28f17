//! What holds on every runtime: each test here is run on all of them.
//!
//! A file has functions that take a runtime; a line below makes tests of them: `tokio::dialogues_smtp_server`.

mod dialogues;

use pillarbox_runtime::Run;

/// Makes a test of each function, on each runtime.
macro_rules! on_each_runtime {
    ($($file:ident: $($name:ident $function:ident),+ $(,)?;)+) => {
        on_each_runtime!(@tokio pillarbox_tokio::run, $($($file $name $function)+)+);
        on_each_runtime!(@smol pillarbox_smol::run, $($($file $name $function)+)+);
        on_each_runtime!(@blocking pillarbox_blocking::run, $($($file $name $function)+)+);
    };
    (@$runtime:ident $run:expr, $($file:ident $name:ident $function:ident)+) => {
        mod $runtime {
            const RUN: super::Run = $run;
            $(
                #[test]
                fn $name() {
                    crate::$file::$function(RUN);
                }
            )+
        }
    };
}

on_each_runtime! {
    dialogues:
        dialogues_smtp_server smtp_server,
        dialogues_smtp_client smtp_client,
        dialogues_pop3_server pop3_server,
        dialogues_pop3_client pop3_client,
        dialogues_control_server control_server,
        dialogues_control_client control_client,
        dialogues_dns_stream dns_stream;
}
