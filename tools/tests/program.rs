//! `assize-load` as a process: its exit codes, and what it finds out before it loads anything.

use std::process::{Command, Stdio};

fn assize_load() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize-load"));
    command.stdout(Stdio::null());
    command
}

#[test]
fn whoever_closes_standard_error_is_told_by_the_exit_code() {
    for (arguments, code) in
        [(["127.0.0.1:9", "--accounts", "0"], 2), (["compare", "not.json", "there.json"], 2)]
    {
        let (reads, writes) = std::io::pipe().expect("a pipe");
        drop(reads);
        let ended = assize_load().args(arguments).stderr(writes).status().expect("it runs");
        assert_eq!(ended.code(), Some(code), "{arguments:?}");
    }
}
