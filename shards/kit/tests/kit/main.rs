//! The kit over domains that do what a domain may not: each is found out, and told in words.

mod counters;
mod findings;
mod honest;
