//! The inventory domain from outside: its rules, its bytes, and random histories against a model.

mod books;
mod layout;
mod model;
mod properties;
mod rules;
