//! Whole nodes in virtual time: mail that flows, and mail that meets trouble.

mod chaos;
mod mail;
mod provider;
