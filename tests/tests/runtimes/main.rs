//! What holds on every runtime: each test here is run on all of them.
//!
//! A file has functions that take a runtime, and the list below makes tests of them: `tokio::relay_over_tcp_dns`. A new
//! protocol joins by its file and a line.

#![allow(clippy::unwrap_used)]

mod contract;
mod dialogues;
mod ends;
mod mail;
mod names;
mod pressure;
mod provider;
mod readers;
mod talk;
mod workers;

use pillarbox_runtime::Run;

/// Makes a test of each function of a file, on each runtime.
macro_rules! on_each_runtime {
    ($($file:ident: $($function:ident),+ $(,)?;)+) => {
        on_each_runtime!(@tokio pillarbox_tokio::run, $($($file $function)+)+);
        on_each_runtime!(@smol pillarbox_smol::run, $($($file $function)+)+);
        on_each_runtime!(@blocking pillarbox_blocking::run, $($($file $function)+)+);
    };
    (@$runtime:ident $run:expr, $($file:ident $function:ident)+) => {
        mod $runtime {
            const RUN: super::Run = $run;
            $(
                #[test]
                fn $function() {
                    crate::$file::$function(RUN);
                }
            )+
        }
    };
}

on_each_runtime! {
    dialogues:
        dialogues_smtp_server, dialogues_smtp_client, dialogues_pop3_server, dialogues_pop3_client,
        dialogues_imap_server, dialogues_control_server, dialogues_control_client, dialogues_dns_stream;
    contract:
        unread_bytes_push_back, slow_reader_gets_all, end_comes_behind_the_bytes, reset_is_told, reset_behind_a_close,
        abort_is_at_once, farewell_has_an_end, refused_dial_is_told, dial_is_given_up, many_connections;
    mail:
        to_a_mailbox, submission_over_tls, relay_over_udp_dns, relay_over_tcp_dns, next_hop_comes_back,
        restart_delivers_what_was_queued, refused_dial_goes_elsewhere, large_message;
    ends:
        drain, drain_cuts_off, vanished_in_data, last_word_is_heard, half_closed_peer_hears_all, crowd,
        crowd_from_one_address;
    readers:
        one_mailbox_on_two_devices, large_append_and_fetch, slow_reader_of_much, readers_are_told_of_the_end,
        vanished_in_append;
    pressure:
        slow_store, control_socket;
    workers:
        two_workers, eight_workers_drain, reload_reaches_all_workers, broken_machine_ends_the_server;
}
