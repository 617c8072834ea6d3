//! `assizectl` where nobody reads what it says on standard error: the exit code alone has to tell.

use std::process::{Command, Stdio};

#[test]
fn whoever_closes_standard_error_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().expect("a directory");
    let nothing = folder.path().join("nothing");
    // A port that nobody listens on, and a directory that is not there.
    let status = ["status", "--http", "127.0.0.1:9"].map(Into::into).to_vec();
    let verify = vec!["wal".into(), "verify".into(), "--data".into(), nothing.into_os_string()];
    for (arguments, code) in [(status, 10), (verify, 4)] {
        let (reads, writes) = std::io::pipe().expect("a pipe");
        drop(reads);
        let mut command = Command::new(env!("CARGO_BIN_EXE_assizectl"));
        let ended = command.args(&arguments).stdout(Stdio::null()).stderr(writes).status().expect("it runs");
        assert_eq!(ended.code(), Some(code), "{arguments:?}");
    }
}
